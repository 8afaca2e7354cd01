//! What was done and seen: one JSON object a line, in the order in which one process noted it.
//!
//! ```text
//!   {"index":17,"time":1234567890,"process":3,"type":"invoke","f":"write","key":"k1","value":42}
//!   {"index":18,"time":1234609123,"process":3,"type":"ok","f":"write","key":"k1","value":42,
//!    "node":2,"shard":1,"revision":88,"applied":1042,...}
//! ```
//!
//! The shape is Jepsen's, so that other checkers read it too: an operation is an `invoke` and, of
//! the same process, the next `ok`, `fail` or `info`. `fail` is certainly not applied, `info` may have
//! been applied at any time since, or may be applied later; a process whose operation ended so does
//! nothing more, for its operation has not ended. Times are of one monotonic clock, in nanoseconds
//! since the run began: an invocation is stamped before its first byte is sent, a completion after
//! the last byte of the answer was read.
//!
//! Written by a [`Recorder`], read back as a [`History`] of operations.

pub mod event;
mod fault;
mod json;
mod operation;
mod read;
mod recorder;

#[cfg(test)]
mod tests;

pub use event::{Account, Event, Function, Kind, Mode, Page, Process, Replica, Term, Value};
pub use fault::{Fault, faults};
pub use operation::{History, KeyId, Moment, Operation, Outcome, Pairing, PairingError};
pub use read::{HistoryError, read};
pub use recorder::{Answer, Begun, Call, End, Recorder};
