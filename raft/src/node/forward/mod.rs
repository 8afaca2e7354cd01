//! The bytes of a request that one node hands to another, and of the verdict that comes back.
//!
//! ```text
//!   request   version u8 = 1 | hop u8 = 1 | deadline left ms u32 | operation
//!   operation 1 read   consistency | key     0 linearizable, 1 lease, 2 stale and option max ms
//!             2 write  command
//!             3 change shard u32 | command
//!             4 map version
//!             5 scan   shard u32 | scan, see [`scan`]
//!
//!   verdict   version u8 = 1 | 0 not here      option leader u64
//!                            | 1 read answer   facts | guarantee | 0, or 1 found
//!                                             0 linearizable, 1 lease, 2 stale and ms u64
//!                            | 2 write answer  facts | result, see [`results`]
//!                            | 3 refusal       tag u8 | fields
//!                            | 4 doubt         tag u8 | fields
//!                            | 5 owned         epoch u64
//!                            | 6 map           version u64 | changed u8
//!                            | 7 scanned       facts | stretch, see [`scan`]
//!   facts     shard u32 | node u32 | option leader u64 | term u64 | replica u64 | applied u64
//!             | log time u64 | map epoch u64
//! ```
//!
//! Keys, values, commands and options are those of [`crate::command::codec`]. A deadline travels
//! as what is left of it, because clocks differ.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use self::reasons::{get_doubt, get_refusal, put_doubt, put_refusal};
use self::results::{get_result, put_result};
use self::scan::{get_scan, get_stretch, put_scan, put_stretch};
use super::api::{Answer, Facts, Found, Operation, ReadAnswer, RequestError, WriteAnswer};
use super::read::{get_consistency, get_guarantee, put_consistency, put_guarantee};
use super::scan::Scanned;
use crate::command::Command;
use crate::command::codec::fields::{
    get_bool, get_key, get_option, get_value, get_version, put_key, put_option, put_value,
};
use crate::command::codec::{DecodeError, command_bytes, get_command, put_command};
use crate::words::{Epoch, LogTime, NodeId, ReplicaId, Revision, ShardId, Term, TtlMs};

mod reasons;
mod results;
mod scan;

const VERSION: u8 = 1;
/// The only hop there is: a request that came in a frame is never sent on.
const HOP: u8 = 1;

const READ: u8 = 1;
const WRITE: u8 = 2;
const CHANGE: u8 = 3;
const MAP_VERSION: u8 = 4;
const SCAN: u8 = 5;

/// Room for the fields of a request or verdict that do not vary much: a buffer that grows is copied.
const SMALL_BYTES: usize = 128;

const NOT_HERE: u8 = 0;
const READ_ANSWER: u8 = 1;
const WRITE_ANSWER: u8 = 2;
const REFUSAL: u8 = 3;
const DOUBT: u8 = 4;
const OWNED: u8 = 5;
const MAP: u8 = 6;
const SCANNED: u8 = 7;

/// What a node says of a request that was forwarded to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was served.
    Answered(Answer),
    /// It was certainly not applied, because the shard is not led there, or not surely, or does not
    /// own the key.
    NotHere {
        /// Who leads the shard, as far as it is known there.
        leader: Option<NodeId>,
    },
    /// It ends here.
    Failed(RequestError),
}

/// Returns the bytes of a request.
pub(super) fn encode_request(operation: &Operation, left: Duration) -> Bytes {
    let mut out = BytesMut::with_capacity(SMALL_BYTES + operation_bytes(operation));
    out.put_u8(VERSION);
    out.put_u8(HOP);
    out.put_u32(u32::try_from(left.as_millis()).unwrap_or(u32::MAX));
    match operation {
        Operation::Read { key, consistency } => {
            out.put_u8(READ);
            put_consistency(&mut out, *consistency);
            put_key(&mut out, key);
        }
        Operation::Write(command) => {
            out.put_u8(WRITE);
            put_command(&mut out, command);
        }
        Operation::Change { shard, command } => {
            out.put_u8(CHANGE);
            out.put_u32(shard.0);
            put_command(&mut out, command);
        }
        Operation::MapVersion => out.put_u8(MAP_VERSION),
        Operation::Scan { shard, scan } => {
            out.put_u8(SCAN);
            out.put_u32(shard.0);
            put_scan(&mut out, scan);
        }
    }
    out.freeze()
}

/// Reads what [`encode_request`] returned.
pub(super) fn decode_request(mut input: Bytes) -> Result<(Operation, Duration), DecodeError> {
    get_version(&mut input, VERSION)?;
    if input.try_get_u8()? != HOP {
        return Err(DecodeError::OutOfBounds { what: "hop count" });
    }
    let left = Duration::from_millis(input.try_get_u32()?.into());
    let operation = match input.try_get_u8()? {
        READ => {
            let consistency = get_consistency(&mut input)?;
            Operation::Read { key: get_key(&mut input)?, consistency }
        }
        WRITE => Operation::Write(get_keyed(&mut input, true)?),
        CHANGE => {
            let shard = ShardId(input.try_get_u32()?);
            Operation::Change { shard, command: get_keyed(&mut input, false)? }
        }
        MAP_VERSION => Operation::MapVersion,
        SCAN => {
            let shard = ShardId(input.try_get_u32()?);
            Operation::Scan { shard, scan: get_scan(&mut input)? }
        }
        tag => return Err(DecodeError::UnknownTag { what: "operation", tag }),
    };
    end(&input)?;
    Ok((operation, left))
}

/// Returns the bytes of a verdict.
pub(super) fn encode_verdict(verdict: &Verdict) -> Bytes {
    let mut out = BytesMut::with_capacity(SMALL_BYTES + found_bytes(verdict));
    out.put_u8(VERSION);
    match verdict {
        Verdict::NotHere { leader } => put_not_here(&mut out, *leader),
        // Routes are of clients: what nodes ask one another is carried out or not.
        Verdict::Failed(RequestError::Elsewhere(_)) => put_not_here(&mut out, None),
        Verdict::Answered(Answer::Owned { epoch }) => {
            out.put_u8(OWNED);
            out.put_u64(epoch.0);
        }
        Verdict::Answered(Answer::Map { version, changed }) => {
            out.put_u8(MAP);
            out.put_u64(version.0);
            out.put_u8((*changed).into());
        }
        Verdict::Answered(Answer::Read(answer)) => {
            out.put_u8(READ_ANSWER);
            put_facts(&mut out, &answer.facts);
            put_guarantee(&mut out, answer.guarantee);
            out.put_u8(answer.found.is_some().into());
            if let Some(found) = &answer.found {
                put_value(&mut out, &found.value);
                out.put_u64(found.revision.0);
                put_option(&mut out, found.expires_in.map(|ttl| ttl.0));
            }
        }
        Verdict::Answered(Answer::Scanned(scanned)) => {
            out.put_u8(SCANNED);
            put_facts(&mut out, &scanned.facts);
            put_stretch(&mut out, &scanned.stretch);
        }
        Verdict::Answered(Answer::Write(answer)) => {
            out.put_u8(WRITE_ANSWER);
            put_facts(&mut out, &answer.facts);
            put_result(&mut out, &answer.result);
        }
        Verdict::Failed(RequestError::NotApplied(refusal)) => {
            out.put_u8(REFUSAL);
            put_refusal(&mut out, refusal);
        }
        Verdict::Failed(RequestError::Unknown(doubt)) => {
            out.put_u8(DOUBT);
            put_doubt(&mut out, doubt);
        }
    }
    out.freeze()
}

/// Returns about how many bytes an operation takes.
fn operation_bytes(operation: &Operation) -> usize {
    match operation {
        Operation::Write(command) | Operation::Change { command, .. } => command_bytes(command),
        Operation::Read { key, .. } => key.as_bytes().len(),
        Operation::MapVersion | Operation::Scan { .. } => 0,
    }
}

/// Returns the bytes of the value in a verdict, if there is one.
fn found_bytes(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Answered(Answer::Read(ReadAnswer { found: Some(found), .. })) => {
            found.value.as_bytes().len()
        }
        Verdict::Answered(_) | Verdict::NotHere { .. } | Verdict::Failed(_) => 0,
    }
}

fn put_not_here(out: &mut BytesMut, leader: Option<NodeId>) {
    out.put_u8(NOT_HERE);
    put_option(out, leader.map(|node| node.0.into()));
}

/// Reads what [`encode_verdict`] returned.
pub(super) fn decode_verdict(mut input: Bytes) -> Result<Verdict, DecodeError> {
    get_version(&mut input, VERSION)?;
    let verdict = match input.try_get_u8()? {
        NOT_HERE => Verdict::NotHere { leader: get_option(&mut input)?.map(node).transpose()? },
        OWNED => Verdict::Answered(Answer::Owned { epoch: Epoch(input.try_get_u64()?) }),
        MAP => {
            let version = Epoch(input.try_get_u64()?);
            Verdict::Answered(Answer::Map { version, changed: get_bool(&mut input)? })
        }
        READ_ANSWER => Verdict::Answered(Answer::Read(get_read_answer(&mut input)?)),
        WRITE_ANSWER => {
            let facts = get_facts(&mut input)?;
            let result = get_result(&mut input)?;
            Verdict::Answered(Answer::Write(WriteAnswer { facts, result }))
        }
        SCANNED => {
            let facts = get_facts(&mut input)?;
            let stretch = get_stretch(&mut input)?;
            Verdict::Answered(Answer::Scanned(Box::new(Scanned { facts, stretch })))
        }
        REFUSAL => Verdict::Failed(RequestError::NotApplied(get_refusal(&mut input)?)),
        DOUBT => Verdict::Failed(RequestError::Unknown(get_doubt(&mut input)?)),
        tag => return Err(DecodeError::UnknownTag { what: "verdict", tag }),
    };
    end(&input)?;
    Ok(verdict)
}

/// Takes a command that concerns a key, or one that does not.
fn get_keyed(input: &mut Bytes, keyed: bool) -> Result<Command, DecodeError> {
    let command = get_command(input)?;
    if command.key().is_some() == keyed {
        Ok(command)
    } else {
        Err(DecodeError::OutOfBounds { what: "kind of command" })
    }
}

fn end(input: &Bytes) -> Result<(), DecodeError> {
    match input.len() {
        0 => Ok(()),
        bytes => Err(DecodeError::Trailing { bytes }),
    }
}

fn put_facts(out: &mut BytesMut, facts: &Facts) {
    out.put_u32(facts.shard.0);
    out.put_u32(facts.node.0);
    put_option(out, facts.leader.map(|node| node.0.into()));
    out.put_u64(facts.term.number);
    out.put_u64(facts.term.leader.0);
    out.put_u64(facts.applied.0);
    out.put_u64(facts.log_time.0);
    out.put_u64(facts.map_epoch.0);
}

fn get_facts(input: &mut Bytes) -> Result<Facts, DecodeError> {
    Ok(Facts {
        shard: ShardId(input.try_get_u32()?),
        node: NodeId(input.try_get_u32()?),
        leader: get_option(input)?.map(node).transpose()?,
        term: Term { number: input.try_get_u64()?, leader: ReplicaId(input.try_get_u64()?) },
        applied: Revision(input.try_get_u64()?),
        log_time: LogTime(input.try_get_u64()?),
        map_epoch: Epoch(input.try_get_u64()?),
    })
}

fn node(number: u64) -> Result<NodeId, DecodeError> {
    match u32::try_from(number) {
        Ok(number) => Ok(NodeId(number)),
        Err(_) => Err(DecodeError::OutOfBounds { what: "node id" }),
    }
}

fn get_read_answer(input: &mut Bytes) -> Result<ReadAnswer, DecodeError> {
    let facts = get_facts(input)?;
    let guarantee = get_guarantee(input)?;
    let found = if get_bool(input)? {
        Some(Found {
            value: get_value(input)?,
            revision: Revision(input.try_get_u64()?),
            expires_in: get_option(input)?.map(TtlMs),
        })
    } else {
        None
    };
    Ok(ReadAnswer { facts, guarantee, found })
}

#[cfg(test)]
mod tests {
    use super::super::api::{Consistency, Guarantee, WriteResult};
    use super::*;
    use crate::command::increment::Uncounted;
    use crate::command::transaction::{Aborted, Obstacle, StepResult, Transacted};
    use crate::node::api::{Bound, Doubt, Refusal};
    use crate::shard::scan::{Listed, Scan, Stretch};

    fn facts() -> Facts {
        Facts {
            shard: ShardId(1),
            node: NodeId(2),
            leader: Some(NodeId(2)),
            term: Term { number: 5, leader: ReplicaId::new(NodeId(2), 1) },
            applied: Revision(9),
            log_time: LogTime(1_000),
            map_epoch: Epoch(1),
        }
    }

    fn results() -> Vec<WriteResult> {
        vec![
            WriteResult::Stored { created: true, revision: Revision(4), expires_in: None },
            WriteResult::Stored {
                created: false,
                revision: Revision(4),
                expires_in: Some(TtlMs(9)),
            },
            WriteResult::Deleted { existed: true, revision: Revision(6) },
            WriteResult::ConditionFailed { current: None },
            WriteResult::ConditionFailed { current: Some(Revision(7)) },
            WriteResult::Counted {
                value: i64::MIN,
                created: true,
                revision: Revision(4),
                expires_in: Some(TtlMs(9)),
            },
            WriteResult::Uncounted(Uncounted::NotANumber),
            WriteResult::Uncounted(Uncounted::PastBound { current: -1 }),
            WriteResult::Uncounted(Uncounted::Overflow { current: i64::MAX }),
            WriteResult::Transacted(Box::new(Transacted {
                succeeded: true,
                changed: false,
                results: vec![StepResult::Got(None), StepResult::Deleted { existed: false }],
            })),
            WriteResult::Aborted(Aborted {
                succeeded: false,
                step: 999,
                why: Obstacle::TooMuchFound,
            }),
        ]
    }

    fn listed(with_value: bool) -> Listed {
        let value = crate::words::Value::try_from(Bytes::from_static(b"v")).expect("short");
        Listed {
            key: Bytes::from_static(b"k"),
            value: Some(value).filter(|_| with_value),
            revision: Revision(3),
            expires_in: Some(TtlMs(1)),
        }
    }

    fn scanned(upto: Option<Bytes>, keys: Vec<Listed>) -> Verdict {
        let (applied, log_time, epoch) = (Revision(3), LogTime(4), Epoch(5));
        let stretch = Stretch { keys, upto, applied, log_time, epoch };
        Verdict::Answered(Answer::Scanned(Box::new(Scanned { facts: facts(), stretch })))
    }

    fn verdicts() -> Vec<Verdict> {
        let shard = ShardId(1);
        let node = NodeId(3);
        let refusals = [
            Refusal::NoCluster,
            Refusal::Founding { shard },
            Refusal::NoLeader { shard, waited_ms: 7 },
            Refusal::Overloaded { bound: Bound::Proposals },
            Refusal::Overloaded { bound: Bound::ProposalBytes },
            Refusal::Overloaded { bound: Bound::Reads },
            Refusal::LogFull { node },
            Refusal::DiskFull { node },
            Refusal::MemoryFull { node, bound_bytes: 1 << 40 },
            Refusal::Stopping { node },
            Refusal::Halted { shard, node, why: "a reason".into() },
            Refusal::TooStale { shard, node, staleness_ms: None },
            Refusal::TooStale { shard, node, staleness_ms: Some(9) },
            Refusal::Behind { shard, node, applied: Revision(3), wanted: Revision(4) },
            Refusal::Overloaded { bound: Bound::KeyWaits },
        ];
        let doubts = [
            Doubt::Deadline { shard, waited_ms: 8 },
            Doubt::LeaderChanged { shard },
            Doubt::ConnectionLost { node },
            Doubt::Halted { shard, why: "another".into() },
        ];
        let results = results();
        let value = crate::words::Value::try_from(Bytes::from_static(b"v")).expect("short");
        let founds =
            [None, Some(Found { value, revision: Revision(3), expires_in: Some(TtlMs(1)) })];
        let mut all = vec![
            Verdict::NotHere { leader: None },
            Verdict::NotHere { leader: Some(node) },
            Verdict::Answered(Answer::Owned { epoch: Epoch(1) }),
            Verdict::Answered(Answer::Map { version: Epoch(7), changed: true }),
            scanned(None, vec![]),
            scanned(Some(Bytes::from_static(b"k")), vec![listed(true), listed(false)]),
        ];
        all.extend(refusals.map(|it| Verdict::Failed(RequestError::NotApplied(it))));
        all.extend(doubts.map(|it| Verdict::Failed(RequestError::Unknown(it))));
        all.extend(results.into_iter().map(|result| {
            Verdict::Answered(Answer::Write(WriteAnswer { facts: facts(), result }))
        }));
        let staleness = Duration::from_millis(3);
        let guarantees =
            [Guarantee::Linearizable, Guarantee::Lease, Guarantee::Stale { staleness }];
        for guarantee in guarantees {
            all.extend(founds.clone().map(|found| {
                Verdict::Answered(Answer::Read(ReadAnswer { facts: facts(), guarantee, found }))
            }));
        }
        all
    }

    #[test]
    fn every_verdict_survives_the_wire() {
        for verdict in verdicts() {
            let bytes = encode_verdict(&verdict);
            assert_eq!(decode_verdict(bytes.clone()), Ok(verdict.clone()));
            for len in 0..bytes.len() {
                assert!(decode_verdict(bytes.slice(..len)).is_err(), "{verdict:?} cut at {len}");
            }
        }
    }

    #[test]
    fn every_consistency_survives_the_wire() {
        let key = crate::words::Key::try_from(Bytes::from_static(b"k")).expect("short");
        let max_staleness = Some(Duration::from_millis(500));
        for consistency in [
            Consistency::Linearizable,
            Consistency::Lease,
            Consistency::Stale { max_staleness: None, min_applied: None },
            Consistency::Stale { max_staleness, min_applied: Some(Revision(7)) },
        ] {
            let operation = Operation::Read { key: key.clone(), consistency };
            let bytes = encode_request(&operation, Duration::from_millis(1));
            let decoded = decode_request(bytes).expect("it was encoded");
            assert_eq!(decoded, (operation, Duration::from_millis(1)));
        }
    }

    #[test]
    fn a_change_names_its_shard_and_no_key() {
        let own = Command::Own { slots: Vec::new(), epoch: Epoch(1) };
        let change = Operation::Change { shard: ShardId(3), command: own.clone() };
        let left = Duration::from_millis(1);
        let scan = |keys_max| Operation::Scan {
            shard: ShardId(3),
            scan: Scan {
                from: Bytes::from_static(b"a"),
                prefix: Bytes::new(),
                keys_max,
                bytes_max: 5,
                values: true,
            },
        };
        for operation in [change, Operation::MapVersion, scan(1_000)] {
            let bytes = encode_request(&operation, left);
            assert_eq!(decode_request(bytes), Ok((operation, left)));
        }
        let refused = Err(DecodeError::OutOfBounds { what: "kind of command" });
        assert_eq!(decode_request(encode_request(&Operation::Write(own), left)), refused);
        let boundless = Err(DecodeError::OutOfBounds { what: "bound of a scan" });
        assert_eq!(decode_request(encode_request(&scan(1_001), left)), boundless);
        let key = crate::words::Key::try_from(Bytes::from_static(b"k")).expect("short");
        let delete = Command::Delete { key, condition: crate::command::Condition::Always };
        let change = Operation::Change { shard: ShardId(3), command: delete };
        assert_eq!(decode_request(encode_request(&change, left)), refused);
    }

    #[test]
    fn a_request_that_hopped_twice_is_refused() {
        let key = crate::words::Key::try_from(Bytes::from_static(b"k")).expect("short");
        let operation = Operation::Read { key, consistency: Consistency::Linearizable };
        let bytes = encode_request(&operation, Duration::from_millis(1_500));
        assert_eq!(bytes[..], [1, 1, 0, 0, 5, 220, 1, 0, 0, 1, b'k']);
        assert_eq!(decode_request(bytes.clone()), Ok((operation, Duration::from_millis(1_500))));
        let mut hopped = BytesMut::from(&bytes[..]);
        hopped[1] = 2;
        assert_eq!(
            decode_request(hopped.freeze()),
            Err(DecodeError::OutOfBounds { what: "hop count" })
        );
    }
}
