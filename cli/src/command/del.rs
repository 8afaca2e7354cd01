//! `steadfast del`

use std::ffi::OsString;

use super::{CommandError, etag, key_bytes};
use crate::client::Client;
use crate::client::kv::Condition;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Deletes a key.

Examples:
  steadfast del cart/42
  steadfast del cart/42 --if-etag 7      only if it is still version 7

Deleting a key that is not there is no error: it exits with 0 and says so.";

/// Deletes a key.
#[derive(Clone, Debug, clap::Args)]
pub struct Del {
    /// The key: 1 to 1024 bytes, any bytes
    key: OsString,

    /// Delete it only if it still has this version
    #[arg(long, value_name = "ETAG", value_parser = etag)]
    if_etag: Option<String>,
}

impl Del {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        let key = key_bytes(self.key)?;
        let condition = self.if_etag.map_or(Condition::Always, Condition::EtagIs);
        let deleted = client.delete(&key, &condition).await?;
        Ok(Output::Deleted { key, deleted })
    }
}
