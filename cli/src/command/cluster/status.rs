//! `steadfast cluster status`

use super::survey::survey;
use crate::client::Client;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Shows in one line how the cluster is, then its nodes and shards.

Examples:
  steadfast cluster status
  steadfast cluster status -o json
  steadfast cluster status -q > /dev/null || page-someone

Asks every endpoint, and every node that those name, for what it knows by itself: it works while
nodes are down and without a majority. Exits with 10 unless the cluster is healthy.";

/// Shows how the cluster is.
#[derive(Clone, Debug, clap::Args)]
pub struct Status {}

impl Status {
    /// Carries it out.
    pub(in crate::command) async fn run(self, client: &Client) -> Output {
        Output::Status(survey(client).await)
    }
}
