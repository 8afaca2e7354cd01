//! Stale reads (D6): any replica answers from its own state, and says how old that may be.
//!
//! No two clocks are compared. The replica notes its own time `T`, then asks the leader up to where
//! the log was confirmed; once it has applied that much, its state reflects every write that was
//! acknowledged before `T`. However long question and answer took, the answer's age is `now - T`:
//!
//! ```text
//!   here     T ---------+                            +-- applied -- answer: now - T old
//!                        \ ReadIndex                / position
//!   leader                +-- a whole round --------+
//! ```
//!
//! The leader confirms itself after the question has come, as for a linearizable read, and answers
//! with what it has applied by then. Every write that was acknowledged before the question left was
//! applied by its leader before that.
//!
//! The time is the boottime, which goes on while a machine sleeps, so a sleep adds to the age as it
//! should. What a hypervisor hides from both clocks it hides from the age too.
//!
//! A replica asks only while somebody reads from it like this, and then not more often than
//! [`REFRESH_INTERVAL`]. Before its first confirmation it does not know how old it is, and answers
//! nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::Shard;
use super::lookup::{Lookup, ReadFailure};
use super::network::check_target;
use super::rpc::messages::{Message, decode_request, encode_answer};
use super::rpc::{get_position, put_position};
use crate::clock::Clock;
use crate::runtime::watch;
use crate::transport::frame::{Reason, Refused};
use crate::transport::wire::Malformed;
use crate::words::{Key, LogPosition, Revision};

/// Least time between two questions to the leader.
const REFRESH_INTERVAL: Duration = Duration::from_millis(50);
/// How long after the last stale read the leader is still asked.
const INTEREST: Duration = Duration::from_secs(3);

/// How old the state of a replica is at most, as far as it knows.
#[derive(Debug)]
pub struct Freshness {
    clock: Arc<dyn Clock>,
    known: watch::Sender<Known>,
    /// Until when it is worth while to ask the leader.
    wanted_until: Mutex<Option<Instant>>,
    wanted: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The state reflects every write that was acknowledged before this boottime. Never decreases.
    fresh_at: Option<Duration>,
    /// Questions that were begun.
    begun: u64,
    /// Questions that came to an end, good or bad.
    ended: u64,
}

impl Freshness {
    /// Returns what a replica knows that has just been started: nothing.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            known: watch::Sender::default(),
            wanted_until: Mutex::default(),
            wanted: Notify::new(),
        }
    }

    /// Returns how old the state is at most, rounded up to milliseconds: at least 1 ms.
    fn staleness(&self) -> Option<Duration> {
        let fresh_at = self.known.borrow().fresh_at?;
        let age = self.clock.boottime().saturating_sub(fresh_at);
        let whole = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Some(Duration::from_millis(whole.saturating_add(1)))
    }

    /// Notes that somebody reads.
    fn want(&self) {
        let until = Instant::now() + INTEREST;
        *self.wanted_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        self.wanted.notify_one();
    }

    fn is_wanted(&self) -> bool {
        let until = *self.wanted_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Waits for the end of a question that begins after this call.
    async fn refreshed(&self) {
        let mut known = self.known.subscribe();
        let begun = known.borrow().begun;
        // The sender lives as long as this does.
        known.wait_for(|known| begun < known.ended).await.ok();
    }
}

impl Shard {
    /// Looks a key up in the state as it is, if that is not older than `max`, and says how old it
    /// is at most. Tries once to get fresh enough.
    pub async fn read_stale(
        &self,
        key: &Key,
        max: Option<Duration>,
        deadline: Instant,
    ) -> Result<(Lookup, Duration), ReadFailure> {
        self.inner.freshness.want();
        if let Some(answer) = self.look_up_fresh(key, max)? {
            return Ok(answer);
        }
        // At the deadline it is as fresh as it is.
        drop(timeout_at(deadline, self.inner.freshness.refreshed()).await);
        let answer = self.look_up_fresh(key, max)?;
        answer.ok_or_else(|| ReadFailure::TooStale(self.inner.freshness.staleness()))
    }

    /// Waits until the state here reflects so many mutations.
    pub async fn applied_at_least(
        &self,
        wanted: Revision,
        deadline: Instant,
    ) -> Result<(), ReadFailure> {
        let mut progress = self.progress();
        let reached = progress.wait_for(|progress| wanted <= progress.applied);
        match timeout_at(deadline, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_closed)) => Err(ReadFailure::Halted),
            Err(_elapsed) => {
                let applied = self.content().state.applied();
                Err(ReadFailure::Behind { applied, wanted })
            }
        }
    }

    fn look_up_fresh(
        &self,
        key: &Key,
        max: Option<Duration>,
    ) -> Result<Option<(Lookup, Duration)>, ReadFailure> {
        if self.halted().is_some() {
            return Err(ReadFailure::Halted);
        }
        if self.inner.freshness.staleness().is_none() {
            return Ok(None);
        }
        let lookup = self.look_up(key)?;
        // The age is as of the answer, so it is taken last; the state can only have become fresher.
        let Some(age) = self.inner.freshness.staleness() else { return Ok(None) };
        Ok(max.is_none_or(|max| age <= max).then_some((lookup, age)))
    }

    /// Has a majority confirm that this replica leads, and returns a position that reflects every
    /// write that was acknowledged before the call.
    async fn confirmed_position(&self) -> Option<LogPosition> {
        self.inner.reads.confirm().await.ok()?;
        self.content().position
    }

    /// Answers a replica that asks for such a position.
    pub async fn read_index(&self, body: Bytes) -> Result<Bytes, Refused> {
        let (to, ()) = decode_request(body)?;
        check_target(to, self.me())?;
        let position = self.confirmed_position().await;
        let refuse =
            || Refused::new(Reason::NotNow, "this replica could not confirm its leadership");
        position.map(|position| encode_answer(&position)).ok_or_else(refuse)
    }

    /// Asks the leader once, and waits until its answer is applied here.
    async fn refresh(&self) {
        let freshness = &self.inner.freshness;
        let asked_at = freshness.clock.boottime();
        freshness.known.send_modify(|known| known.begun += 1);
        let asked = timeout(self.inner.timers.election_max, self.ask_position()).await;
        let mut fresh_at = None;
        if let Ok(Some(asked)) = asked {
            let reached = |at: LogPosition| asked.index <= at.index;
            let mut applied = self.progress();
            let waited = applied.wait_for(|progress| progress.position.is_some_and(reached)).await;
            fresh_at = waited.is_ok().then_some(asked_at);
        }
        freshness.known.send_modify(|known| {
            known.ended += 1;
            known.fresh_at = known.fresh_at.max(fresh_at);
        });
    }

    async fn ask_position(&self) -> Option<LogPosition> {
        let leader = self.leadership().leader?;
        if leader == self.me() {
            return self.confirmed_position().await;
        }
        let route = self.inner.network.route(leader);
        route.read_index(self.inner.timers.election_max).await
    }
}

/// Keeps the replica fresh while somebody wants it, until the shard stops.
pub async fn run(shard: Shard) {
    loop {
        shard.inner.freshness.wanted.notified().await;
        while shard.inner.freshness.is_wanted() {
            let next = Instant::now() + REFRESH_INTERVAL;
            shard.refresh().await;
            sleep_until(next).await;
        }
    }
}

/// What a leader answers.
impl Message for LogPosition {
    fn put(&self, buffer: &mut BytesMut) {
        put_position(buffer, *self);
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        get_position(bytes)
    }
}
