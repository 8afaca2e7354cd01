//! Replication, pipelined: requests of one stream are on their way together.
//!
//! The transport keeps their order, and the follower enqueues them in it, so answers are awaited
//! in that order too. A stream ends at the first answer that is not a success; openraft then starts
//! a new one from where the follower really is.
//!
//! # Commits wait for company
//!
//! Once a majority has an entry, openraft tells each follower so at once, by a request without
//! entries, although the next entry is mostly on its heels and tells the same:
//!
//! ```text
//!   openraft   entry 7      committed 7      entry 8, committed 7
//!   wire       entry 7      (held)           entry 8, committed 7
//! ```
//!
//! So a request without entries is held for [`COMMIT_HOLD`] at most, and dropped when one follows
//! that is as good: its commit index is no smaller and it starts where the other did, for what a stream tells
//! only grows. To the follower that is the loss of a message, which Raft allows. To openraft it is nothing:
//! no answer is made up for what was dropped, and it never counts answers, but takes each as one to
//! all requests up to where it matches. What a follower supports is counted by messages that were
//! answered themselves (`support.rs`), so no lease rests on one that never left. What it
//! costs: a follower may apply an entry that long after the leader. Heartbeats, which confirm a leader, do not come
//! this way and are never held.
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};
use openraft::base::BoxStream;
use openraft::errors::RPCError;
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use tokio::time::{Instant, Sleep, sleep};

use super::{Item, Moment, Route, malformed, unanswered, unreachable};
use crate::limits::{
    APPEND_ANSWER_TIMEOUT, APPENDS_INFLIGHT_BYTES_MAX, APPENDS_INFLIGHT_MAX, COMMIT_HOLD,
};
use crate::shard::rpc::messages::{decode_answer, encode_request};
use crate::shard::types::{self, RaftLogId, Types};
use crate::transport::frame::Kind;
use crate::transport::link::{NotSent, Waiting};
use crate::transport::wire::Malformed;
use crate::words::Vote;

/// How long a request waits before it tries a full queue again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(10);

/// Returns how long the answer to `request` may take. openraft's own figure is a heartbeat's
/// interval, in which a slow disk does not store a full request.
pub(super) fn patience(request: &AppendEntriesRequest<Types>, option: &RPCOption) -> Duration {
    match request.entries.is_empty() {
        true => option.soft_ttl(),
        false => option.soft_ttl().max(APPEND_ANSWER_TIMEOUT),
    }
}

/// The requests of one stream.
pub(super) struct Pipeline<'s, S> {
    route: &'s Route,
    /// `None` once it has ended.
    input: Option<S>,
    option: RPCOption,
    /// A request that found the connection's queue full, and when it is tried again: others of
    /// this node fill that queue, and it drains without telling.
    refused: Option<(Request, Pin<Box<Sleep>>)>,
    /// The newest request without entries since the last one that was sent, if it waits for company.
    held: Option<AppendEntriesRequest<Types>>,
    /// Until when.
    hold: Pin<Box<Sleep>>,
    /// Oldest first.
    sent: VecDeque<(Request, Waiting)>,
    sent_bytes: usize,
    /// When the oldest answer is late.
    alarm: Pin<Box<Sleep>>,
}

struct Request {
    body: Bytes,
    vote: Vote,
    /// A moment before it is sent.
    made: Moment,
    before: Option<RaftLogId>,
    last: Option<RaftLogId>,
    patience: Duration,
}

impl<'s, S> Pipeline<'s, S>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
{
    pub(super) fn new(route: &'s Route, input: S, option: RPCOption) -> Self {
        Self {
            route,
            input: Some(input),
            option,
            refused: None,
            held: None,
            hold: Box::pin(sleep(Duration::ZERO)),
            sent: VecDeque::new(),
            sent_bytes: 0,
            alarm: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// Returns the answers, in order. The first that is not a success is the last.
    pub(super) fn answers(self) -> BoxStream<'s, Item> {
        let answers = futures_util::stream::unfold(Some(self), async |pipeline| {
            let mut pipeline = pipeline?;
            let item = std::future::poll_fn(|cx| pipeline.poll(cx)).await?;
            let goes_on = matches!(item, Ok(Ok(_)));
            Some((item, goes_on.then_some(pipeline)))
        });
        Box::pin(answers)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        if let Err(error) = self.send(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        let Some((_, waiting)) = self.sent.front_mut() else {
            let over = self.input.is_none() && self.refused.is_none();
            return if over { Poll::Ready(None) } else { Poll::Pending };
        };
        match waiting.poll_unpin(cx) {
            Poll::Ready(answer) => {
                let request = self.take_oldest();
                let answer = answer.map_err(unanswered);
                let result = answer.and_then(|body| request.result(body));
                let result = result.and_then(|result| self.route.follow(result));
                if let Ok(Ok(_)) = &result {
                    let support = self.route.network.support();
                    support.note(self.route.to, request.vote, request.made);
                }
                Poll::Ready(Some(result))
            }
            Poll::Pending => self.poll_late(cx),
        }
    }

    /// Sends what the input has and the bounds allow.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), RPCError<Types>> {
        while self.sent.len() < APPENDS_INFLIGHT_MAX && self.sent_bytes < APPENDS_INFLIGHT_BYTES_MAX
        {
            let Poll::Ready(Some(request)) = self.next_request(cx) else { break };
            match self.route.send(Kind::Append, request.body.clone()) {
                Ok(waiting) => self.push(request, waiting),
                Err(NotSent::Full { .. }) => {
                    self.refused = Some((request, Box::pin(sleep(QUEUE_FULL_PAUSE))));
                }
                Err(error) => return Err(unreachable(&error)),
            }
        }
        Ok(())
    }

    fn next_request(&mut self, cx: &mut Context<'_>) -> Poll<Option<Request>> {
        if let Some((_, pause)) = &mut self.refused {
            ready!(pause.poll_unpin(cx));
            return Poll::Ready(self.refused.take().map(|(request, _)| request));
        }
        let next = ready!(self.next_unheld(cx));
        Poll::Ready(next.map(|request| self.encode(&request)))
    }

    /// Takes from the input what is not to wait, or what has waited long enough.
    fn next_unheld(&mut self, cx: &mut Context<'_>) -> Poll<Option<AppendEntriesRequest<Types>>> {
        while let Some(input) = &mut self.input {
            match input.poll_next_unpin(cx) {
                Poll::Ready(Some(request)) if request.entries.is_empty() => {
                    if self.held.replace(request).is_none() {
                        self.hold.as_mut().reset(Instant::now() + COMMIT_HOLD);
                    }
                }
                Poll::Ready(Some(request)) => {
                    self.held = None;
                    return Poll::Ready(Some(request));
                }
                Poll::Ready(None) => self.input = None,
                Poll::Pending if self.held.is_some() => {
                    ready!(self.hold.poll_unpin(cx));
                    return Poll::Ready(self.held.take());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(self.held.take())
    }

    fn encode(&self, request: &AppendEntriesRequest<Types>) -> Request {
        let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
        Request {
            body: encode_request(self.route.to, request),
            vote: types::vote(&request.vote),
            made: self.route.network.support().now(),
            before: request.prev_log_id,
            last,
            patience: patience(request, &self.option),
        }
    }

    fn push(&mut self, request: Request, waiting: Waiting) {
        self.sent_bytes += request.body.len();
        let deadline = Instant::now() + request.patience;
        if self.sent.is_empty() {
            self.alarm.as_mut().reset(deadline);
        }
        self.sent.push_back((request, waiting));
    }

    fn take_oldest(&mut self) -> Request {
        let (request, _) = self.sent.pop_front().expect("its answer has just come");
        self.sent_bytes -= request.body.len();
        if let Some((next, _)) = self.sent.front() {
            self.alarm.as_mut().reset(Instant::now() + next.patience);
        }
        request
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        ready!(self.alarm.poll_unpin(cx));
        let patience = self.take_oldest().patience;
        Poll::Ready(Some(Err(self.route.late(RPCTypes::AppendEntries, patience))))
    }
}

impl Request {
    /// Reads the answer to this request.
    fn result(&self, body: Bytes) -> Item {
        let answer: AppendEntriesResponse<Types> = decode_answer(body).map_err(malformed)?;
        if answer.is_conflict() && self.before.is_none() {
            let what = "a conflict with entries that nothing comes before";
            return Err(malformed(Malformed::new(what)));
        }
        Ok(answer.into_stream_result(self.before, self.last))
    }
}
