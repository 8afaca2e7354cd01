//! `steadfast shard transfer-leader`

use super::{node_id, shard_id};
use crate::client::Client;
use crate::command::CommandError;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Makes a node lead a shard.

Examples:
  steadfast shard transfer-leader 1 --to 2
  steadfast shard transfer-leader s1 --to n2

The node must be a voter of the shard, up, and caught up; else nothing changes, and the command exits
with 9. Its present leader hands over and nothing that was acknowledged is lost. A shard's preferred
leader may take it back after a while.";

/// Makes a node lead a shard.
#[derive(Clone, Debug, clap::Args)]
pub struct TransferLeader {
    /// The shard's number
    #[arg(value_name = "ID", value_parser = shard_id)]
    shard: u32,

    /// The number of the node that shall lead it
    #[arg(long, value_name = "NODE", value_parser = node_id)]
    to: u32,
}

impl TransferLeader {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        Ok(Output::Transferred(client.transfer_leader(self.shard, self.to).await?))
    }
}
