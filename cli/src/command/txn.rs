//! `steadfast txn`

use std::ffi::OsString;

use super::{CommandError, put};
use crate::api::txn::TxnRequest;
use crate::client::Client;
use crate::output::Output;
use crate::output::data::Data;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Changes several keys at once: all operations take effect, with one version, or none does. The keys
must be in one slot, as those are whose text between the first braces is the same.

Examples:
  steadfast txn @move.json                 from a file
  jq -n -f move.jq | steadfast txn -       from standard input

The transaction is what POST /v1/txn takes, as JSON:

  {\"if\":   [{\"key\": \"{a}from\", \"revision\": \"7\"}, {\"key\": \"{a}to\", \"exists\": true}],
   \"then\": [{\"incr\": {\"key\": \"{a}from\", \"by\": -5, \"min\": 0}},
            {\"incr\": {\"key\": \"{a}to\", \"by\": 5}}],
   \"else\": [{\"get\": {\"key\": \"{a}from\"}}, {\"get\": {\"key\": \"{a}to\"}}]}

Exits with 0 if the conditions held and with 4 if they did not, so that `else` was carried out, or
if a number could not be counted, so that nothing was; and with 7 if nobody knows what was.";

/// Changes several keys at once.
#[derive(Clone, Debug, clap::Args)]
pub struct Txn {
    /// The transaction; @FILE: what a file holds; -: standard input
    #[arg(value_name = "JSON|-|@FILE")]
    transaction: OsString,
}

impl Txn {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        let bytes = put::read_argument(&self.transaction, BYTES_MAX, "a transaction")?;
        let request = parse(&bytes)?;
        Ok(Output::Data(Data::Transacted(client.transact(&request).await?)))
    }
}

/// Longest text of a transaction.
const BYTES_MAX: usize = 8 << 20;

fn parse(bytes: &[u8]) -> Result<TxnRequest, CommandError> {
    serde_json::from_slice(bytes).map_err(|error| CommandError::Usage {
        what: format!("the transaction cannot be read: {error}"),
        advice: "steadfast txn --help shows one".to_owned(),
    })
}
