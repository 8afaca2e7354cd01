//! `GET /v1/kv?prefix=`: keys in order, a page at a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number::Exact;

/// Most keys in one page, and how many there are by default.
pub const PAGE_MAX: u32 = 1_000;

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListAnswer {
    /// The keys, ascending as bytes.
    pub items: Vec<ListItem>,
    /// What to ask for the next page with. Without it there are no more keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What each shard had applied as of this page. The counts of two shards have no order.
    pub shards: Vec<ListedShard>,
}

/// A key in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListItem {
    /// The key, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The base64url of the key, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key64: Option<String>,
    /// The value, where it is wanted and text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The base64url of the value, where it is wanted and no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value64: Option<String>,
    /// The key's version.
    pub revision: Exact<u64>,
    /// What is left of its time to live, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}

/// A shard that a page comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedShard {
    /// Which one.
    pub shard: u32,
    /// Its count of mutations as of the page.
    pub applied: Exact<u64>,
}
