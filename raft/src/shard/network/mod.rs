//! Raft's messages over the connections to the other nodes: the asking half for openraft, and the
//! answering half for the node's handler.
//!
//! What openraft is told about failures decides what it does next: [`Unreachable`] makes it pause
//! before the next try, [`Timeout`] and [`NetworkError`] do not. So where there is no connection it
//! hears the first; where an answer is late, the second; where a connection broke with the question
//! on its way, the third, and at the next try most likely the first.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::impls::EmptyNode;
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError,
    StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;

use super::rpc::messages::{Message, decode_answer, encode_request};
use super::snapshot_data::SnapshotData;
use super::types::{RaftVote, Types};
use crate::transport::Transport;
use crate::transport::frame::Kind;
use crate::transport::link::{NoAnswer, NotSent, Waiting};
use crate::transport::wire::Malformed;
use crate::words::{GroupId, LogPosition, NodeId, ReplicaId};

mod answer;
mod snapshot;
mod stream;
mod support;

#[cfg(test)]
mod tests;

pub use answer::{answer, append, check_target};
pub use support::{Moment, Support};

/// The way from one replica to the others of its group.
#[derive(Clone)]
pub struct Network {
    transport: Transport,
    group: GroupId,
    from: ReplicaId,
    condemn: Condemn,
    support: Support,
}

/// Told of a node that turned out to have lost entries that it had answered for.
pub type Condemn = Arc<dyn Fn(NodeId) + Send + Sync>;

/// The way from one replica to one other.
#[derive(Clone)]
pub struct Route {
    network: Network,
    to: ReplicaId,
    /// The index after the last entry that the other replica has answered for. openraft makes a new
    /// route for each term in which it leads, and within a term no follower may cut its log.
    answered: Arc<AtomicU64>,
}

impl Network {
    /// Returns the network of the replica `from` of `group`.
    pub fn new(transport: Transport, group: GroupId, from: ReplicaId, condemn: Condemn) -> Self {
        Self { transport, group, from, condemn, support: Support::default() }
    }

    /// Returns how long `node` supports a leader, if it is this one (`own`) or has said so.
    pub fn lease_of(&self, node: NodeId, own: Duration) -> Option<Duration> {
        if node == self.from.node() {
            return Some(own);
        }
        Some(self.transport.peer(node)?.announced()?.lease)
    }

    /// Returns which of this replica's messages the others have followed.
    pub fn support(&self) -> &Support {
        &self.support
    }

    /// Returns the way to the replica `to`.
    pub fn route(&self, to: ReplicaId) -> Route {
        Route { network: self.clone(), to, answered: Arc::default() }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Route;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Route {
        self.route(ReplicaId(target))
    }
}

/// One answer of a stream.
type Item = Result<StreamAppendResult<Types>, RPCError<Types>>;

/// Says that the other node cannot be asked now.
fn unreachable(error: &(impl std::error::Error + 'static)) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(error))
}

/// Says what became of a request that was sent.
fn unanswered(error: NoAnswer) -> RPCError<Types> {
    match error {
        NoAnswer::Lost { .. } => RPCError::Network(NetworkError::new(&error)),
        // It would most likely refuse again at once.
        NoAnswer::Refused(refused) => unreachable(&refused),
    }
}

/// Says that an answer means nothing.
fn malformed(error: Malformed) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::from_string(error))
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({} from {})", self.group, self.from)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({} to {})", self.network.group, self.to)
    }
}

impl Route {
    /// Follows what the other replica answers for, and finds out if it has lost some of it.
    ///
    /// Its peers hear once a second how far its log reaches, so a log that lost only what it got
    /// since then passes the handshake. Here it shows: it must not vote, and stops.
    fn follow(&self, answer: StreamAppendResult<Types>) -> Item {
        match &answer {
            Ok(last) => {
                let next = last.map_or(0, |last| last.index + 1);
                self.answered.fetch_max(next, Ordering::Relaxed);
            }
            Err(StreamAppendError::Conflict(at))
                if at.index < self.answered.load(Ordering::Relaxed) =>
            {
                tracing::error!(
                    replica = %self.to, index = at.index,
                    "a replica has lost an entry that it had answered for"
                );
                (self.network.condemn)(self.to.node());
                return Err(malformed(Malformed::new("a log that went back")));
            }
            Err(StreamAppendError::Conflict(_) | StreamAppendError::HigherVote(_)) => {}
        }
        Ok(answer)
    }

    /// Asks the other replica, a leader, to confirm itself and to say up to where it has applied its
    /// log. `None`: it does not, or not in time.
    pub async fn read_index(&self, patience: Duration) -> Option<LogPosition> {
        let sent = self.send(Kind::ReadIndex, encode_request(self.to, &())).ok()?;
        let answer = tokio::time::timeout(patience, sent).await.ok()?.ok()?;
        decode_answer(answer).ok()
    }

    /// Queues a request.
    fn send(&self, kind: Kind, body: Bytes) -> Result<Waiting, NotSent> {
        let node = self.to.node();
        let peer = self.network.transport.peer(node).ok_or(NotSent::NotConnected { node })?;
        peer.request(kind, self.network.group, body)
    }

    /// Sends a request and waits for its answer.
    async fn ask<M: Message, A: Message>(
        &self,
        (kind, action): (Kind, RPCTypes),
        message: &M,
        patience: Duration,
    ) -> Result<A, RPCError<Types>> {
        let sent = self.send(kind, encode_request(self.to, message));
        let waiting = sent.map_err(|error| unreachable(&error))?;
        let answer = tokio::time::timeout(patience, waiting).await;
        let answer = answer.map_err(|_late| self.late(action, patience))?.map_err(unanswered)?;
        decode_answer(answer).map_err(malformed)
    }

    /// Says that an answer is late.
    fn late(&self, action: RPCTypes, timeout: Duration) -> RPCError<Types> {
        let (id, target) = (self.network.from.0, self.to.0);
        RPCError::Timeout(Timeout { action, id, target, timeout })
    }
}

impl RaftNetworkV2<Types> for Route {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let what = (Kind::Append, RPCTypes::AppendEntries);
        self.ask(what, &rpc, stream::patience(&rpc, &option)).await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let answers = stream::Pipeline::new(self, input, option).answers();
        Box::pin(std::future::ready(Ok(answers)))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask((Kind::Vote, RPCTypes::Vote), &rpc, option.soft_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask((Kind::PreVote, RPCTypes::Vote), &rpc, option.soft_ttl()).await
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let what = (Kind::TransferLeader, RPCTypes::TransferLeader);
        self.ask(what, &req, option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: RaftVote,
        snapshot: SnapshotOf<Types, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let sending = snapshot::send(self, vote, &snapshot.snapshot);
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => sent,
        }
    }
}
