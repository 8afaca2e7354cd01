//! `steadfast incr`

use std::ffi::OsString;

use super::{CommandError, etag, key_bytes, ttl};
use crate::api::duration::format_ms;
use crate::api::incr::IncrRequest;
use crate::api::number::Exact;
use crate::client::Client;
use crate::client::kv::Condition;
use crate::output::Output;
use crate::output::data::Data;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Adds to the number under a key, and prints the sum. A key that is not there counts as 0.

Examples:
  steadfast incr visits                               one more
  steadfast incr stock/42 -3 --min 0                  three fewer, if there are three
  steadfast incr rate/alice --ttl 60s --max 100       at most 100 in a minute
  steadfast incr session/7 0 --ttl 30m --renew-ttl    as it is, for another half hour

The number is stored as decimal text: get and put see it as any value. Exits with 4 if what is there
is no number or the sum passes a bound, and with 7 if nobody knows whether it was counted: counting
again might then count twice.";

/// Adds to the number under a key.
#[derive(Clone, Debug, clap::Args)]
pub struct Incr {
    /// The key: 1 to 1024 bytes, any bytes
    key: OsString,

    /// What to add
    #[arg(value_parser = number, allow_negative_numbers = true, default_value = "1")]
    by: i64,

    /// What to add it to if there is no such key
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = number,
        allow_negative_numbers = true,
        default_value = "0"
    )]
    initial: i64,

    /// Refuse a sum that is less
    #[arg(long, value_name = "NUMBER", value_parser = number, allow_negative_numbers = true)]
    min: Option<i64>,

    /// Refuse a sum that is more
    #[arg(long, value_name = "NUMBER", value_parser = number, allow_negative_numbers = true)]
    max: Option<i64>,

    /// How long a key that this creates lives, such as 60s; one that is there keeps what it has
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    ttl: Option<u64>,

    /// Let --ttl count anew, also for a key that is there
    #[arg(long, requires = "ttl")]
    renew_ttl: bool,

    /// Count only if there is no such key
    #[arg(long, conflicts_with = "if_etag")]
    if_absent: bool,

    /// Count only if the key still has this version
    #[arg(long, value_name = "ETAG", value_parser = etag)]
    if_etag: Option<String>,
}

impl Incr {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        let key = key_bytes(self.key)?;
        let condition = match self.if_etag {
            Some(etag) => Condition::EtagIs(etag),
            None if self.if_absent => Condition::Absent,
            None => Condition::Always,
        };
        let request = IncrRequest {
            by: Exact(self.by),
            initial: Exact(self.initial),
            min: self.min.map(Exact),
            max: self.max.map(Exact),
            ttl: self.ttl.map(format_ms),
            renew_ttl: self.renew_ttl,
        };
        let counted = client.increment(&key, &request, &condition).await?;
        Ok(Output::Data(Data::Counted { key, counted }))
    }
}

/// Reads a number that can be counted with.
fn number(text: &str) -> Result<i64, String> {
    let no_number = |_| format!("it must be a whole number from {} to {}", i64::MIN, i64::MAX);
    text.parse().map_err(no_number)
}
