//! Decides registers whose values are unique and that are only read and written, in `O(n log n)`.
//!
//! Gibbons and Korach, *Testing Shared Memories* (SIAM J. Comput. 26(4), 1997), with operations that
//! never ended: each value is written once, so the operations fall into clusters, a write with the
//! reads that saw it, and in any legal order a cluster is contiguous. Let `m` be where the first of a
//! cluster ended and `s` where the last began.
//!
//! ```text
//!   m < s: forward zone [m, s]     the value is in the register all this time
//!   s < m: backward zone [s, m]    one moment in it is enough for the whole cluster
//! ```
//!
//! The history is linearizable just if no read ended before its write began, no two forward zones
//! overlap, and no backward zone lies inside a forward one. The absence at the beginning is a value
//! that was written before everything. A write that never ended counts as ending never, and is left
//! out if nobody saw its value ([`super::register::without_unseen`]).
//!
//! It relies on unique values and on nothing that a server says but the values. Compare-and-swap and
//! deletions are beyond it.

use std::collections::BTreeMap;

use super::register::{Op, Step};

/// What the zones say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zones {
    /// There is a legal order.
    Linearizable,
    /// There is none; these operations, by their places in the input, show it.
    Illegal(Vec<usize>),
    /// There are values that were written twice, or steps other than reads and writes.
    Beyond,
}

/// A write and the reads that saw its value.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    /// The write; `None` for the absence at the beginning.
    write: Option<usize>,
    /// The operation that ended first, and where.
    first_end: (u64, Option<usize>),
    /// The operation that began last, and where.
    last_call: (u64, Option<usize>),
}

impl Cluster {
    fn of_write(i: usize, op: &Op) -> Self {
        let (end, call) = (after_zero(op.end), after_zero(op.call));
        Self { write: Some(i), first_end: (end, Some(i)), last_call: (call, Some(i)) }
    }

    fn read(&mut self, i: usize, op: &Op) {
        self.first_end = self.first_end.min((after_zero(op.end), Some(i)));
        self.last_call = self.last_call.max((after_zero(op.call), Some(i)));
    }

    fn is_forward(&self) -> bool {
        self.first_end.0 < self.last_call.0
    }

    /// The operations that make it what it is.
    fn shown_by(&self) -> impl Iterator<Item = usize> {
        [self.write, self.first_end.1, self.last_call.1].into_iter().flatten()
    }
}

/// A place of an event: 0 is before the first.
fn after_zero(place: u64) -> u64 {
    place.saturating_add(1)
}

/// Decides a register that is absent at first.
pub fn zones(ops: &[Op]) -> Zones {
    // Before everything, and absent.
    let absent = Cluster { write: None, first_end: (0, None), last_call: (0, None) };
    let mut clusters = BTreeMap::from([(None, absent)]);
    for (i, op) in ops.iter().enumerate() {
        match op.step {
            Step::Write(value) => {
                if clusters.insert(Some(value), Cluster::of_write(i, op)).is_some() {
                    return Zones::Beyond;
                }
            }
            Step::Read(_) => {}
            Step::Cas(..) | Step::Delete | Step::Refused(_) => return Zones::Beyond,
        }
    }
    for (i, op) in ops.iter().enumerate() {
        let Step::Read(seen) = op.step else { continue };
        let Some(cluster) = clusters.get_mut(&seen) else { return Zones::Illegal(vec![i]) };
        if let Some(write) = cluster.write.filter(|&write| op.end < ops[write].call) {
            return Zones::Illegal(vec![write, i]);
        }
        cluster.read(i, op);
    }
    match conflict(clusters.into_values().collect()) {
        Some((one, other)) => Zones::Illegal(one.shown_by().chain(other.shown_by()).collect()),
        None => Zones::Linearizable,
    }
}

/// Returns two clusters that cannot both be contiguous.
fn conflict(clusters: Vec<Cluster>) -> Option<(Cluster, Cluster)> {
    let (mut forward, backward): (Vec<_>, Vec<_>) =
        clusters.into_iter().partition(Cluster::is_forward);
    forward.sort_unstable_by_key(|cluster| cluster.first_end.0);
    let overlap = forward.windows(2).find(|two| two[1].first_end.0 < two[0].last_call.0);
    if let Some(two) = overlap {
        return Some((two[0], two[1]));
    }
    backward.into_iter().find_map(|inner| {
        let after = forward.partition_point(|outer| outer.first_end.0 < inner.last_call.0);
        let outer = forward[..after].last()?;
        (inner.first_end.0 < outer.last_call.0).then_some((*outer, inner))
    })
}
