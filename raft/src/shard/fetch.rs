//! Help from a peer for a replica that has lost its snapshots (D3).
//!
//! The log below a snapshot is gone, so a replica none of whose snapshots can be read does not know
//! what it promised: it must neither vote nor answer. Any peer's snapshot at or above what was
//! purged will do, because snapshots hold only what is committed; no leader is needed. The replica
//! asks for a manifest, pulls the chunks, publishes them as its own, and opens as after any start.
//!
//! ```text
//!   manifest  1 | to u64 | 0, or 1 | log id: what was purged    answered by a manifest
//!   chunk     1 | to u64 | log id | number u64                  answered by the chunk
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::Shard;
use super::network::check_target;
use super::rpc::messages::{Message, decode_answer, decode_request, encode_answer, encode_request};
use super::rpc::{get_position, put_position};
use super::snapshot_data::SnapshotData;
use super::snapshots::ShardSnapshots;
use crate::limits;
use crate::snapshot::{Manifest, SnapshotError};
use crate::transport::frame::{Kind, Reason, Refused};
use crate::transport::peer::Peer;
use crate::transport::wire::{Malformed, take_flag};
use crate::words::{GroupId, LogPosition, ReplicaId};

/// Asks which snapshot a peer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskManifest {
    /// It must reach at least as far as this.
    pub at_least: Option<LogPosition>,
}

/// Asks for a chunk of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskChunk {
    /// Which snapshot.
    pub position: LogPosition,
    /// Which chunk, counting from 0.
    pub number: u64,
}

/// The chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk(pub Bytes);

/// Why a peer was no help.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It could not be asked, did not answer, or refused.
    #[error("{0}")]
    Peer(String),
    /// What it sent could not be kept.
    #[error("{0}")]
    Snapshot(#[from] SnapshotError),
}

impl Message for AskManifest {
    fn put(&self, buffer: &mut BytesMut) {
        buffer.put_u8(self.at_least.is_some().into());
        if let Some(position) = self.at_least {
            put_position(buffer, position);
        }
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        let at_least = take_flag(bytes)?.then(|| get_position(bytes)).transpose()?;
        Ok(Self { at_least })
    }
}

impl Message for AskChunk {
    fn put(&self, buffer: &mut BytesMut) {
        put_position(buffer, self.position);
        buffer.put_u64(self.number);
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Self { position: get_position(bytes)?, number: bytes.try_get_u64()? })
    }
}

impl Message for Chunk {
    fn put(&self, buffer: &mut BytesMut) {
        buffer.put_slice(&self.0);
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Self(bytes.split_off(0)))
    }
}

/// Takes the snapshot that the replica `to`, on `peer`, has of the same group, if it reaches
/// `at_least`, and publishes it here.
pub async fn fetch(
    snapshots: &ShardSnapshots,
    peer: &Peer,
    to: ReplicaId,
    at_least: Option<LogPosition>,
) -> Result<LogPosition, FetchError> {
    let group = snapshots.group();
    let ask = encode_request(to, &AskManifest { at_least });
    let manifest: Manifest = request(peer, Kind::SnapshotManifest, group, ask).await?;
    let position = manifest.position;
    if manifest.group != group || Some(position) < at_least {
        return Err(FetchError::Peer(format!("{} offers {position}, too early", peer.node())));
    }
    let mut writer = snapshots.begin(position).await.map_err(SnapshotError::Io)?;
    for number in 0..manifest.chunks {
        let ask = encode_request(to, &AskChunk { position, number });
        let Chunk(bytes) = request(peer, Kind::SnapshotPull, group, ask).await?;
        writer = snapshots.append(writer, bytes).await.map_err(SnapshotError::Io)?;
    }
    snapshots.finish(writer, manifest).await?;
    Ok(position)
}

async fn request<A: Message>(
    peer: &Peer,
    kind: Kind,
    group: GroupId,
    body: Bytes,
) -> Result<A, FetchError> {
    let waiting =
        peer.request(kind, group, body).map_err(|error| FetchError::Peer(error.to_string()))?;
    let answer = match tokio::time::timeout(limits::CHUNK_ANSWER_TIMEOUT, waiting).await {
        Ok(answer) => answer.map_err(|error| FetchError::Peer(error.to_string()))?,
        Err(_elapsed) => return Err(FetchError::Peer(format!("{} did not answer", peer.node()))),
    };
    decode_answer(answer).map_err(|error| FetchError::Peer(error.to_string()))
}

impl Shard {
    /// Answers a replica that fetches a snapshot.
    pub async fn serve_fetch(&self, kind: Kind, body: Bytes) -> Result<Bytes, Refused> {
        if kind == Kind::SnapshotManifest {
            let (to, AskManifest { at_least }) = decode_request(body)?;
            check_target(to, self.me())?;
            let data = self.snapshot_from(at_least).await?;
            let manifest = data.manifest().clone();
            *self.inner.served.lock().await = Some(data);
            return Ok(encode_answer(&manifest));
        }
        let (to, AskChunk { position, number }) = decode_request(body)?;
        check_target(to, self.me())?;
        let served = self.inner.served.lock().await.clone();
        let served = served.filter(|data| data.manifest().position == position);
        let data = served.ok_or_else(|| refused("that snapshot is not offered; ask anew"))?;
        let chunk = data.chunk(number).await.map_err(|error| refused(error.to_string()))?;
        Ok(encode_answer(&Chunk(chunk)))
    }

    /// Returns a snapshot that reaches `at_least`, a new one if none does yet.
    async fn snapshot_from(&self, at_least: Option<LogPosition>) -> Result<SnapshotData, Refused> {
        let unkept = |error: &dyn std::error::Error| refused(error.to_string());
        let newest = self.snapshots().newest_position().await.map_err(|error| unkept(&error))?;
        if newest.is_none() || newest < at_least {
            if self.content().position < at_least {
                return Err(refused("this replica has not applied as much"));
            }
            let turn = self.inner.turns.asked().await;
            self.snapshot(turn).await.map_err(|error| unkept(&error))?;
        }
        let newest = self.snapshots().newest().await.map_err(|error| unkept(&error))?;
        Ok(newest.ok_or_else(|| refused("there is no snapshot here"))?.snapshot)
    }
}

fn refused(text: impl Into<String>) -> Refused {
    Refused::new(Reason::NotNow, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{NodeId, Term};

    #[test]
    fn messages_keep_their_bytes() {
        let leader = ReplicaId::new(NodeId(2), 1);
        let position = LogPosition { term: Term { number: 5, leader }, index: 7 };
        let to = ReplicaId::new(NodeId(3), 1);
        let manifest = encode_request(to, &AskManifest { at_least: Some(position) });
        let head = [1, 0, 0, 0, 3, 0, 0, 0, 1];
        let at = [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(manifest[..], [&head[..], &[1], &at].concat());
        let asked = decode_request::<AskManifest>(manifest).expect("it was encoded");
        assert_eq!(asked, (to, AskManifest { at_least: Some(position) }));
        let chunk = encode_request(to, &AskChunk { position, number: 9 });
        assert_eq!(chunk[..], [&head[..], &at, &[0, 0, 0, 0, 0, 0, 0, 9]].concat());
        let asked = decode_request::<AskChunk>(chunk).expect("it was encoded");
        assert_eq!(asked, (to, AskChunk { position, number: 9 }));
        let answer = encode_answer(&Chunk(Bytes::from_static(b"bytes")));
        assert_eq!(answer[..], *b"\x01bytes");
        assert_eq!(decode_answer::<Chunk>(answer).expect("it was encoded").0, b"bytes"[..]);
    }
}
