//! `steadfast shard show`

use super::{shard_id, shards};
use crate::client::Client;
use crate::command::CommandError;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Shows the replicas of a shard, each by its own word.

Examples:
  steadfast shard show 1
  steadfast shard show s1 -o json

It works while nodes are down and without a majority. Exits with 3 if there is no such shard.";

/// Shows the replicas of a shard.
#[derive(Clone, Debug, clap::Args)]
pub struct Show {
    /// The shard's number
    #[arg(value_name = "ID", value_parser = shard_id)]
    shard: u32,
}

impl Show {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        let mut report = shards(client).await?;
        let known = report.shards.iter().map(|shard| format!("s{}", shard.id)).collect();
        report.shards.retain(|shard| shard.id == self.shard);
        match report.shards.pop() {
            Some(shard) => Ok(Output::Shard(shard)),
            None => Err(CommandError::NoSuchShard { shard: self.shard, known }),
        }
    }
}
