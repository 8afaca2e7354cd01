//! `steadfast version`

use crate::client::Client;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Prints the version of this program, and that of a node if one can be reached.

Examples:
  steadfast version
  steadfast version -o json";

/// Prints versions.
#[derive(Clone, Debug, clap::Args)]
pub struct Version {}

impl Version {
    /// Carries it out. That no node answers is no failure: this program has a version anyway.
    pub(super) async fn run(self, client: &Client) -> Output {
        let node = client.version().await.map(|node| node.version).ok();
        Output::Version { program: env!("CARGO_PKG_VERSION").to_owned(), node }
    }
}
