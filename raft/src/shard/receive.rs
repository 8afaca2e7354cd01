//! The receiving half of a snapshot's transfer: chunks go to disk as they come, then the whole is
//! published, read back and installed.
//!
//! What a leader snapshots is committed, so publishing it is safe whatever becomes of the leader;
//! the vote decides only whether it is installed now.

use bytes::Bytes;
use openraft::raft::SnapshotResponse;
use openraft::storage::Snapshot;

use super::Shard;
use super::network::check_target;
use super::rpc::messages::{
    SnapshotBegin, SnapshotChunk, SnapshotFinish, decode_request, encode_answer,
};
use super::rpc::snapshot_meta;
use super::types::{RaftVote, raft_vote};
use crate::runtime;
use crate::snapshot::{Manifest, SnapshotWriter, Tally};
use crate::transport::frame::{Kind, Reason, Refused};

/// The transfer that a replica is taking, if any. A new one takes the place of one that stalled.
#[derive(Debug, Default)]
pub struct Receiving {
    /// Fair, so chunks that arrive in order are written in order.
    transfer: tokio::sync::Mutex<Option<Transfer>>,
}

struct Transfer {
    id: u64,
    vote: RaftVote,
    manifest: Manifest,
    tally: Tally,
    /// `None` where the replica turned out to have applied as much already.
    writer: Option<Box<dyn SnapshotWriter>>,
}

impl Shard {
    /// Answers a message of a snapshot's transfer.
    pub async fn receive(&self, kind: Kind, body: Bytes) -> Result<Bytes, Refused> {
        if kind == Kind::SnapshotBegin {
            let (to, begin) = decode_request(body)?;
            check_target(to, self.me())?;
            self.begin(begin).await?;
            return Ok(encode_answer(&()));
        }
        if kind == Kind::SnapshotChunk {
            let (to, chunk) = decode_request(body)?;
            check_target(to, self.me())?;
            self.chunk(chunk).await?;
            return Ok(encode_answer(&()));
        }
        let (to, finish) = decode_request(body)?;
        check_target(to, self.me())?;
        // In a task of its own: the connection may break, and this handler with it, while openraft
        // installs; the slot must stay taken until it is done.
        let shard = self.clone();
        let finished = runtime::spawn(async move { shard.finish(finish).await }).await;
        let response = finished.map_err(|error| refused(&error))??;
        Ok(encode_answer(&response))
    }

    async fn begin(&self, begin: SnapshotBegin) -> Result<(), Refused> {
        let mut transfer = self.inner.receiving.transfer.lock().await;
        // A transfer that stalled goes first: its writer takes what it has written along, and most
        // often the next try is for the same position.
        *transfer = None;
        let position = begin.manifest.position;
        let has = Some(position) <= self.content().position;
        let writer = match has {
            true => None,
            false => Some(self.snapshots().begin(position).await.map_err(|error| refused(&error))?),
        };
        tracing::info!(group = %self.group(), %position, skipped = has, "a snapshot is coming");
        let SnapshotBegin { transfer: id, vote, manifest } = begin;
        *transfer = Some(Transfer { id, vote, manifest, tally: Tally::default(), writer });
        Ok(())
    }

    async fn chunk(&self, chunk: SnapshotChunk) -> Result<(), Refused> {
        let mut slot = self.inner.receiving.transfer.lock().await;
        let transfer = current(&mut slot, chunk.transfer)?;
        if chunk.number != transfer.tally.chunks() {
            let text = format!("chunk {} came after {}", chunk.number, transfer.tally.chunks());
            return Err(Refused::new(Reason::Malformed, text));
        }
        transfer.tally.add(&chunk.bytes);
        let Some(writer) = transfer.writer.take() else { return Ok(()) };
        let writer =
            self.snapshots().append(writer, chunk.bytes).await.map_err(|error| refused(&error))?;
        transfer.writer = Some(writer);
        Ok(())
    }

    async fn finish(
        &self,
        finish: SnapshotFinish,
    ) -> Result<SnapshotResponse<super::types::Types>, Refused> {
        let mut slot = self.inner.receiving.transfer.lock().await;
        current(&mut slot, finish.transfer)?;
        let Some(transfer) = slot.take() else { return Err(unknown()) };
        let Transfer { vote, manifest, tally, writer, .. } = transfer;
        let Some(writer) = writer else {
            let vote = self.log().state().vote.unwrap_or_default();
            return Ok(SnapshotResponse { vote: raft_vote(vote) });
        };
        if tally.manifest(manifest.group, manifest.position, manifest.membership.clone())
            != manifest
        {
            let text = "the chunks do not add up to what the manifest says";
            return Err(Refused::new(Reason::Malformed, text));
        }
        let meta = snapshot_meta(&manifest)?;
        let data =
            self.snapshots().finish(writer, manifest).await.map_err(|error| refused(&error))?;
        let installed = self.raft().install_full_snapshot(vote, Snapshot { meta, snapshot: data });
        installed.await.map_err(|fatal| Refused::new(Reason::Halted, fatal.to_string()))
    }
}

fn current(slot: &mut Option<Transfer>, id: u64) -> Result<&mut Transfer, Refused> {
    slot.as_mut().filter(|transfer| transfer.id == id).ok_or_else(unknown)
}

fn unknown() -> Refused {
    Refused::new(Reason::NotNow, "that transfer is not going on; begin anew")
}

fn refused(error: &impl std::error::Error) -> Refused {
    Refused::new(Reason::NotNow, format!("the snapshot cannot be kept: {error}"))
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transfer({} at {})", self.manifest.group, self.manifest.position)
    }
}
