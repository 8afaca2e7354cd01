//! `steadfast mget`

use std::ffi::OsString;

use super::get::Reading;
use super::{CommandError, key_bytes};
use crate::client::Client;
use crate::output::Output;
use crate::output::data::Data;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Reads many keys at once, wherever they are.

Examples:
  steadfast mget cart/42 cart/43
  steadfast mget cart/42 cart/43 -o json
  steadfast mget cart/42 cart/43 --consistency stale

Each key is read by itself: together they are no snapshot. Exits with 3 if one of them is not there,
and with 6 if one could not be read.";

/// Reads many keys.
#[derive(Clone, Debug, clap::Args)]
pub struct Mget {
    /// The keys, at most 1000
    #[arg(required = true, value_name = "KEY", num_args = 1..=1000)]
    keys: Vec<OsString>,

    #[command(flatten)]
    reading: Reading,
}

impl Mget {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        let level = self.reading.level()?;
        let keys = self.keys.into_iter().map(key_bytes).collect::<Result<Vec<_>, _>>()?;
        let answer = client.mget(&keys, level).await?;
        Ok(Output::Data(Data::Many { keys, answer }))
    }
}
