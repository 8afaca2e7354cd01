//! `steadfast get`

use std::ffi::OsString;

use super::{CommandError, key_bytes};
use crate::client::Client;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Reads a key.

Examples:
  steadfast get greeting                 the value, byte for byte
  steadfast get cart/42 > cart.json
  steadfast get cart/42 --meta           its version, and where the answer comes from
  steadfast get cart/42 -o json

Exits with 3 if there is no such key.";

/// Reads a key.
#[derive(Clone, Debug, clap::Args)]
pub struct Get {
    /// The key: 1 to 1024 bytes, any bytes
    key: OsString,

    /// What the answer promises
    #[arg(long, value_name = "LEVEL", default_value = "linearizable")]
    consistency: Consistency,

    /// Print the key's version and where the answer comes from, not the value
    #[arg(long)]
    meta: bool,
}

/// What a read promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Consistency {
    /// It reflects every write that was acknowledged before the read began
    Linearizable,
}

impl Get {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        let key = key_bytes(self.key)?;
        let Consistency::Linearizable = self.consistency;
        let read = client.get(&key, Some("linearizable")).await?;
        Ok(Output::Read { key, read, meta: self.meta })
    }
}
