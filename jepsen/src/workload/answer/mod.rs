//! What an answer means. The one place where that is decided.
//!
//! | What came | of a write | of a read |
//! |---|---|---|
//! | a success | ok | ok |
//! | 404 `key-not-found` | | ok: there is no such key |
//! | any other 4xx: a condition that does not hold, a bad request | fail | fail |
//! | 503, 507 | fail | fail |
//! | 504, 500, any other status | info | fail |
//! | no connection, so nothing was sent | fail | fail |
//! | no answer in time, or a connection that broke after it was sent | info | fail |
//! | something that is not HTTP of a steadfast node | info | fail |
//!
//! It goes by what is on the wire, not by what the product's client makes of it. A body that
//! contradicts its status is noted as such and believed in neither: the write may have been applied.
//! A read changes nothing, so one without a value never was.

use steadfast_cli::api::problem::{Outcome, Problem};
use steadfast_cli::client::ClientError;

use crate::history::Kind;

#[cfg(test)]
mod tests;

/// What became of an operation without a value: [`Kind::Fail`] or [`Kind::Info`], and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is certain that nothing was applied.
    pub kind: Kind,
    /// In a word or two, the same for all of a sort.
    pub why: String,
}

/// Judges an error.
pub fn judge(error: &ClientError, mutates: bool) -> Verdict {
    let (kind, why) = match error {
        ClientError::Problem { problem, .. } => of_problem(problem),
        ClientError::BadEndpoint { .. } => (Kind::Fail, "bad-endpoint".to_owned()),
        ClientError::Unreachable { tried } => {
            let why = tried.first().map_or("", |(_, why)| why.as_str());
            (Kind::Fail, format!("not sent: {why}"))
        }
        ClientError::NoAnswer { why, .. } => (Kind::Info, format!("no answer: {why}")),
        ClientError::Strange { why, .. } => (Kind::Info, format!("strange: {why}")),
    };
    Verdict { kind: if mutates { kind } else { Kind::Fail }, why }
}

fn of_problem(problem: &Problem) -> (Kind, String) {
    let Problem { status, code, outcome, .. } = problem;
    match (status, outcome) {
        (400..500 | 503 | 507, Outcome::NotApplied) => (Kind::Fail, format!("{status} {code}")),
        (400..500 | 503 | 507, Outcome::Unknown) => {
            (Kind::Info, format!("{status} {code}, yet its outcome is unknown"))
        }
        _ => (Kind::Info, format!("{status} {code}")),
    }
}
