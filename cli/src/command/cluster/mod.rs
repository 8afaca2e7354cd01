//! `steadfast cluster`

use super::CommandError;
use crate::client::Client;
use crate::output::Output;

pub mod goal;
pub mod init;
pub mod report;
pub mod status;
pub mod survey;
pub mod topology;
pub mod wait;

#[cfg(test)]
mod tests;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Founds a cluster, or looks at it.

Examples:
  steadfast cluster init --node 127.0.0.1:7401 --node 127.0.0.1:7402 --node 127.0.0.1:7403
  steadfast cluster status                      one line of verdict, then nodes and shards
  steadfast cluster topology                    who leads what
  steadfast cluster wait --for healthy

All of these work while nodes are down and without a majority: each node speaks for itself.";

/// The commands about the whole cluster.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Cluster {
    /// Found a cluster of nodes that run and belong to none yet
    #[command(long_about = init::HELP)]
    Init(init::Init),
    /// Show in one line how the cluster is, then its nodes and shards
    #[command(long_about = status::HELP)]
    Status(status::Status),
    /// Draw which node leads and which follows in each shard
    #[command(long_about = topology::HELP)]
    Topology(topology::Topology),
    /// Wait until the cluster is healthy, or has all its leaders
    #[command(long_about = wait::HELP)]
    Wait(wait::Wait),
}

impl Cluster {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        match self {
            Self::Init(command) => command.run(client).await,
            Self::Status(command) => Ok(command.run(client).await),
            Self::Topology(command) => Ok(command.run(client).await),
            Self::Wait(command) => Ok(command.run(client).await),
        }
    }
}
