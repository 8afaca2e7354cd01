//! Errors (RFC 9457, `application/problem+json`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Codes that programs branch on. A code is never reused for something else.
pub mod code {
    /// There is no such key.
    pub const KEY_NOT_FOUND: &str = "key-not-found";
    /// There is no such shard.
    pub const NO_SUCH_SHARD: &str = "no-such-shard";
    /// There is no such node.
    pub const NO_SUCH_NODE: &str = "no-such-node";
    /// What was named is not there, and everything else is in order.
    pub const NOT_FOUND: [&str; 3] = [KEY_NOT_FOUND, NO_SUCH_SHARD, NO_SUCH_NODE];
    /// The condition of a write did not hold.
    pub const PRECONDITION_FAILED: &str = "precondition-failed";
    /// What is stored is no number that could be added to.
    pub const NOT_A_NUMBER: &str = "not-a-number";
    /// The sum would pass a bound of the request.
    pub const PAST_BOUND: &str = "past-bound";
    /// The sum would not fit into 64 bits.
    pub const OVERFLOW: &str = "overflow";
    /// The keys of a transaction are in several slots.
    pub const CROSS_SLOT: &str = "cross-slot";
    /// Nothing was counted, for what the key holds: the request's own conditions did not hold.
    pub const UNCOUNTED: [&str; 3] = [NOT_A_NUMBER, PAST_BOUND, OVERFLOW];
    /// The key cannot be sent in a path.
    pub const KEY_NEEDS_KEY64: &str = "key-needs-key64";
    /// Another node leads, and the request was not to be forwarded.
    pub const NOT_LED_HERE: &str = "not-led-here";
    /// The node that was asked cannot take the request, and another may.
    pub const ELSEWHERE: [&str; 4] = [NOT_LED_HERE, "stopping", "halted", "no-cluster"];
    /// No node answered. Clients say so themselves, of items whose part of a request was lost.
    pub const NO_ANSWER: &str = "no-answer";
    /// Nobody knows what became of a write.
    pub const OUTCOME_UNKNOWN: &str = "outcome-unknown";
}

/// Why a request has no other answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The kind of problem, for programs.
    pub code: String,
    /// The kind of problem, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// What became of the request.
    pub outcome: Outcome,
    /// Whether to send it again.
    pub retry: Retry,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The leader of the key's shard, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<Leader>,
}

/// What became of a request that was not answered as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did certainly not take effect, and never will.
    NotApplied,
    /// It may have taken effect, or may yet.
    Unknown,
}

/// Whether the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// It may: nothing happened yet.
    Safe,
    /// It would fail alike, or do twice what should happen once.
    Never,
}

/// Where a shard's leader is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leader {
    /// The node's id.
    pub id: u32,
    /// Where clients reach it, once it has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
}
