//! The ways of a request about many keys: a part to the leader of each, all at the same time.
//!
//! ```text
//!   items -- by the leader of each --> part, part, part --> one answer, in the order of the items
//!                                        |
//!                                        +-- the leader is gone: to any node, which forwards them
//! ```
//!
//! Parts may be forwarded, unlike requests about one key: a node that refused some items of a slot and
//! carried out others would leave them out of order. So an old table costs a hop, and since no answer
//! says that it is old, it is read anew now and then. Items of one slot are in one part.
//!
//! A part that fails does not fail the others: each of its items says what became of it. Where all
//! fail, so does the request.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::route::{Router, leads_elsewhere};
use super::{Answer, Call, Client, ClientError};
use crate::api::many::{ITEMS_MAX, Item, ItemOutcome, ItemProblem, ManyAnswer};
use crate::api::problem::{Outcome, Retry, code};

/// Oldest table to go by.
const TABLE_AGE_MAX: Duration = Duration::from_secs(5);

/// What the way of an item depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// `None`: its key cannot be read, and a server will say so.
    pub(super) slot: Option<u16>,
    /// Whether it changes nothing.
    pub(super) reads: bool,
}

impl Client {
    /// Sends what `call` makes of the items at some places, to their leaders if this client knows the
    /// way.
    pub(super) async fn send_many(
        &self,
        ways: &[Way],
        call: impl Fn(&[usize]) -> Call,
    ) -> Result<ManyAnswer, ClientError> {
        let countable = (1..=ITEMS_MAX).contains(&ways.len());
        let Some(router) = self.router.as_deref().filter(|_| countable) else {
            let call = call(&(0..ways.len()).collect::<Vec<_>>());
            let mutates = call.mutates;
            return self.send(call).await?.json(mutates);
        };
        let deadline = self.deadline(!ways.iter().all(|way| way.reads));
        self.look_up(router, Some(TABLE_AGE_MAX)).await;
        let mut parts: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
        for (place, way) in ways.iter().enumerate() {
            let leader = way.slot.and_then(|slot| router.leader_of(slot)).map(|(_, leader)| leader);
            parts.entry(leader).or_default().push(place);
        }
        let sent = parts.iter().map(|(leader, places)| {
            let mutates = !places.iter().all(|place| ways[*place].reads);
            let call = Call { mutates, ..call(places) };
            async move {
                let answer = self.send_part(router, leader.as_deref(), &call, deadline).await?;
                answer.items(places.len(), mutates)
            }
        });
        let answers = join_all(sent).await;
        let parts: Vec<_> = parts.into_values().zip(answers).collect();
        if parts.iter().all(|(_, answer)| answer.is_err()) {
            return Err(worst(parts.into_iter().filter_map(|(_, answer)| answer.err())));
        }
        let mut results = BTreeMap::new();
        for (places, answer) in parts {
            match answer {
                Ok(answer) => results.extend(places.into_iter().zip(answer.results)),
                Err(error) => {
                    let failed = |place: usize| (place, unanswered(&error, ways[place].reads));
                    results.extend(places.into_iter().map(failed));
                }
            }
        }
        Ok(ManyAnswer { results: results.into_values().collect() })
    }

    /// Sends a part to its leader, or to any node.
    async fn send_part(
        &self,
        router: &Router,
        leader: Option<&str>,
        call: &Call,
        deadline: Instant,
    ) -> Result<Answer, ClientError> {
        let mut asked = Vec::new();
        if let Some(leader) = leader {
            match self.try_at(leader, call, deadline).await {
                Err(error) if leads_elsewhere(&error) => router.doubt(leader, &error),
                answered => return answered,
            }
            asked.push(leader.to_owned());
        }
        self.send_to_any(router, &asked, call, deadline).await
    }
}

impl Answer {
    /// Reads what came of so many items.
    fn items(self, count: usize, mutates: bool) -> Result<ManyAnswer, ClientError> {
        let many: ManyAnswer = self.json(mutates)?;
        if many.results.len() == count {
            return Ok(many);
        }
        let why = format!("answered {} items of {count}", many.results.len());
        Err(ClientError::Strange { endpoint: self.endpoint, why, mutates })
    }
}

/// Returns the error that says least of what became of the request.
fn worst(errors: impl Iterator<Item = ClientError>) -> ClientError {
    let known = |error: &ClientError| error.outcome() == Outcome::NotApplied;
    errors.min_by_key(known).expect("a request has a part")
}

/// Says of an item that its part was not answered, and what that leaves.
fn unanswered(error: &ClientError, reads: bool) -> Item {
    let in_doubt = !reads && error.outcome() == Outcome::Unknown;
    let (status, code, retry) = match error {
        ClientError::Problem { problem, .. } => {
            (problem.status, problem.code.as_str(), problem.retry)
        }
        ClientError::BadEndpoint { .. }
        | ClientError::Unreachable { .. }
        | ClientError::NoAnswer { .. }
        | ClientError::Strange { .. } => match in_doubt {
            true => (504, code::OUTCOME_UNKNOWN, Retry::Never),
            false => (503, code::NO_ANSWER, Retry::Safe),
        },
    };
    let outcome = if in_doubt { ItemOutcome::Unknown } else { ItemOutcome::NotApplied };
    let (code, detail) = (code.to_owned(), error.to_string());
    Item {
        status,
        outcome,
        applied: None,
        shard: None,
        result: None,
        problem: Some(ItemProblem { code, detail, retry, current: None }),
    }
}
