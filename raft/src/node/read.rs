//! The kinds of reads (D6), and the bytes that name them in [`super::forward`]. None ever gives
//! less than it says.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::time::Instant;

use super::Inner;
use super::api::{Answer, Consistency, Guarantee, Operation, Refusal};
use super::router::Miss;
use crate::command::codec::DecodeError;
use crate::command::codec::fields::{get_option, put_option};
use crate::mutant::Mutant;
use crate::shard::Shard;
use crate::shard::lookup::{Lookup, ReadFailure};
use crate::words::{Key, Revision};

const LINEARIZABLE: u8 = 0;
const LEASE: u8 = 1;
const STALE: u8 = 2;

/// Whether any replica may carry it out, not the leader's alone.
pub(super) fn takes_any_replica(operation: &Operation) -> bool {
    match operation {
        Operation::Read { consistency: Consistency::Stale { .. }, .. } => true,
        Operation::Read { .. } => Mutant::FollowerRead.is_on(),
        Operation::Write(_)
        | Operation::Change { .. }
        | Operation::MapVersion
        | Operation::Scan { .. } => false,
    }
}

/// Looks a key up and says what the answer promises.
pub(super) async fn look_up(
    shard: &Shard,
    key: &Key,
    consistency: Consistency,
    deadline: Instant,
) -> Result<(Lookup, Guarantee), ReadFailure> {
    match consistency {
        Consistency::Linearizable => {}
        Consistency::Lease => {
            if let Some(lookup) = shard.read_by_lease(key, deadline).await? {
                return Ok((lookup, Guarantee::Lease));
            }
        }
        Consistency::Stale { max_staleness, min_applied } => {
            if let Some(wanted) = min_applied {
                shard.applied_at_least(wanted, deadline).await?;
            }
            let (lookup, staleness) = shard.read_stale(key, max_staleness, deadline).await?;
            return Ok((lookup, Guarantee::Stale { staleness }));
        }
    }
    Ok((shard.read(key, deadline).await?, Guarantee::Linearizable))
}

/// Takes an answer that another node gave at most `since_asked` ago. It has grown older on its way,
/// and may be too old by now.
pub(super) fn arrived(
    mut answer: Answer,
    operation: &Operation,
    since_asked: Duration,
) -> Result<Answer, Miss> {
    if let Answer::Read(read) = &mut answer
        && let Guarantee::Stale { staleness } = &mut read.guarantee
    {
        *staleness += Duration::from_millis(millis(since_asked) + 1);
        if let Operation::Read { consistency: Consistency::Stale { max_staleness, .. }, .. } =
            operation
            && max_staleness.is_some_and(|max| max < *staleness)
        {
            let staleness_ms = Some(millis(*staleness));
            let (shard, node) = (read.facts.shard, read.facts.node);
            return Err(Refusal::TooStale { shard, node, staleness_ms }.into());
        }
    }
    Ok(answer)
}

impl Inner {
    pub(super) fn too_stale(&self, shard: &Shard, staleness: Option<Duration>) -> Refusal {
        Refusal::TooStale {
            shard: shard.group().shard,
            node: self.me(),
            staleness_ms: staleness.map(millis),
        }
    }
}

pub(super) fn put_consistency(out: &mut BytesMut, consistency: Consistency) {
    match consistency {
        Consistency::Linearizable => out.put_u8(LINEARIZABLE),
        Consistency::Lease => out.put_u8(LEASE),
        Consistency::Stale { max_staleness, min_applied } => {
            out.put_u8(STALE);
            put_option(out, max_staleness.map(millis));
            put_option(out, min_applied.map(|applied| applied.0));
        }
    }
}

pub(super) fn get_consistency(input: &mut Bytes) -> Result<Consistency, DecodeError> {
    match input.try_get_u8()? {
        LINEARIZABLE => Ok(Consistency::Linearizable),
        LEASE => Ok(Consistency::Lease),
        STALE => {
            let max_staleness = get_option(input)?.map(Duration::from_millis);
            let min_applied = get_option(input)?.map(Revision);
            Ok(Consistency::Stale { max_staleness, min_applied })
        }
        tag => Err(DecodeError::UnknownTag { what: "consistency", tag }),
    }
}

pub(super) fn put_guarantee(out: &mut BytesMut, guarantee: Guarantee) {
    match guarantee {
        Guarantee::Linearizable => out.put_u8(LINEARIZABLE),
        Guarantee::Lease => out.put_u8(LEASE),
        Guarantee::Stale { staleness } => {
            out.put_u8(STALE);
            out.put_u64(millis(staleness));
        }
    }
}

pub(super) fn get_guarantee(input: &mut Bytes) -> Result<Guarantee, DecodeError> {
    match input.try_get_u8()? {
        LINEARIZABLE => Ok(Guarantee::Linearizable),
        LEASE => Ok(Guarantee::Lease),
        STALE => Ok(Guarantee::Stale { staleness: Duration::from_millis(input.try_get_u64()?) }),
        tag => Err(DecodeError::UnknownTag { what: "guarantee", tag }),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
