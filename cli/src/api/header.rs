//! The names of our own headers, in lower case as HTTP/2 wants them.

/// The shard of the key.
pub const SHARD: &str = "steadfast-shard";
/// The node whose state answered.
pub const NODE: &str = "steadfast-node";
/// The shard's leader.
pub const LEADER: &str = "steadfast-leader";
/// The term it leads in: `term.node`.
pub const TERM: &str = "steadfast-term";
/// The shard's count of mutations as of the answer.
pub const APPLIED: &str = "steadfast-applied";
/// The shard's own clock as of the answer, in Unix milliseconds.
pub const LOG_TIME: &str = "steadfast-log-time";
/// What the answer really promises.
pub const CONSISTENCY: &str = "steadfast-consistency";
/// How old a stale answer is at most, in milliseconds.
pub const STALENESS_MS: &str = "steadfast-staleness-ms";
/// The version of the slot map.
pub const MAP_EPOCH: &str = "steadfast-map-epoch";
/// The key's revision, as a decimal number.
pub const REVISION: &str = "steadfast-revision";
/// What is left of the key's time to live, in milliseconds.
pub const EXPIRES_IN: &str = "steadfast-expires-in";
/// Whether the deleted key was there.
pub const EXISTED: &str = "steadfast-existed";
/// How many items of a request about many keys failed.
pub const BATCH_FAILED: &str = "steadfast-batch-failed";
/// How a request finds the leader.
pub const ROUTE: &str = "steadfast-route";
/// How long an answer took.
pub const SERVER_TIMING: &str = "server-timing";
/// How many lines of an import are certainly done with, where it stopped.
pub const IMPORT_LINES: &str = "steadfast-import-lines";
