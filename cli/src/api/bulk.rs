//! `GET /v1/export` and `POST /v1/import`: many keys as lines of JSON (NDJSON).
//!
//! ```text
//!   {"export": {"format": 1, "cluster": "c0ffee", "version": "0.1.0", "at_ms": 1763760000000}}
//!   {"key": "cart/42", "value": "[]"}
//!   {"key64": "_w", "value64": "AAE", "ttl_ms": 59321, "expires_at_ms": 1763760059321}
//!   {"cursor": "2.AQ.."}                 an export that was cut goes on from here
//!   {"end": {"keys": 2}}                 without it the export was cut
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where keys are exported.
pub const EXPORT_PATH: &str = "/v1/export";
/// Where keys are imported.
pub const IMPORT_PATH: &str = "/v1/import";
/// The media type of both.
pub const NDJSON: &str = "application/x-ndjson";
/// The format that this version writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

/// A line of an export. It is one of: the manifest, a key, a cursor, the end mark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Of the first line: what the lines are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<Manifest>,
    /// The key, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The base64url of the key, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key64: Option<String>,
    /// The value, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The base64url of the value, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value64: Option<String>,
    /// What was left of its time to live as of the export. An import goes by it only where
    /// `expires_at_ms` is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// When it expires, in Unix milliseconds by the clock of the node that exported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// What leads on from here, with the keys of all lines before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Of the last line: that this is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// The first line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the lines.
    pub format: u32,
    /// The cluster that they come from.
    #[serde(default)]
    pub cluster: String,
    /// The version of the node that wrote them.
    #[serde(default)]
    pub version: String,
    /// When it began to, in Unix milliseconds by its clock.
    #[serde(default)]
    pub at_ms: u64,
    /// The base64url of what the keys begin with; without it all keys were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix64: Option<String>,
}

/// The last line of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// How many keys there are in all lines, those before a cursor that led on included.
    pub keys: u64,
}

/// What came of an import that met nothing that stopped it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportAnswer {
    /// The number of the last line. All up to it are done with.
    pub lines: u64,
    /// Keys that were stored.
    pub stored: u64,
    /// Keys that were there and stay as they were: only with `if_absent`.
    pub kept: u64,
    /// Keys whose time had passed by now: they were not stored.
    pub expired: u64,
    /// Whether the last line was the end mark. Without it there may have been more.
    pub ended: bool,
}

impl Manifest {
    /// Returns why these lines cannot be imported, if they cannot.
    pub fn unreadable(&self) -> Option<String> {
        (self.format != FORMAT)
            .then(|| format!("its format is {}; this version reads {FORMAT}", self.format))
    }
}
