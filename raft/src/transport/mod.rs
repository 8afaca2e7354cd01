//! Framed connections between nodes. It knows nothing of Raft: it carries a kind, a group and
//! bytes, and brings an answer back.
//!
//! ```text
//!   Peer::request --> queue --> one vectored write ====> frames ==> Handler, in order of arrival
//!   Waiting <------------------ correlation <=========== frames <== answers, in any order
//!        (dialled)                                            (accepted)
//! ```
//!
//! Of two nodes each dials the other: the dialler asks, the acceptor answers. All that is queued
//! when a connection gets to write goes out in one write, so the heartbeats of many groups cost
//! one packet. A snapshot gets a connection of its own.
//!
//! A node that stops takes leave first, so that nothing that was asked of it is left in doubt:
//!
//! ```text
//!   acceptor: listens no more; "go away" ==>
//!                                          <== what was queued, then the end of the stream: dialler
//!   acceptor: the last answers, then the end of the stream ==>
//! ```
//!
//! # Invariants
//!
//! 1. No frame passes before both ends have presented themselves, each has proved that it knows the
//!    token ([`token`]) and has judged the other ([`handshake`]). Nothing is remembered of an end
//!    that has not proved itself, nor is its word taken for that of a member.
//! 2. A request that was [`NotSent`] never reaches the other end.
//! 3. Requests of one connection are handed to the [`Handler`], and polled first, in the order in
//!    which they were queued.
//! 4. Once a newer boot of a peer was accepted, connections of its older boots close, and those
//!    that tell this node that it is the older one stop it.
//! 5. A connection over which nothing comes for [`limits::PEER_SILENCE_MAX`] is closed.
//! 6. Unsent bytes, unanswered requests, unfinished handshakes and connections are bounded.
//! 7. What was asked of a node that takes leave is answered, if it can be until the deadline.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use crate::limits;
use crate::net::{Address, Net};
use crate::runtime::{self, Task, watch};
use crate::words::{GroupId, NodeId};

pub mod boots;
pub mod bootstrap;
pub mod exchange;
pub mod frame;
pub mod handshake;
pub mod link;
pub mod peer;
pub mod refusal;
pub mod token;
pub mod wire;

mod accepted;
mod dialled;
mod outgoing;
mod shake;
#[cfg(test)]
mod tests;

use exchange::Exchange;
use frame::{Kind, Refused};
use handshake::{Hello, Presented, Purpose};
use link::{Link, NoAnswer, NotSent};
use peer::{Known, Peer};
use refusal::Refusal;
use token::Token;

/// A request from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Who asks. Node 0: nobody yet, for [`Kind::Claim`] and [`Kind::Release`] alone.
    pub from: NodeId,
    /// What it asks for.
    pub kind: Kind,
    /// Whom it concerns.
    pub group: GroupId,
    /// The rest.
    pub body: Bytes,
}

/// Answers requests. It is called in the order of arrival, and each future is polled once before
/// the next call, so that what a first poll enqueues keeps that order.
pub type Handler =
    Arc<dyn Fn(Incoming) -> BoxFuture<'static, Result<Bytes, Refused>> + Send + Sync>;

/// Judges a peer.
pub type Accept = dyn Fn(&Presented) -> Result<(), Refusal> + Send + Sync;
/// Takes what a peer tells once a second.
pub type TakeExchange = dyn Fn(NodeId, &Exchange) -> Result<(), Refusal> + Send + Sync;

/// What the transport asks of the node. None of these may block.
#[derive(Clone)]
pub struct Callbacks {
    /// Says who this node is, now.
    pub present: Arc<dyn Fn() -> Presented + Send + Sync>,
    /// Judges a peer by its directory and starts and, if it passes, remembers it.
    pub accept: Arc<Accept>,
    /// Makes this node's part of an exchange.
    pub make_exchange: Arc<dyn Fn() -> Exchange + Send + Sync>,
    /// Takes a peer's part. An error closes the connection.
    pub take_exchange: Arc<TakeExchange>,
    /// Takes note that a connection to a peer broke without a word: its process may be gone.
    pub lost: Arc<dyn Fn(NodeId) + Send + Sync>,
    /// Answers all other requests.
    pub handle: Handler,
}

/// All connections of a node. Cheap to clone; all clones are one transport.
#[derive(Clone)]
pub struct Transport {
    inner: Arc<Inner>,
    address: Address,
}

/// Why a node outside of the cluster gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It was not asked.
    #[error("{address} could not be asked: {why}")]
    NotSent {
        /// Where it should be.
        address: Address,
        /// What went wrong.
        why: String,
    },
    /// It was asked and did not answer: whether it did what it was asked is unknown.
    #[error("{address} was asked and did not answer")]
    Lost {
        /// Where it is.
        address: Address,
    },
    /// It refused.
    #[error("{address} refused: {refused}")]
    Refused {
        /// Where it is.
        address: Address,
        /// Why it refused.
        refused: Refused,
    },
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callbacks")
    }
}

struct Inner {
    net: Arc<dyn Net>,
    token: Token,
    callbacks: Callbacks,
    peers: Mutex<BTreeMap<NodeId, Dialled>>,
    /// Listening and accepted connections. `None` after the shutdown.
    tasks: Mutex<Option<Vec<Task<()>>>>,
    /// Whether this node takes leave of those who dialled it.
    closing: watch::Sender<bool>,
    stop: watch::Sender<Option<Refusal>>,
}

/// A peer and the task that keeps a connection to it.
struct Dialled {
    known: Arc<Known>,
    task: Task<()>,
}

impl Inner {
    fn peers(&self) -> MutexGuard<'_, BTreeMap<NodeId, Dialled>> {
        self.peers.lock().expect("no step under this lock panics")
    }

    fn known(&self, node: NodeId) -> Option<Arc<Known>> {
        self.peers().get(&node).map(|dialled| Arc::clone(&dialled.known))
    }

    /// Runs a task until it or the transport ends.
    fn keep(&self, future: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().expect("no step under this lock panics");
        let Some(tasks) = tasks.as_mut() else { return };
        tasks.retain(|task| !task.is_finished());
        if limits::CONNECTIONS_MAX <= tasks.len() {
            return tracing::warn!("too many peer connections");
        }
        tasks.push(runtime::spawn(future));
    }

    /// Reports that this node must not go on. The first reason stays.
    fn stop(&self, refusal: &Refusal) {
        tracing::error!(%refusal, "a peer knows that this node must stop");
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert_with(|| refusal.clone());
            first
        });
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transport({})", self.address)
    }
}

impl Transport {
    /// Listens for peers, those alone that know `token`. Call it inside
    /// [`crate::runtime::with_seed`].
    pub async fn start(
        net: Arc<dyn Net>,
        listen: &Address,
        token: Token,
        callbacks: Callbacks,
    ) -> io::Result<Self> {
        let listener = net.listen(listen).await?;
        let address = listener.address();
        let inner = Arc::new(Inner {
            net,
            token,
            callbacks,
            peers: Mutex::default(),
            tasks: Mutex::new(Some(Vec::new())),
            closing: watch::Sender::default(),
            stop: watch::Sender::default(),
        });
        inner.keep(accepted::listen(Arc::clone(&inner), listener));
        Ok(Self { inner, address })
    }

    /// Returns where it really listens.
    pub fn address(&self) -> Address {
        self.address.clone()
    }

    /// Sets the other nodes of the cluster: the new ones are dialled, those that left are
    /// dropped, and with them their connections.
    pub fn set_peers(&self, nodes: &BTreeMap<NodeId, Address>) {
        assert!(nodes.len() <= limits::NODES_MAX, "a cluster has at most that many nodes");
        let mut peers = self.inner.peers();
        peers.retain(|node, dialled| {
            let stays = nodes.contains_key(node);
            if !stays {
                dialled.task.abort();
                dialled.known.newest.send_modify(|newest| newest.gone = true);
            }
            stays
        });
        for (node, address) in nodes {
            match peers.get(node) {
                Some(dialled) => dialled.known.list(address.clone()),
                None => {
                    let known = Arc::new(Known::new(*node, address.clone()));
                    let keeping = dialled::keep(Arc::clone(&self.inner), Arc::clone(&known));
                    peers.insert(*node, Dialled { known, task: runtime::spawn(keeping) });
                }
            }
        }
    }

    /// Returns a node of the cluster, other than this one.
    pub fn peer(&self, node: NodeId) -> Option<Peer> {
        let known = self.inner.known(node)?;
        Some(Peer { known, inner: Arc::clone(&self.inner) })
    }

    /// Returns all other nodes of the cluster, by id.
    pub fn peers(&self) -> Vec<Peer> {
        let peers = self.inner.peers();
        let of = |dialled: &Dialled| Peer {
            known: Arc::clone(&dialled.known),
            inner: Arc::clone(&self.inner),
        };
        peers.values().map(of).collect()
    }

    /// Has the next exchange with every peer take place at once.
    pub fn tell_all(&self) {
        self.inner.peers().values().for_each(|dialled| dialled.known.tell.notify_one());
    }

    /// Asks whoever listens at `address`, member or not, and waits for the answer: for bootstrap.
    pub async fn ask(&self, address: &Address, kind: Kind, body: Bytes) -> Result<Bytes, AskError> {
        let presented = (self.inner.callbacks.present)();
        let hello = Hello { purpose: Purpose::Bootstrap, to: None, presented };
        let shaken = dialled::shake(&self.inner, address, hello, |_| Ok(())).await;
        let not_sent = |why: String| AskError::NotSent { address: address.clone(), why };
        let (connection, theirs) = shaken.map_err(|end| not_sent(end.to_string()))?;
        let node = theirs.member.map_or(NodeId::default(), |member| member.node);
        let (link, known) = (Link::new(node), Known::new(node, address.clone()));
        let opened = link.open();
        let asked = link.request(kind, GroupId::default(), body);
        let waiting = asked.map_err(|error: NotSent| not_sent(error.to_string()))?;
        let serving = dialled::serve(&self.inner, &known, &link, connection);
        let answer = tokio::select! {
            biased;
            answer = waiting => Some(answer),
            _end = serving => None,
        };
        drop(opened);
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(NoAnswer::Refused(refused))) => {
                Err(AskError::Refused { address: address.clone(), refused })
            }
            Some(Err(NoAnswer::Lost { .. })) | None => {
                Err(AskError::Lost { address: address.clone() })
            }
        }
    }

    /// Returns what whoever listens at `address` says of itself.
    pub async fn meet(&self, address: &Address) -> Result<Presented, AskError> {
        let presented = (self.inner.callbacks.present)();
        let hello = Hello { purpose: Purpose::Bootstrap, to: None, presented };
        match dialled::shake(&self.inner, address, hello, |_| Ok(())).await {
            Ok((_connection, theirs)) => Ok(theirs),
            Err(end) => Err(AskError::NotSent { address: address.clone(), why: end.to_string() }),
        }
    }

    /// Resolves when a peer has said that this node must stop: its directory is not what it was.
    pub async fn must_stop(&self) -> Refusal {
        let mut stop = self.inner.stop.subscribe();
        let told = stop.wait_for(Option::is_some).await;
        let told = told.expect("the sender lives as long as the transport");
        told.expect("it was waited for")
    }

    /// Takes leave of those who dialled: nobody may ask any more, what was asked is answered, then
    /// their connections close. At the deadline the rest are cut off.
    ///
    /// Connections that this node has dialled stay.
    pub async fn take_leave(&self, deadline: Instant) {
        self.inner.closing.send_replace(true);
        let tasks = self.inner.tasks.lock().expect("no step under this lock panics").take();
        for mut task in tasks.unwrap_or_default() {
            if timeout_at(deadline, &mut task).await.is_err() {
                tracing::warn!("a peer still waited for answers at the end");
                task.abort();
            }
        }
    }

    /// Closes all connections and ends all tasks. What has no answer yet is lost.
    pub async fn shutdown(&self) {
        let tasks = self.inner.tasks.lock().expect("no step under this lock panics").take();
        let mut tasks = tasks.unwrap_or_default();
        let peers = std::mem::take(&mut *self.inner.peers());
        tasks.extend(peers.into_values().map(|dialled| dialled.task));
        tasks.iter().for_each(Task::abort);
        for task in tasks {
            // It was told to end; how it did is of no interest.
            drop(task.await);
        }
    }
}
