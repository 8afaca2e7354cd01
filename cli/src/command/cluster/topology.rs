//! `steadfast cluster topology`

use super::survey::survey;
use crate::client::Client;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Draws which node is what in which shard: a row for each node, a column for each shard.

Examples:
  steadfast cluster topology
  steadfast cluster topology -o json     the same facts as `cluster status -o json`

A leader counts as one only if a majority confirmed it just now. Each node speaks for itself, so it
works while nodes are down and without a majority; of a node that does not answer only its age is
known: how long ago its peers heard of it. Exits with 0 if any node of a cluster answered.";

/// Draws who leads and who follows.
#[derive(Clone, Debug, clap::Args)]
pub struct Topology {}

impl Topology {
    /// Carries it out.
    pub(in crate::command) async fn run(self, client: &Client) -> Output {
        Output::Topology(survey(client).await)
    }
}
