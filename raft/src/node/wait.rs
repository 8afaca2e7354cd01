//! Waiting for a key to change, at any node that has a replica of its shard.

use super::Node;
use super::api::{Bound, Consistency, Elsewhere, Operation, Refusal, RequestError};
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
        if let Some(here) = &way.here {
            let place = here.wait_for(key.clone());
            let full = Refusal::Overloaded { bound: Bound::KeyWaits };
            return place.map(Waiting::Here).ok_or_else(|| refuse(full));
        }
        self.inner.refuse_at_once(&way).map_err(refuse)?;
        let shard = way.shard.unwrap_or(ShardId::META);
        let elsewhere = self.inner.led_elsewhere(&way).map(Waiting::Elsewhere);
        elsewhere.ok_or_else(|| refuse(Refusal::NoLeader { shard, waited_ms: 0 }))
    }
}
