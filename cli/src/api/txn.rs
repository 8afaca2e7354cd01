//! `POST /v1/txn`: several keys of one slot, all or nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number::Exact;
use super::ops::{Op, OpResult};
use super::schema::{BASE64URL, BASE64URL_OR_NONE, one_of_each};
use super::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Where transactions are sent.
pub const PATH: &str = "/v1/txn";
/// Most conditions and operations of one transaction.
pub const ITEMS_MAX: usize = 1_000;

/// Several operations, all of which take effect or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TxnRequest {
    /// What decides between the two lists. None: `then` is taken.
    #[serde(default, rename = "if", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<TxnCondition>,
    /// Carried out if all conditions hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Op>,
    /// Carried out otherwise.
    #[serde(default, rename = "else", skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<Op>,
}

/// What should hold for a key: one of `exists`, `revision` and a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = one_of_each(&[&["key", "key64"], &["exists", "revision", "value", "value64"]])))]
pub struct TxnCondition {
    /// The key, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = KEY_BYTES_MAX))]
    pub key: Option<String>,
    /// The base64url of the key, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = BASE64URL))]
    pub key64: Option<String>,
    /// Whether there should be such a key, or should not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// The revision that it should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Exact<u64>>,
    /// The value that it should have, where that is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = VALUE_BYTES_MAX))]
    pub value: Option<String>,
    /// The base64url of that value, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = BASE64URL_OR_NONE))]
    pub value64: Option<String>,
}

/// What came of a transaction that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TxnAnswer {
    /// Whether all conditions held, so that `then` was carried out.
    pub succeeded: bool,
    /// The version of all that it wrote, if it changed anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Exact<u64>>,
    /// What came of each operation, in order.
    pub results: Vec<OpResult>,
}
