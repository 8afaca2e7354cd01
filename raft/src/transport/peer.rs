//! What a node knows of one other node, and how it asks it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Inner;
use super::dialled::{self, End};
use super::frame::Kind;
use super::handshake::{Presented, Purpose};
use super::link::{Link, NotSent, Waiting};
use crate::net::Address;
use crate::runtime::{self, Task, watch};
use crate::words::{Boot, GroupId, NodeId};

/// Another node of the cluster. Cheap to clone; all clones are one peer.
#[derive(Clone)]
pub struct Peer {
    pub(super) known: Arc<Known>,
    pub(super) inner: Arc<Inner>,
}

/// What is known of a peer.
pub(super) struct Known {
    pub(super) node: NodeId,
    pub(super) link: Link,
    /// Which process and connection of the peer is the newest. Older ones close.
    pub(super) newest: watch::Sender<Newest>,
    /// Rung when the peer has just connected to us, so that we dial back at once.
    pub(super) redial: Notify,
    /// Rung when there is something to tell it before the second is over.
    pub(super) tell: Notify,
    /// Since when there has been a connection to it.
    connected: Mutex<Option<Instant>>,
    addresses: Mutex<Addresses>,
    /// Why it cannot be reached, and since when.
    missed: Mutex<Option<(Instant, String)>>,
    origin: Instant,
    /// Milliseconds from `origin` to when it was last heard, plus 1; 0 for never.
    heard_ms: AtomicU64,
}

/// The newest that was seen of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Newest {
    /// Its highest boot that was accepted.
    pub(super) boot: Boot,
    /// The newest connection that we accepted from it for requests.
    pub(super) connection: u64,
    /// Whether it has left the cluster.
    pub(super) gone: bool,
}

/// Why a peer cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Milliseconds since the first try that failed.
    pub for_ms: u64,
    /// What came of the last, and where.
    pub why: String,
}

struct Addresses {
    listed: Address,
    announced: Option<Announced>,
}

/// What a peer says of itself: where it can be reached, and how long its support lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// By its peers.
    pub peer: Address,
    /// By clients: a URL.
    pub http: String,
    /// How long it supports a leader whose message it took.
    pub lease: Duration,
}

impl Known {
    pub(super) fn new(node: NodeId, listed: Address) -> Self {
        Self {
            node,
            link: Link::new(node),
            newest: watch::Sender::default(),
            redial: Notify::new(),
            tell: Notify::new(),
            connected: Mutex::default(),
            addresses: Mutex::new(Addresses { listed, announced: None }),
            missed: Mutex::default(),
            origin: Instant::now(),
            heard_ms: AtomicU64::new(0),
        }
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().expect("no step below panics")
    }

    /// Returns the address for this try: the announced and the listed one take turns, because
    /// either may be out of date.
    pub(super) fn address(&self, try_number: u32) -> Address {
        let addresses = self.addresses();
        match &addresses.announced {
            Some(announced) if try_number.is_multiple_of(2) => announced.peer.clone(),
            _ => addresses.listed.clone(),
        }
    }

    pub(super) fn list(&self, address: Address) {
        self.addresses().listed = address;
    }

    /// Notes that there is a connection to it.
    pub(super) fn reached(&self) {
        *self.missed() = None;
    }

    /// Notes that it could not be reached at `address`.
    pub(super) fn missed_at(&self, address: &Address, end: &End) {
        let mut missed = self.missed();
        let since = missed.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        *missed = Some((since, format!("{address}: {end}")));
    }

    fn missed(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.missed.lock().expect("no step below panics")
    }

    /// Notes that there is a connection now, or that it ended.
    pub(super) fn set_connected(&self, since: Option<Instant>) {
        *self.connected.lock().expect("no step below panics") = since;
    }

    /// Notes that the peer said something.
    pub(super) fn hear(&self) {
        self.heard_ms.store(1 + millis(self.origin.elapsed()), Ordering::Relaxed);
    }

    /// Notes what the peer, now accepted, said of itself.
    pub(super) fn note(&self, presented: &Presented) {
        let (peer, http) = (presented.peer.clone(), presented.http.clone());
        let lease = presented.lease;
        self.addresses().announced = Some(Announced { peer, http, lease });
        self.hear();
        let boot = presented.start().boot;
        self.newest.send_if_modified(|newest| {
            let newer = newest.boot < boot;
            newest.boot = newest.boot.max(boot);
            newer
        });
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({})", self.known.node)
    }
}

impl Peer {
    /// Returns which node it is.
    pub fn node(&self) -> NodeId {
        self.known.node
    }

    /// Queues a request, or refuses it at once. Requests arrive in the order of these calls.
    pub fn request(&self, kind: Kind, group: GroupId, body: Bytes) -> Result<Waiting, NotSent> {
        self.known.link.request(kind, group, body)
    }

    /// Whether requests can be sent now.
    pub fn is_connected(&self) -> bool {
        self.known.link.is_open()
    }

    /// Returns how long there has been one and the same connection, to one and the same process;
    /// `None` if requests cannot be sent now.
    pub fn connected_for(&self) -> Option<Duration> {
        let since = *self.known.connected.lock().expect("no step below panics");
        since.filter(|_| self.is_connected()).map(|since| since.elapsed())
    }

    /// Returns the milliseconds since it was last heard; `None` for never.
    pub fn heard_ms_ago(&self) -> Option<u64> {
        let heard_ms = self.known.heard_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some(millis(self.known.origin.elapsed()).saturating_sub(heard_ms))
    }

    /// Returns why no connection to it can be made, if the last try failed.
    pub fn unreachable(&self) -> Option<Unreachable> {
        let missed = self.known.missed();
        let (since, why) = missed.as_ref()?;
        Some(Unreachable { for_ms: millis(since.elapsed()), why: why.clone() })
    }

    /// Returns where it says that it can be reached, once it has.
    pub fn announced(&self) -> Option<Announced> {
        self.known.addresses().announced.clone()
    }

    /// Returns the address that the cluster's list has for it.
    pub fn listed(&self) -> Address {
        self.known.addresses().listed.clone()
    }

    /// Connects anew, for a snapshot: its bytes must not delay heartbeats.
    pub async fn connect_for_snapshot(&self) -> Result<SnapshotLink, NotSent> {
        let node = self.known.node;
        let address = self.known.address(0);
        let connected =
            dialled::connect(&self.inner, &self.known, Purpose::Snapshot, &address).await;
        let connection = connected.map_err(|end| {
            tracing::info!(%node, %end, "no connection for a snapshot");
            NotSent::NotConnected { node }
        })?;
        let link = Link::new(node);
        let opened = link.open();
        let (inner, known, served) =
            (Arc::clone(&self.inner), Arc::clone(&self.known), link.clone());
        let task = runtime::spawn(async move {
            let end = dialled::serve(&inner, &known, &served, connection).await;
            drop(opened);
            dialled::report(&inner, node, &address, &end);
        });
        Ok(SnapshotLink { link, task })
    }
}

/// A connection for one snapshot. Dropping it closes the connection.
#[derive(Debug)]
pub struct SnapshotLink {
    link: Link,
    task: Task<()>,
}

impl SnapshotLink {
    /// Queues a request, or refuses it at once.
    pub fn request(&self, kind: Kind, group: GroupId, body: Bytes) -> Result<Waiting, NotSent> {
        self.link.request(kind, group, body)
    }
}

impl Drop for SnapshotLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
