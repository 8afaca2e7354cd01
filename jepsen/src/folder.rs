//! What a run's folder holds. The nodes' logs, `n1.log` and so on, are beside it.

/// What was done and seen.
pub const HISTORY: &str = "history.jsonl";
/// The faults, to be followed again.
pub const SCHEDULE: &str = "schedule.json";
/// What was asked for, and what came of it.
pub const RUN: &str = "run.json";
/// How to judge the history, if not by the defaults: [`crate::judge::Settings`].
pub const SETTINGS: &str = "judge.json";
/// What was found.
pub const RESULTS: &str = "results.json";
/// What a person looks at.
pub const REPORT: &str = "report.html";
/// The history for other checkers.
pub const EDN: &str = "history.edn";
