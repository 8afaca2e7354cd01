//! `POST /v1/incr/{key}`: a number that the cluster counts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number::Exact;
use super::schema::DURATION;

/// Where numbers are counted.
pub const PATH: &str = "/v1/incr";

/// What to add to the number under a key. An empty body means all defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IncrRequest {
    /// What is added; a negative number is taken away. Default: 1.
    pub by: Exact<i64>,
    /// What it is added to where there is no such key. Default: 0.
    pub initial: Exact<i64>,
    /// The sum must not be less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Exact<i64>>,
    /// The sum must not be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Exact<i64>>,
    /// How long a key that this creates lives, such as `60s`; without it, for ever. A key that is
    /// there keeps what it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub ttl: Option<String>,
    /// Whether `ttl` counts anew for a key that is there, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub renew_ttl: bool,
}

/// A number that was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncrAnswer {
    /// The sum, which is the key's value now.
    pub value: Exact<i64>,
    /// Whether there was no such key before.
    pub created: bool,
    /// The key's new version.
    pub revision: Exact<u64>,
    /// What is left of its time to live, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}

impl Default for IncrRequest {
    fn default() -> Self {
        Self { by: Exact(1), initial: Exact(0), min: None, max: None, ttl: None, renew_ttl: false }
    }
}
