//! What the process says when it ends. Scripts depend on these numbers.

use crate::api::problem::{Outcome, Problem, code};

/// The exit code of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was done.
    Done = 0,
    /// Something unexpected happened.
    Unexpected = 1,
    /// It was asked for wrongly.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// The condition did not hold.
    PreconditionFailed = 4,
    /// The caller may not.
    NotAuthorised = 5,
    /// The cluster could not, and nothing was applied.
    Unavailable = 6,
    /// Nobody knows whether it took effect.
    OutcomeUnknown = 7,
    /// What was waited for did not come in time.
    WaitDeadline = 8,
    /// A safety check refused it.
    Refused = 9,
    /// The cluster is not healthy.
    Unhealthy = 10,
    /// A history holds what no correct cluster can produce.
    Violation = 11,
    /// Whether a history is right could not be decided. (12 is kept for versions that do not match.)
    Undecided = 13,
}

/// The part of `--help` that lists them.
pub const HELP: &str = "\
Exit codes:
  0  done                      6  unavailable: not applied, safe to retry
  1  unexpected error          7  outcome unknown: read back before you retry
  2  wrong usage               8  what was waited for did not come in time
  3  no such key or shard      9  refused by a safety check
  4  precondition failed      10  the cluster is not healthy
  5  not authorised           11  a consistency violation was found
                             13  consistency could not be decided";

impl Exit {
    /// Returns the exit code for an answer that is a problem.
    pub fn of(problem: &Problem) -> Self {
        match (problem.outcome, problem.status) {
            (Outcome::Unknown, _) => Self::OutcomeUnknown,
            (_, 404) if code::NOT_FOUND.contains(&problem.code.as_str()) => Self::NotFound,
            (_, 412) => Self::PreconditionFailed,
            (_, 409) if code::UNCOUNTED.contains(&problem.code.as_str()) => {
                Self::PreconditionFailed
            }
            (_, 401 | 403) => Self::NotAuthorised,
            (_, 409) => Self::Refused,
            (_, 408 | 429 | 503 | 504 | 507) => Self::Unavailable,
            (_, 400..500) => Self::Usage,
            _ => Self::Unexpected,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Retry;

    #[track_caller]
    fn check(status: u16, code: &str, outcome: Outcome, expected: Exit) {
        let problem = Problem {
            code: code.to_owned(),
            title: String::new(),
            status,
            detail: String::new(),
            outcome,
            retry: Retry::Never,
            hint: None,
            leader: None,
        };
        assert_eq!(Exit::of(&problem), expected, "{status} {code}");
    }

    #[test]
    fn the_document_has_every_exit_code() {
        let document = include_str!("../../docs/troubleshooting.md");
        let rows = document.split("## Exit codes").nth(1).expect("it has them").lines();
        let rows = rows.filter_map(|row| row.strip_prefix("| ")?.split(' ').next());
        let documented: Vec<u8> = rows.filter_map(|number| number.parse().ok()).collect();
        let helped = HELP.split_whitespace().filter_map(|word| word.parse().ok());
        let mut helped: Vec<u8> = helped.collect();
        helped.sort_unstable();
        assert_eq!(documented, helped);
        assert_eq!(helped.last(), Some(&(Exit::Undecided as u8)));
    }

    #[test]
    fn problems_have_exit_codes() {
        check(404, code::KEY_NOT_FOUND, Outcome::NotApplied, Exit::NotFound);
        check(404, code::NO_SUCH_SHARD, Outcome::NotApplied, Exit::NotFound);
        check(404, code::NO_SUCH_NODE, Outcome::NotApplied, Exit::NotFound);
        check(404, "no-such-route", Outcome::NotApplied, Exit::Usage);
        check(400, "bad-ttl", Outcome::NotApplied, Exit::Usage);
        check(413, "value-too-large", Outcome::NotApplied, Exit::Usage);
        check(403, "foreign-origin", Outcome::NotApplied, Exit::NotAuthorised);
        for uncounted in code::UNCOUNTED {
            check(409, uncounted, Outcome::NotApplied, Exit::PreconditionFailed);
        }
        check(409, "init-conflict", Outcome::NotApplied, Exit::Refused);
        check(412, code::PRECONDITION_FAILED, Outcome::NotApplied, Exit::PreconditionFailed);
        check(503, "no-leader", Outcome::NotApplied, Exit::Unavailable);
        check(507, "disk-full", Outcome::NotApplied, Exit::Unavailable);
        check(504, code::OUTCOME_UNKNOWN, Outcome::Unknown, Exit::OutcomeUnknown);
        check(500, "internal", Outcome::Unknown, Exit::OutcomeUnknown);
        check(500, "internal", Outcome::NotApplied, Exit::Unexpected);
    }

    #[test]
    fn numbers_are_those_of_the_contract() {
        let codes = [
            (Exit::Done, 0),
            (Exit::Unexpected, 1),
            (Exit::Usage, 2),
            (Exit::NotFound, 3),
            (Exit::PreconditionFailed, 4),
            (Exit::NotAuthorised, 5),
            (Exit::Unavailable, 6),
            (Exit::OutcomeUnknown, 7),
            (Exit::WaitDeadline, 8),
            (Exit::Refused, 9),
            (Exit::Unhealthy, 10),
            (Exit::Violation, 11),
            (Exit::Undecided, 13),
        ];
        for (exit, number) in codes {
            assert_eq!(exit as u8, number);
            assert!(HELP.contains(&format!("{number}  ")), "{number} is in the help");
        }
    }
}
