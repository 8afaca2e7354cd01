//! `GET /v1/kv/{key}?wait=30s` with `If-None-Match`: the answer comes when the key is no longer as its
//! reader knows it.
//!
//! The request gets in the key's line at the replica here, and then reads linearizably: what that
//! read does not show wakes it later. A wake is a hint, and each is followed by another such read. An
//! expiry wakes nobody, but a read says when it is due.

use std::time::Duration;

use steadfast_raft::node::Node;
use steadfast_raft::node::api::{Consistency, Elsewhere, ReadAnswer, RequestError};
use steadfast_raft::node::wait::Waiting;
use steadfast_raft::words::{Key, TtlMs};
use tokio::time::{Instant, sleep_until};

use super::condition::Tag;
use crate::http::Draining;

/// What a request waits for, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// The key.
    pub(super) key: Key,
    /// The version that the client has.
    pub(super) known: Tag,
    /// How long to wait for another.
    pub(super) longest: Duration,
    /// How long each read may take.
    pub(super) timeout: Duration,
}

/// Waits, and reads the key. Where no replica here would hear of it, says where one would.
pub(super) async fn read(
    node: &Node,
    wait: &Wait,
    mut draining: Draining,
) -> Result<Result<ReadAnswer, Elsewhere>, RequestError> {
    let mut until = Instant::now() + wait.longest;
    let place = match node.wait_for(&wait.key)? {
        Waiting::Here(place) => place,
        Waiting::Elsewhere(elsewhere) => return Ok(Err(elsewhere)),
    };
    loop {
        let began = Instant::now();
        let deadline = began + wait.timeout;
        let read = node.get(wait.key.clone(), Consistency::Linearizable, deadline).await?;
        let known = read.found.as_ref().filter(|found| wait.known.names(found.revision));
        let Some(found) = known.filter(|_| began < until) else { return Ok(Ok(read)) };
        let expires = found.expires_in.map(|TtlMs(ms)| Instant::now() + Duration::from_millis(ms));
        tokio::select! {
            biased;
            // A node that is about to stop answers what it knows, so that its clients go on elsewhere.
            () = draining.begun() => until = Instant::now(),
            () = place.woken() => {}
            () = sleep_until(expires.map_or(until, |expires| expires.min(until))) => {}
        }
    }
}
