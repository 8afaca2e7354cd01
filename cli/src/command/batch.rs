//! `steadfast batch`

use std::ffi::OsString;

use super::{CommandError, put};
use crate::api::key::from_key64;
use crate::api::many::{BatchRequest, ITEMS_MAX, ManyAnswer};
use crate::api::ops::{DeleteOp, GetOp, IncrOp, Op, PutOp};
use crate::client::Client;
use crate::output::Output;
use crate::output::data::Data;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Carries out many operations, each by itself: those on keys of one slot in order.

Examples:
  steadfast batch @ops.ndjson                  from a file
  jq -c -f ops.jq | steadfast batch -          from standard input

Operations are lines of JSON, or what POST /v1/batch takes, up to 1000 of them:

  {\"put\": {\"key\": \"a\", \"value\": \"1\", \"ttl\": \"60s\"}}
  {\"delete\": {\"key\": \"b\", \"if\": {\"revision\": \"7\"}}}
  {\"incr\": {\"key\": \"c\", \"by\": 5}}
  {\"get\": {\"key\": \"d\"}}

Prints what came of each, and exits with that of the worst: 7 if the outcome of one is unknown.";

/// Longest text of a batch: what a request may have.
const BYTES_MAX: usize = 8 << 20;

/// Carries out many operations.
#[derive(Clone, Debug, clap::Args)]
pub struct Batch {
    /// The operations; @FILE: what a file holds; -: standard input
    #[arg(value_name = "JSON|-|@FILE")]
    operations: OsString,
}

impl Batch {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        let bytes = put::read_argument(&self.operations, BYTES_MAX, "a batch")?;
        let ops = parse(&bytes)?;
        let keys = ops.iter().map(key).collect();
        let ManyAnswer { results } = client.batch(ops).await?;
        Ok(Output::Data(Data::Batched { keys, results }))
    }
}

/// Reads operations: one object that has them all, or one on each line.
fn parse(bytes: &[u8]) -> Result<Vec<Op>, CommandError> {
    let unreadable = |what: String| CommandError::Usage {
        what: format!("the operations cannot be read: {what}"),
        advice: "steadfast batch --help shows some".to_owned(),
    };
    let ops = match serde_json::from_slice::<BatchRequest>(bytes) {
        Ok(request) => request.ops,
        Err(_not_one) => {
            let lines = bytes.split(|byte| *byte == b'\n').enumerate();
            let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
            let op = |(at, line)| {
                serde_json::from_slice::<Op>(line).map_err(|error| (at + 1, error.to_string()))
            };
            let ops: Result<Vec<_>, _> = lines.map(op).collect();
            ops.map_err(|(line, why)| unreadable(format!("line {line}: {why}")))?
        }
    };
    if ops.is_empty() || ITEMS_MAX < ops.len() {
        return Err(unreadable(format!("there are {}; a batch has 1 to {ITEMS_MAX}", ops.len())));
    }
    Ok(ops)
}

/// Returns the key of an operation, for whoever reads what came of it.
fn key(op: &Op) -> Vec<u8> {
    let (Op::Get(GetOp { key, key64 })
    | Op::Put(PutOp { key, key64, .. })
    | Op::Delete(DeleteOp { key, key64, .. })
    | Op::Incr(IncrOp { key, key64, .. })) = op;
    match (key, key64) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, base64) => {
            from_key64(base64.as_deref().unwrap_or_default().as_bytes()).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_lines_or_one_request() {
        let lines =
            b"{\"put\": {\"key\": \"a\", \"value\": \"1\"}}\n\n{\"get\": {\"key64\": \"_w\"}}\n";
        let ops = parse(lines).expect("two operations");
        assert_eq!(ops.iter().map(key).collect::<Vec<_>>(), [b"a".to_vec(), b"\xff".to_vec()]);
        let request = b"{\"ops\": [{\"put\": {\"key\": \"a\", \"value\": \"1\"}},\n\
                        {\"get\": {\"key64\": \"_w\"}}]}";
        assert_eq!(parse(request).expect("the same"), ops);
        for (bad, words) in [
            ("", "there are 0"),
            ("{\"get\": {\"key\": \"a\"}}\n{\"got\": {}}", "line 2"),
            ("{\"get\": {\"kye\": \"a\"}}", "line 1"),
        ] {
            let error = parse(bad.as_bytes()).expect_err(bad).to_string();
            assert!(error.contains(words), "{error}");
        }
        let many = "{\"get\": {\"key\": \"a\"}}\n".repeat(1_001);
        assert!(parse(many.as_bytes()).is_err());
    }
}
