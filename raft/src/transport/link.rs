//! The asking end of a connection, as those who ask see it.
//!
//! A link outlives its connections: it is closed while there is none. A request is either refused
//! at once, and then certainly never sent ([`NotSent`]), or queued; once queued it ends in an
//! answer, a refusal, or [`NoAnswer::Lost`] when the connection ends.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::frame::{ANSWER, BODY_BYTES_MAX, Frame, Kind, REFUSED, Refused};
use super::outgoing::Outgoing;
use super::wire::Malformed;
use crate::limits::{FRAMES_INFLIGHT_MAX, SEND_QUEUE_BYTES_MAX};
use crate::words::{GroupId, NodeId};

/// Why a request was not even queued: the other end will never see it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There is no connection.
    #[error("there is no connection to {node}")]
    NotConnected {
        /// Whom it was for.
        node: NodeId,
    },
    /// Too much is on its way already.
    #[error("{what} to {node} are at their bound of {bound}")]
    Full {
        /// Whom it was for.
        node: NodeId,
        /// Which bound.
        what: &'static str,
        /// Its value.
        bound: usize,
    },
    /// No frame can hold it.
    #[error("a body of {bytes} bytes does not fit into a frame of {BODY_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// Why a request that was queued has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The connection ended first. Whether the other end did what it was asked is unknown.
    #[error("the connection to {node} ended before the answer came")]
    Lost {
        /// Whom it was for.
        node: NodeId,
    },
    /// The other end did not do it, and will not.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// An answer to come. Dropping it forgets the answer, not the request.
#[derive(Debug)]
pub struct Waiting {
    node: NodeId,
    answer: oneshot::Receiver<Result<Bytes, Refused>>,
}

impl Future for Waiting {
    type Output = Result<Bytes, NoAnswer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(cx).map(|answer| match answer {
            Ok(answer) => answer.map_err(NoAnswer::Refused),
            Err(_closed) => Err(NoAnswer::Lost { node: self.node }),
        })
    }
}

/// The asking end of connections to one node, one at a time. Cheap to clone.
#[derive(Clone)]
pub(super) struct Link(Arc<Shared>);

struct Shared {
    node: NodeId,
    /// A `std` mutex: it is held for a few steps and never while waiting.
    state: Mutex<State>,
    /// Tells the connection that the queue is not empty.
    wake: Notify,
}

#[derive(Default)]
struct State {
    open: bool,
    queue: VecDeque<Frame>,
    /// Bytes of frames that are queued or being written.
    unsent_bytes: usize,
    /// By correlation.
    unanswered: BTreeMap<u64, oneshot::Sender<Result<Bytes, Refused>>>,
    correlation: u64,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.0.node)
    }
}

impl Link {
    pub(super) fn new(node: NodeId) -> Self {
        let state = Mutex::default();
        Self(Arc::new(Shared { node, state, wake: Notify::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no step below panics")
    }

    /// Queues a request.
    pub(super) fn request(
        &self,
        kind: Kind,
        group: GroupId,
        body: Bytes,
    ) -> Result<Waiting, NotSent> {
        let node = self.0.node;
        if BODY_BYTES_MAX < body.len() {
            return Err(NotSent::TooLarge { bytes: body.len() });
        }
        let mut state = self.state();
        state.check(node, body.len())?;
        state.correlation += 1;
        let frame = Frame { kind: kind as u8, group, correlation: state.correlation, body };
        let (sender, answer) = oneshot::channel();
        state.unsent_bytes += frame.len();
        state.unanswered.insert(frame.correlation, sender);
        state.queue.push_back(frame);
        drop(state);
        self.0.wake.notify_one();
        Ok(Waiting { node, answer })
    }

    /// Whether there is a connection.
    pub(super) fn is_open(&self) -> bool {
        self.state().open
    }

    /// Opens the link for as long as the returned value lives.
    pub(super) fn open(&self) -> Opened {
        let mut state = self.state();
        assert!(!state.open, "a link has one connection at a time");
        state.open = true;
        drop(state);
        Opened(self.clone())
    }

    /// Takes no more requests. Those it has taken are still sent, and answered.
    pub(super) fn close(&self) {
        self.state().open = false;
    }

    /// Whether everything that was asked has its answer.
    pub(super) fn is_answered(&self) -> bool {
        self.state().unanswered.is_empty()
    }

    /// Waits until something may be queued.
    pub(super) async fn queued(&self) {
        self.0.wake.notified().await;
    }

    /// Moves everything queued over. Whatever was moved before must have been written by now.
    pub(super) fn drain(&self, outgoing: &mut Outgoing) {
        assert!(outgoing.is_empty(), "the bytes being written stay counted until they are");
        let mut state = self.state();
        let queue = std::mem::take(&mut state.queue);
        state.unsent_bytes = queue.iter().map(Frame::len).sum();
        drop(state);
        queue.into_iter().for_each(|frame| outgoing.push(frame));
    }

    /// Hands an answer to whoever waits for it.
    pub(super) fn answer(&self, frame: Frame) -> Result<(), Malformed> {
        let answer = match frame.kind {
            ANSWER => Ok(frame.body),
            REFUSED => Err(Refused::decode(frame.body)?),
            other => return Err(Malformed(format!("an answer of kind {other}"))),
        };
        let sender = self.state().unanswered.remove(&frame.correlation);
        let sender = sender.ok_or_else(|| Malformed::new("an answer to nothing"))?;
        // Nobody waits any more where the deadline has passed.
        drop(sender.send(answer));
        Ok(())
    }
}

impl State {
    fn check(&self, node: NodeId, body_bytes: usize) -> Result<(), NotSent> {
        if !self.open {
            return Err(NotSent::NotConnected { node });
        }
        if FRAMES_INFLIGHT_MAX <= self.unanswered.len() {
            let (what, bound) = ("requests without an answer", FRAMES_INFLIGHT_MAX);
            return Err(NotSent::Full { node, what, bound });
        }
        if SEND_QUEUE_BYTES_MAX < self.unsent_bytes + body_bytes {
            let (what, bound) = ("bytes on their way", SEND_QUEUE_BYTES_MAX);
            return Err(NotSent::Full { node, what, bound });
        }
        Ok(())
    }
}

/// An open link. Dropping it closes the link: what has no answer by then is lost.
pub(super) struct Opened(Link);

impl Drop for Opened {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open = false;
        state.unsent_bytes = 0;
        let queue = std::mem::take(&mut state.queue);
        let unanswered = std::mem::take(&mut state.unanswered);
        drop(state);
        drop((queue, unanswered));
    }
}
