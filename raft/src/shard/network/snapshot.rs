//! Sending a snapshot, over a connection of its own: begin, chunks, finish.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt};
use openraft::errors::{RPCError, StreamingError, Unreachable};
use openraft::network::RPCTypes;
use openraft::raft::SnapshotResponse;
use rand::RngExt;

use super::{Route, malformed, unanswered, unreachable};
use crate::limits::{CHUNK_ANSWER_TIMEOUT, CHUNKS_INFLIGHT_MAX, INSTALL_ANSWER_TIMEOUT};
use crate::runtime;
use crate::shard::rpc::messages::{
    Message, SnapshotBegin, SnapshotChunk, SnapshotFinish, decode_answer, encode_request,
};
use crate::shard::snapshot_data::SnapshotData;
use crate::shard::types::{RaftVote, Types};
use crate::snapshot::SnapshotError;
use crate::transport::frame::Kind;
use crate::transport::link::{NotSent, Waiting};
use crate::transport::peer::SnapshotLink;

/// Sends `snapshot` and returns what the replica that installed it says.
pub(super) async fn send(
    route: &Route,
    vote: RaftVote,
    snapshot: &SnapshotData,
) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
    let node = route.to.node();
    let peer = route.network.transport.peer(node);
    let peer = peer.ok_or_else(|| unreachable(&NotSent::NotConnected { node }))?;
    let link = peer.connect_for_snapshot().await.map_err(|error| unreachable(&error))?;
    let transfer = runtime::random().random();
    let transfer = Transfer { route, link, transfer };
    let begin =
        SnapshotBegin { transfer: transfer.transfer, vote, manifest: snapshot.manifest().clone() };
    let waiting = transfer.ask(Kind::SnapshotBegin, &begin)?;
    let () = transfer.answer(waiting, CHUNK_ANSWER_TIMEOUT).await?;
    transfer.chunks(snapshot).await?;
    let finish = SnapshotFinish { transfer: transfer.transfer };
    let waiting = transfer.ask(Kind::SnapshotFinish, &finish)?;
    Ok(transfer.answer(waiting, INSTALL_ANSWER_TIMEOUT).await?)
}

struct Transfer<'a> {
    route: &'a Route,
    link: SnapshotLink,
    transfer: u64,
}

impl Transfer<'_> {
    fn ask<M: Message>(&self, kind: Kind, message: &M) -> Result<Waiting, RPCError<Types>> {
        let body = encode_request(self.route.to, message);
        let sent = self.link.request(kind, self.route.network.group, body);
        sent.map_err(|error| unreachable(&error))
    }

    async fn answer<A: Message>(
        &self,
        waiting: Waiting,
        patience: Duration,
    ) -> Result<A, RPCError<Types>> {
        let answer = tokio::time::timeout(patience, waiting).await;
        let late = |_late| self.route.late(RPCTypes::InstallSnapshot, patience);
        let body: Bytes = answer.map_err(late)?.map_err(unanswered)?;
        decode_answer(body).map_err(malformed)
    }

    /// Sends all chunks, a few at a time.
    async fn chunks(&self, snapshot: &SnapshotData) -> Result<(), StreamingError<Types>> {
        let mut answers = FuturesOrdered::new();
        for number in 0..snapshot.manifest().chunks {
            if CHUNKS_INFLIGHT_MAX <= answers.len() {
                answers.next().await.unwrap_or(Ok(()))?;
            }
            let bytes = snapshot.chunk(number).await.map_err(|error| unreadable(&error))?;
            let chunk = SnapshotChunk { transfer: self.transfer, number, bytes };
            let waiting = self.ask(Kind::SnapshotChunk, &chunk)?;
            answers.push_back(self.answer::<()>(waiting, CHUNK_ANSWER_TIMEOUT));
        }
        while let Some(answer) = answers.next().await {
            answer?;
        }
        Ok(())
    }
}

/// Says that the snapshot cannot be read here. The replica leads on: its state is in memory, and
/// the next snapshot takes the place of this one.
fn unreadable(error: &SnapshotError) -> StreamingError<Types> {
    tracing::error!(%error, "a snapshot cannot be read; the next one will be sent instead");
    StreamingError::Unreachable(Unreachable::new(error))
}
