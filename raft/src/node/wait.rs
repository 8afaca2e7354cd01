//! Waiting for a key to change, at any node that has a replica of its shard.

use super::Node;
use super::api::{Bound, Consistency, Elsewhere, Operation, Refusal, RequestError};
use crate::limits;
use crate::shard::Shard;
use crate::shard::waits::KeyWait;
use crate::words::{Key, ShardId};

/// Where to wait for a key.
#[derive(Debug)]
pub enum Waiting {
    /// Here: a place in the key's line.
    Here(KeyWait),
    /// This node has no replica that would hear of it. No other node is asked to wait: that would hold
    /// a part of the connection to it.
    Elsewhere(Elsewhere),
}

impl Node {
    /// Gets in line for a change of `key`. Look the key up after that, linearizably: what the answer
    /// does not reflect wakes the line, but for an expiry.
    pub fn wait_for(&self, key: &Key) -> Result<Waiting, RequestError> {
        let consistency = Consistency::Linearizable;
        let way = self.inner.way(&Operation::Read { key: key.clone(), consistency });
        let refuse = |refusal: Refusal| RequestError::NotApplied(refusal);
        // A replica that has halted applies nothing, and so wakes nobody.
        if let Some(here) = way.here.as_ref().filter(|here| here.halted().is_none()) {
            let waits: u64 = self.inner.shards().iter().map(Shard::key_waits).sum();
            if limits::KEY_WAITS_MAX as u64 <= waits {
                return Err(refuse(Refusal::Overloaded { bound: Bound::KeyWaits }));
            }
            return Ok(Waiting::Here(here.wait_for(key.clone())));
        }
        self.inner.refuse_at_once(&way).map_err(refuse)?;
        let shard = way.shard.unwrap_or(ShardId::META);
        let elsewhere = self.inner.led_elsewhere(&way).map(Waiting::Elsewhere);
        elsewhere.ok_or_else(|| refuse(Refusal::NoLeader { shard, waited_ms: 0 }))
    }
}
