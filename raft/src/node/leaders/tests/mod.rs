//! The policy case by case and through random faults, what is remembered, and the bytes.

use super::*;
use crate::words::ReplicaId;

mod cluster;
mod faults;
mod memory;
mod one_look;
mod wish;

/// A moment long enough for anything to be stable.
const LONG: Duration = Duration::from_secs(3_600);

fn nodes(ids: &[u32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}
