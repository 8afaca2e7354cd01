//! What can be done to a key, as a part of something larger.
//!
//! Keys and values are text where they are text: `"key": "cart/42"`. Where they are other bytes, their
//! base64url stands under another name: `"key64": "_w"`, `"value64": "AAE"`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::from_key64;
use super::number::Exact;
use super::schema::{BASE64URL, BASE64URL_OR_NONE, DURATION, one_of, one_of_each};
use super::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// One operation, under its name: `{"put": {"key": "a", "value": "1"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Reads a key.
    Get(GetOp),
    /// Stores a value.
    Put(PutOp),
    /// Removes a key.
    Delete(DeleteOp),
    /// Adds to a number.
    Incr(IncrOp),
}

impl Op {
    /// Returns the key that it is about, if that can be read.
    pub fn key(&self) -> Option<Vec<u8>> {
        let (key, key64) = match self {
            Self::Get(it) => (&it.key, &it.key64),
            Self::Put(it) => (&it.key, &it.key64),
            Self::Delete(it) => (&it.key, &it.key64),
            Self::Incr(it) => (&it.key, &it.key64),
        };
        named(key.as_ref(), key64.as_ref())
    }
}

/// Returns the key that is named as text, or else as base64url.
pub(crate) fn named(key: Option<&String>, key64: Option<&String>) -> Option<Vec<u8>> {
    match (key, key64) {
        (Some(key), _) => Some(key.clone().into_bytes()),
        (None, Some(key64)) => from_key64(key64.as_bytes()),
        (None, None) => None,
    }
}

/// Which key to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&["key", "key64"])))]
pub struct GetOp {
    /// The key, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = KEY_BYTES_MAX))]
    pub key: Option<String>,
    /// The base64url of the key, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = BASE64URL))]
    pub key64: Option<String>,
}

/// What to store where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = one_of_each(&[&["key", "key64"], &["value", "value64"]])))]
pub struct PutOp {
    /// The key, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = KEY_BYTES_MAX))]
    pub key: Option<String>,
    /// The base64url of the key, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = BASE64URL))]
    pub key64: Option<String>,
    /// The value, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = VALUE_BYTES_MAX))]
    pub value: Option<String>,
    /// The base64url of the value, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = BASE64URL_OR_NONE))]
    pub value64: Option<String>,
    /// How long the key lives, such as `60s`; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub ttl: Option<String>,
    /// What must hold for the key. Not in a transaction, which has conditions of its own.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Must>,
}

/// Which key to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&["key", "key64"])))]
pub struct DeleteOp {
    /// The key, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = KEY_BYTES_MAX))]
    pub key: Option<String>,
    /// The base64url of the key, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = BASE64URL))]
    pub key64: Option<String>,
    /// What must hold for the key. Not in a transaction, which has conditions of its own.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Must>,
}

/// What to add where. The fields mean what they do in `POST /v1/incr/{key}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&["key", "key64"])))]
pub struct IncrOp {
    /// The key, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = KEY_BYTES_MAX))]
    pub key: Option<String>,
    /// The base64url of the key, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = BASE64URL))]
    pub key64: Option<String>,
    /// What is added. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Exact<i64>>,
    /// What it is added to where there is no such key. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<Exact<i64>>,
    /// The sum must not be less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Exact<i64>>,
    /// The sum must not be more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Exact<i64>>,
    /// How long a key that this creates lives, such as `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub ttl: Option<String>,
    /// Whether `ttl` counts anew for a key that is there, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renew_ttl: bool,
    /// What must hold for the key. Not in a transaction, which has conditions of its own.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Must>,
}

/// What must hold for a key before it is changed: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&["exists", "revision"])))]
pub struct Must {
    /// Whether there must be such a key, or must not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// The revision that the key must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Exact<u64>>,
}

/// What came of an operation that was carried out, under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OpResult {
    /// The key was read.
    Get(GetResult),
    /// The value was stored.
    Put(PutResult),
    /// There is no such key any more.
    Delete(DeleteResult),
    /// The sum was stored.
    Incr(IncrResult),
}

/// What a key holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetResult {
    /// Whether there is such a key. Without it there is nothing else.
    pub found: bool,
    /// The value, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The base64url of the value, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value64: Option<String>,
    /// The key's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Exact<u64>>,
    /// What is left of its time to live, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}

/// A value that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutResult {
    /// Whether there was no such key before.
    pub created: bool,
    /// The key's version.
    pub revision: Exact<u64>,
    /// What is left of its time to live, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}

/// A key that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeleteResult {
    /// Whether it was there before.
    pub existed: bool,
}

/// A number that was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncrResult {
    /// The sum, which is the key's value now.
    pub value: Exact<i64>,
    /// Whether there was no such key before.
    pub created: bool,
    /// The key's version.
    pub revision: Exact<u64>,
    /// What is left of its time to live, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}
