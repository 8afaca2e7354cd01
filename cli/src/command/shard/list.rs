//! `steadfast shard list`

use super::shards;
use crate::client::Client;
use crate::command::CommandError;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Lists the shards: who leads each, who votes, and what it holds.

Examples:
  steadfast shard list
  steadfast shard list -o json

Asks every node for what it knows by itself: it works while nodes are down and without a majority.";

/// Lists the shards.
#[derive(Clone, Debug, clap::Args)]
pub struct List {}

impl List {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        Ok(Output::Shards(shards(client).await?.shards))
    }
}
