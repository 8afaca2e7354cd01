//! `steadfast put`

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use bytes::Bytes;

use super::{CommandError, etag, key_bytes, ttl};
use crate::api::VALUE_BYTES_MAX;
use crate::client::Client;
use crate::client::kv::Condition;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Stores a value under a key.

Examples:
  steadfast put greeting hello
  steadfast put cart/42 @cart.json                  from a file
  date | steadfast put now -                        from standard input
  steadfast put session/7 alice --ttl 30m
  steadfast put lock/a me --if-absent               only if there is no such key
  steadfast put cart/42 @cart.json --if-etag 7      only if it is still version 7

Prints the new version, which --if-etag takes. Exits with 4 if the condition did not hold, and with
7 if nobody knows whether the value was stored: read the key before you put it again.";

/// Stores a value under a key.
#[derive(Clone, Debug, clap::Args)]
pub struct Put {
    /// The key: 1 to 1024 bytes, any bytes
    key: OsString,

    /// The value; @FILE: what a file holds; -: standard input
    #[arg(allow_negative_numbers = true, value_name = "VALUE|-|@FILE")]
    value: OsString,

    /// How long the key lives, such as 500ms, 60s, 30m or 24h; without it, for ever
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    ttl: Option<u64>,

    /// Store it only if there is no such key
    #[arg(long, conflicts_with = "if_etag")]
    if_absent: bool,

    /// Store it only if the key still has this version
    #[arg(long, value_name = "ETAG", value_parser = etag)]
    if_etag: Option<String>,
}

impl Put {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        let key = key_bytes(self.key)?;
        let value = read_argument(&self.value, VALUE_BYTES_MAX, "a value")?;
        let condition = match self.if_etag {
            Some(etag) => Condition::EtagIs(etag),
            None if self.if_absent => Condition::Absent,
            None => Condition::Always,
        };
        let stored = client.put(&key, value, self.ttl, &condition).await?;
        Ok(Output::Stored { key, stored })
    }
}

/// Returns the bytes that `argument` stands for: at most so many, as `what` can have.
pub(super) fn read_argument(
    argument: &OsStr,
    bytes_max: usize,
    what: &str,
) -> Result<Bytes, CommandError> {
    match argument.as_bytes() {
        b"-" => read_bounded(std::io::stdin().lock(), "standard input", bytes_max, what),
        [b'@', path @ ..] => {
            let path = OsString::from_vec(path.to_vec());
            let name = path.display().to_string();
            let file = File::open(&path).map_err(|error| {
                usage(&format!("the file {name} cannot be opened: {error}"), "name a file after @")
            })?;
            read_bounded(file, &name, bytes_max, what)
        }
        bytes => Ok(Bytes::copy_from_slice(bytes)),
    }
}

/// Reads all of `source`, unless that is more than there can be.
fn read_bounded(
    source: impl Read,
    name: &str,
    bytes_max: usize,
    what: &str,
) -> Result<Bytes, CommandError> {
    let mut bytes = Vec::new();
    let bound = bytes_max as u64 + 1;
    source
        .take(bound)
        .read_to_end(&mut bytes)
        .map_err(|error| usage(&format!("{name} cannot be read: {error}"), "check the file"))?;
    if bytes_max < bytes.len() {
        let what = format!("{name} has more than the {bytes_max} bytes that {what} can have");
        return Err(usage(&what, "split it"));
    }
    Ok(bytes.into())
}

fn usage(what: &str, advice: &str) -> CommandError {
    CommandError::Usage { what: what.to_owned(), advice: advice.to_owned() }
}
