//! Why a call has no answer, and what that says about its outcome.

use std::error::Error;

use reqwest::header::HeaderMap;

use crate::api::problem::{Outcome, Problem};
use crate::exit::Exit;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// An endpoint is not `http://host:port`.
    #[error("the endpoint \"{text}\" cannot be used: {why}")]
    BadEndpoint {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// No endpoint could be connected to, so nothing was sent.
    #[error("no endpoint could be reached ({})", list(tried))]
    Unreachable {
        /// The endpoints, each with why not.
        tried: Vec<(String, String)>,
    },
    /// The request was sent, or part of it, and no answer came.
    #[error("{endpoint} did not answer: {why}")]
    NoAnswer {
        /// Where it was sent.
        endpoint: String,
        /// What was seen instead.
        why: String,
        /// Whether the request could change anything.
        mutates: bool,
    },
    /// The node said why not.
    #[error("{}: {}", problem.title, problem.detail)]
    Problem {
        /// Which node.
        endpoint: String,
        /// The headers of its answer.
        headers: Box<HeaderMap>,
        /// What it said.
        problem: Box<Problem>,
    },
    /// The answer is none of a steadfast node.
    #[error("{endpoint} {why}; is it a steadfast node?")]
    Strange {
        /// Where it came from.
        endpoint: String,
        /// What is strange.
        why: String,
        /// Whether the request could change anything.
        mutates: bool,
    },
}

impl ClientError {
    /// Sorts out why a request was not answered.
    pub(super) fn from_send(endpoint: &str, mutates: bool, error: &reqwest::Error) -> Self {
        let endpoint = endpoint.to_owned();
        if error.is_connect() {
            return Self::Unreachable { tried: vec![(endpoint, deepest(error))] };
        }
        let why = if error.is_timeout() { "no answer in time".to_owned() } else { deepest(error) };
        Self::NoAnswer { endpoint, why, mutates }
    }

    /// Returns what became of the request.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::BadEndpoint { .. } | Self::Unreachable { .. } => Outcome::NotApplied,
            Self::Problem { problem, .. } => problem.outcome,
            Self::NoAnswer { mutates, .. } | Self::Strange { mutates, .. } => {
                if *mutates {
                    Outcome::Unknown
                } else {
                    Outcome::NotApplied
                }
            }
        }
    }

    /// Returns the exit code of a command that fails so.
    pub fn exit(&self) -> Exit {
        match (self, self.outcome()) {
            (_, Outcome::Unknown) => Exit::OutcomeUnknown,
            (Self::BadEndpoint { .. }, _) => Exit::Usage,
            (Self::Unreachable { .. } | Self::NoAnswer { .. }, _) => Exit::Unavailable,
            (Self::Strange { .. }, _) => Exit::Unexpected,
            (Self::Problem { problem, .. }, _) => Exit::of(problem),
        }
    }

    /// Returns what to type or do next.
    pub fn advice(&self) -> String {
        match self {
            Self::BadEndpoint { .. } => "--endpoint http://127.0.0.1:7301".to_owned(),
            Self::Unreachable { .. } => {
                "start a cluster here with `steadfast dev`, or name a node that runs with \
                 --endpoint http://HOST:PORT"
                    .to_owned()
            }
            Self::Problem { problem, .. } => problem.hint.clone().unwrap_or_default(),
            Self::NoAnswer { mutates: true, .. } | Self::Strange { mutates: true, .. } => {
                "see with `steadfast get KEY` or `steadfast cluster status` what happened before \
                 you try again, and that --endpoint names a node's --http, not its --peer"
                    .to_owned()
            }
            Self::NoAnswer { .. } | Self::Strange { .. } => {
                "try again, or look with `steadfast cluster status`; --endpoint names a node's \
                 --http, not its --peer"
                    .to_owned()
            }
        }
    }
}

/// Returns the innermost reason, which is the one that says something.
pub(super) fn deepest(error: &dyn Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn list(tried: &[(String, String)]) -> String {
    let each: Vec<_> = tried.iter().map(|(endpoint, why)| format!("{endpoint}: {why}")).collect();
    each.join(", ")
}
