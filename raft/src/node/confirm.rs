//! Confirms the reads of all shards that this node leads, with one frame to each peer (D6).
//!
//! ```text
//!   shards' waiting reads --take--> round ==one frame a peer==> peers
//!        ^                            |  majority of a group: its reads look up
//!        +---- who comes meanwhile    |  no majority, or late: openraft confirms that group alone
//! ```
//!
//! A round takes what waits and then sends, so no read joins frames that are on their way. Rounds
//! follow each other; one that hangs because a peer is silent holds the next up for
//! [`ROUND_HOLD`] only, and goes on beside it with the groups that are still undecided. What makes
//! a peer's word count stands in [`crate::shard::confirm`].
//!
//! ```text
//!   question   1 | count u16 | (group u64 | to u64 | term u64 | leader u64) ...
//!   answer     1 | count u16 | (0, or 1 where nobody above that vote was voted for) ...
//! ```

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::Inner;
use crate::mutant::Mutant;
use crate::shard::Shard;
use crate::shard::confirm::Reign;
use crate::shard::read::Taken;
use crate::transport::frame::Kind;
use crate::transport::link::{NoAnswer, Waiting};
use crate::transport::wire::{Malformed, end, take_flag};
use crate::words::{GroupId, NodeId, ReplicaId, Term, Vote};

/// Longest time that an unfinished round holds the next one up.
const ROUND_HOLD: Duration = Duration::from_millis(10);

const VERSION: u8 = 1;

/// One group in a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Question {
    group: GroupId,
    /// The replica that is asked.
    to: ReplicaId,
    /// The term that the asking replica leads in.
    term: Term,
}

/// Confirms until the node stops.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut late: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = late.next() => continue,
            () = inner.reads_wait.notified() => {}
        }
        let taken: Vec<Taken> = inner.shards().iter().filter_map(Shard::take_reads).collect();
        if taken.is_empty() {
            continue;
        }
        let mut round = Round::begin(&inner, taken);
        {
            let mut settling = pin!(timeout(ROUND_HOLD, round.settle()));
            loop {
                tokio::select! {
                    biased;
                    _ = &mut settling => break,
                    Some(()) = late.next() => {}
                }
            }
        }
        if !round.is_settled() {
            late.push(round.finish().boxed());
        }
    }
}

/// What one peer was asked, and what it said.
type Answered = (Vec<Question>, Result<Bytes, NoAnswer>);

/// A question to the peers on behalf of the reads that were taken before it was sent.
struct Round {
    /// Groups that no majority has confirmed yet.
    undecided: BTreeMap<GroupId, (Taken, Reign)>,
    /// Groups that cannot be confirmed so.
    unfit: Vec<Taken>,
    answers: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// When the answers are late.
    deadline: Instant,
}

impl Round {
    /// Sends the questions.
    fn begin(inner: &Inner, taken: Vec<Taken>) -> Self {
        let deadline = Instant::now() + inner.config.settings.heartbeat;
        let answers = FuturesUnordered::new();
        let mut round = Self { undecided: BTreeMap::new(), unfit: Vec::new(), answers, deadline };
        let mut questions: BTreeMap<NodeId, Vec<Question>> = BTreeMap::new();
        for taken in taken {
            let Some(reign) = taken.shard().reign() else {
                round.unfit.push(taken);
                continue;
            };
            let (group, term) = (taken.shard().group(), reign.vote.term);
            for to in reign.others(taken.shard().me()) {
                questions.entry(to.node()).or_default().push(Question { group, to, term });
            }
            round.undecided.insert(group, (taken, reign));
        }
        for (node, questions) in questions {
            let asked = inner.transport().peer(node).and_then(|peer| {
                peer.request(Kind::Confirm, GroupId::default(), encode(&questions)).ok()
            });
            // Who cannot be asked says nothing.
            round.answers.extend(asked.map(|waiting| answer(questions, waiting).boxed()));
        }
        round.release();
        round
    }

    /// Whether all groups are decided.
    fn is_settled(&self) -> bool {
        self.undecided.is_empty() && self.unfit.is_empty()
    }

    /// Counts answers until no group waits for them any more, or they are late. Nothing is lost if
    /// it is dropped half way.
    async fn settle(&mut self) {
        while !self.undecided.is_empty() {
            let Ok(Some((questions, answer))) =
                timeout_at(self.deadline, self.answers.next()).await
            else {
                return;
            };
            match answer.map(|body| decode_answer(body, questions.len())) {
                Ok(Ok(votes)) => self.count(&questions, &votes),
                Ok(Err(error)) => tracing::error!(%error, "a confirmation cannot be read"),
                // It says nothing.
                Err(NoAnswer::Lost { .. } | NoAnswer::Refused(_)) => {}
            }
        }
    }

    fn count(&mut self, questions: &[Question], confirmed: &[bool]) {
        for (question, confirmed) in questions.iter().zip(confirmed) {
            if let (true, Some((_, reign))) = (confirmed, self.undecided.get_mut(&question.group)) {
                reign.confirm(question.to);
            }
        }
        self.release();
    }

    /// Lets the reads go that have their majority.
    fn release(&mut self) {
        let decided = self
            .undecided
            .extract_if(.., |_, (_, reign)| reign.is_confirmed() || Mutant::NoReadIndex.is_on());
        for (_, (taken, _)) in decided {
            taken.confirmed();
        }
    }

    /// Waits for the answers that are missing, and leaves to openraft what they do not decide.
    async fn finish(mut self) {
        let unfit = join_all(std::mem::take(&mut self.unfit).into_iter().map(Taken::fall_back));
        let undecided = async {
            self.settle().await;
            let rest = std::mem::take(&mut self.undecided).into_values();
            join_all(rest.map(|(taken, _)| taken.fall_back())).await;
        };
        tokio::join!(unfit, undecided);
    }
}

async fn answer(
    questions: Vec<Question>,
    waiting: Waiting,
) -> (Vec<Question>, Result<Bytes, NoAnswer>) {
    (questions, waiting.await)
}

impl Inner {
    /// Answers a leader that asks whether this node has voted for anyone above it.
    pub(super) fn confirms(&self, body: Bytes) -> Result<Bytes, Malformed> {
        let questions = decode(body)?;
        let mut answer = BytesMut::with_capacity(3 + questions.len());
        answer.put_u8(VERSION);
        answer.put_u16(count(questions.len()));
        for Question { group, to, term } in questions {
            let vote = Vote { term, committed: true };
            let confirms = self.shard_of(group).is_some_and(|shard| shard.confirms(to, vote));
            answer.put_u8(confirms.into());
        }
        Ok(answer.freeze())
    }
}

fn count(len: usize) -> u16 {
    u16::try_from(len).expect("a node has few shards")
}

fn encode(questions: &[Question]) -> Bytes {
    let mut body = BytesMut::with_capacity(3 + 32 * questions.len());
    body.put_u8(VERSION);
    body.put_u16(count(questions.len()));
    for Question { group, to, term } in questions {
        body.put_u64(group.to_bits());
        body.put_u64(to.0);
        body.put_u64(term.number);
        body.put_u64(term.leader.0);
    }
    body.freeze()
}

fn decode(mut body: Bytes) -> Result<Vec<Question>, Malformed> {
    let count = version_and_count(&mut body)?;
    let mut questions = Vec::new();
    for _ in 0..count {
        let group = GroupId::from_bits(body.try_get_u64()?);
        let to = ReplicaId(body.try_get_u64()?);
        let term = Term { number: body.try_get_u64()?, leader: ReplicaId(body.try_get_u64()?) };
        questions.push(Question { group, to, term });
    }
    end(&body)?;
    Ok(questions)
}

/// Reads an answer to so many questions.
fn decode_answer(mut body: Bytes, asked: usize) -> Result<Vec<bool>, Malformed> {
    let count = version_and_count(&mut body)?;
    if usize::from(count) != asked {
        return Err(Malformed(format!("{count} answers to {asked} questions")));
    }
    let answers = (0..count).map(|_| take_flag(&mut body)).collect::<Result<_, _>>()?;
    end(&body)?;
    Ok(answers)
}

fn version_and_count(body: &mut Bytes) -> Result<u16, Malformed> {
    match body.try_get_u8()? {
        VERSION => Ok(body.try_get_u16()?),
        other => Err(Malformed(format!("a confirmation of version {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::ShardId;

    #[test]
    fn questions_have_these_bytes() {
        let leader = ReplicaId::new(NodeId(2), 1);
        let question = Question {
            group: GroupId { shard: ShardId(3), attempt: 1 },
            to: ReplicaId::new(NodeId(1), 1),
            term: Term { number: 5, leader },
        };
        let bytes = encode(&[question]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = [
            "01",
            "0001",
            "0000000300000001",
            "0000000100000001",
            "0000000000000005",
            "0000000200000001",
        ];
        assert_eq!(hex, expected.concat());
        assert_eq!(decode(bytes.clone()), Ok(vec![question]));
        for len in 0..bytes.len() {
            assert!(decode(bytes.slice(..len)).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn an_answer_to_other_questions_is_none() {
        let answer = Bytes::from_static(&[1, 0, 2, 1, 0]);
        assert_eq!(decode_answer(answer.clone(), 2), Ok(vec![true, false]));
        for asked in [0, 1, 3] {
            assert!(decode_answer(answer.clone(), asked).is_err());
        }
    }
}
