//! Who has followed this replica, and until which of its messages: evidence of its own.
//!
//! openraft keeps a clock of that too, but its clock may run ahead. An answer to entries makes it
//! believe that the follower has also taken an empty message that left after them and ends at the
//! same entry (the one that tells how far is committed):
//!
//! ```text
//!   leader     t0: entries ------\    t2: empty ---- lost
//!   follower                      taken -- answer ------> openraft: "it followed me at t2"
//! ```
//!
//! If the answer took long, the follower's support may be over while the leader still counts on it.
//! Holding the answer back until the empty message is answered too would cure that, but wherever the
//! empty message is late or lost, the entries would have to be sent again. So openraft hears of every
//! answer at once, and what reads rest on is counted here: a message counts when that very message
//! is answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::words::{ReplicaId, Vote};

/// A moment, before or after each other one of the same replica even if no time passed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    number: u64,
    /// When it was.
    pub at: Instant,
}

/// The messages of one replica that others have followed. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Support {
    moments: Arc<AtomicU64>,
    /// Of each replica the newest message it followed: the vote that was sent with it, and a moment
    /// before it left.
    followed: Arc<Mutex<BTreeMap<ReplicaId, (Vote, Moment)>>>,
}

impl Support {
    /// Returns this moment.
    pub fn now(&self) -> Moment {
        let number = self.moments.fetch_add(1, Ordering::SeqCst);
        Moment { number, at: Instant::now() }
    }

    /// Notes that `by` followed a message of this replica that left after `before`.
    pub(super) fn note(&self, by: ReplicaId, vote: Vote, before: Moment) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = followed.entry(by).or_insert((vote, before));
        *newest = (vote, before).max(*newest);
    }

    /// Returns a moment before the newest message left that `by` followed, if it was sent with
    /// `vote`.
    pub fn newest(&self, by: ReplicaId, vote: Vote) -> Option<Moment> {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.get(&by).filter(|(with, _)| *with == vote).map(|(_, moment)| *moment)
    }
}
