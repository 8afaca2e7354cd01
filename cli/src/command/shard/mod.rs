//! `steadfast shard`

use super::CommandError;
use super::cluster::report::Report;
use super::cluster::survey::survey;
use crate::client::Client;
use crate::output::Output;

pub mod list;
pub mod show;
pub mod snapshot;
pub mod transfer_leader;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Looks at single shards, moves their leaders, snapshots them.

Examples:
  steadfast shard list
  steadfast shard show 1                        each replica by its own word
  steadfast shard transfer-leader 1 --to 2
  steadfast shard snapshot 1

Keys are spread over shards by their names. Each shard has replicas on several nodes, one of which
leads; shard 0 keeps the map of the cluster, and no keys.";

/// The commands about single shards.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Shard {
    /// List the shards
    #[command(long_about = list::HELP)]
    List(list::List),
    /// Show the replicas of a shard
    #[command(long_about = show::HELP)]
    Show(show::Show),
    /// Make a node lead a shard
    #[command(long_about = transfer_leader::HELP)]
    TransferLeader(transfer_leader::TransferLeader),
    /// Snapshot a shard now, so that its log can be freed
    #[command(long_about = snapshot::HELP)]
    Snapshot(snapshot::Snapshot),
}

impl Shard {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        match self {
            Self::List(command) => command.run(client).await,
            Self::Show(command) => command.run(client).await,
            Self::TransferLeader(command) => command.run(client).await,
            Self::Snapshot(command) => command.run(client).await,
        }
    }
}

/// Asks the nodes about their shards. No shards is no answer: every cluster has some.
async fn shards(client: &Client) -> Result<Report, CommandError> {
    let report = survey(client).await;
    if report.shards.is_empty() {
        return Err(CommandError::Unseen { headline: report.headline() });
    }
    Ok(report)
}

/// Reads a shard's number, with or without the `s` that tables print before it.
fn shard_id(text: &str) -> Result<u32, String> {
    numbered(text, 's').ok_or_else(|| "a shard is a number, such as 1 or s1".to_owned())
}

/// Reads a node's number, with or without the `n` that tables print before it.
fn node_id(text: &str) -> Result<u32, String> {
    numbered(text, 'n').ok_or_else(|| "a node is a number, such as 2 or n2".to_owned())
}

fn numbered(text: &str, prefix: char) -> Option<u32> {
    let digits = text.strip_prefix(prefix).unwrap_or(text);
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
