//! `POST /v1/mget` and `POST /v1/batch`: many keys at once, wherever they are.
//!
//! Each item is carried out by itself and has an answer of its own; the answer to the whole is 200
//! also where some of them failed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KEY_BYTES_MAX;
use super::number::Exact;
use super::ops::{Op, OpResult};
use super::problem::Retry;
use super::schema::{BASE64URL, one_of};

/// Where many keys are read.
pub const MGET_PATH: &str = "/v1/mget";
/// Where many operations are carried out.
pub const BATCH_PATH: &str = "/v1/batch";
/// Most items of one request.
pub const ITEMS_MAX: usize = 1_000;

/// Which keys to read: either of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&["keys", "keys64"])))]
pub struct MgetRequest {
    /// The keys, if all are text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = ITEMS_MAX), inner(length(min = 1, max = KEY_BYTES_MAX)))]
    pub keys: Option<Vec<String>>,
    /// The base64url of each key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = ITEMS_MAX), inner(regex(pattern = BASE64URL)))]
    pub keys64: Option<Vec<String>>,
}

/// What to carry out. Operations on keys of one slot are carried out in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// The operations.
    #[schemars(length(min = 1, max = ITEMS_MAX))]
    pub ops: Vec<Op>,
}

/// What came of each item, in the order of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ManyAnswer {
    /// What came of each.
    pub results: Vec<Item>,
}

/// What came of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// The status that the same request alone would have got.
    pub status: u16,
    /// What became of it.
    pub outcome: ItemOutcome,
    /// The shard's count of mutations as of this item, if it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Exact<u64>>,
    /// The shard of its key, if it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u32>,
    /// What came of it, if it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<OpResult>,
    /// Why it was not carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ItemProblem>,
}

/// What became of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemOutcome {
    /// It was carried out: a read was answered, a write took effect.
    Applied,
    /// It did certainly not take effect, and never will.
    NotApplied,
    /// It may have taken effect, or may yet. Never said of a read.
    Unknown,
}

/// Why one item was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemProblem {
    /// The kind of problem, for programs.
    pub code: String,
    /// What happened this time.
    pub detail: String,
    /// Whether to send it again.
    pub retry: Retry,
    /// The key's revision, where a condition on it did not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Exact<u64>>,
}
