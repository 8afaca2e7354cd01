//! `steadfast get`

use std::ffi::OsString;
use std::time::Duration;

use super::{CommandError, etag, key_bytes, timeout};
use crate::api::duration::parse_ms;
use crate::client::Client;
use crate::client::kv::Level;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Reads a key.

Examples:
  steadfast get greeting                 the value, byte for byte
  steadfast get cart/42 > cart.json
  steadfast get cart/42 --meta           its version, and where the answer comes from
  steadfast get cart/42 --consistency stale --max-staleness 500ms
  steadfast get cart/42 --if-changed 7 --wait 30s   once it is another version than 7
  steadfast get cart/42 -o json

Exits with 3 if there is no such key, and with 8 if it was waited for in vain.";

/// Reads a key.
#[derive(Clone, Debug, clap::Args)]
pub struct Get {
    /// The key: 1 to 1024 bytes, any bytes
    key: OsString,

    #[command(flatten)]
    reading: Reading,

    /// Print the key's version and where the answer comes from, not the value
    #[arg(long)]
    meta: bool,

    /// Wait until the key has another version than this, or is gone
    #[arg(long, value_name = "ETAG", value_parser = etag)]
    if_changed: Option<String>,

    /// How long to wait for that; at most 30s
    #[arg(long, value_name = "DURATION", value_parser = timeout, default_value = "30s", requires = "if_changed")]
    wait: Duration,
}

/// What a read asks for.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Reading {
    /// What the answer promises
    #[arg(long, value_name = "LEVEL", default_value = "linearizable")]
    consistency: Consistency,

    /// How old a stale answer may be, such as 500ms
    #[arg(long, value_name = "DURATION", value_parser = staleness_ms)]
    max_staleness: Option<u64>,

    /// How many mutations of the shard a stale answer must reflect: `applied` of an earlier one
    #[arg(long, value_name = "COUNT")]
    min_revision: Option<u64>,
}

/// What a read promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Consistency {
    /// It reflects every write that was acknowledged before the read began
    Linearizable,
    /// The same, on the strength of the leader's lease: as long as clocks run alike
    Lease,
    /// It may miss the latest writes; --meta says how old it is at most
    Stale,
}

fn staleness_ms(text: &str) -> Result<u64, String> {
    match parse_ms(text).map_err(|error| error.to_string())? {
        0 => Err("no stale answer is less than 1ms old".to_owned()),
        ms => Ok(ms),
    }
}

impl Reading {
    pub(super) fn level(self) -> Result<Level, CommandError> {
        let Self { consistency, max_staleness, min_revision } = self;
        let is_bounded = max_staleness.is_some() || min_revision.is_some();
        match consistency {
            Consistency::Stale => {
                Ok(Level::Stale { max_staleness_ms: max_staleness, min_revision })
            }
            Consistency::Linearizable | Consistency::Lease if is_bounded => {
                Err(CommandError::Usage {
                    what: "--max-staleness and --min-revision bound stale reads alone".to_owned(),
                    advice: "steadfast get KEY --consistency stale --max-staleness 500ms"
                        .to_owned(),
                })
            }
            Consistency::Linearizable => Ok(Level::Linearizable),
            Consistency::Lease => Ok(Level::Lease),
        }
    }
}

impl Get {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        let level = self.reading.level()?;
        let key = key_bytes(self.key)?;
        if let Some(etag) = self.if_changed {
            if level != Level::Linearizable {
                return Err(CommandError::Usage {
                    what: "only a linearizable read can wait".to_owned(),
                    advice: "steadfast get KEY --if-changed ETAG --wait 30s".to_owned(),
                });
            }
            let changed = client.get_changed(&key, &etag, self.wait).await?;
            let read = changed.ok_or(CommandError::Unchanged { etag, waited: self.wait })?;
            return Ok(Output::Read { key, read, meta: self.meta });
        }
        let read = client.get(&key, level).await?;
        Ok(Output::Read { key, read, meta: self.meta })
    }
}
