//! `steadfast shard snapshot`

use super::shard_id;
use crate::client::Client;
use crate::command::CommandError;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Snapshots a shard now, so that its log can be freed.

Examples:
  steadfast shard snapshot 1
  steadfast shard snapshot 1 --endpoint http://127.0.0.1:7302     that node's replica

Nodes snapshot by themselves as their log grows; this is for those who cannot wait. It returns once
the snapshot is durable.";

/// Snapshots a shard.
#[derive(Clone, Debug, clap::Args)]
pub struct Snapshot {
    /// The shard's number
    #[arg(value_name = "ID", value_parser = shard_id)]
    shard: u32,
}

impl Snapshot {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        Ok(Output::Snapshotted(client.snapshot(self.shard).await?))
    }
}
