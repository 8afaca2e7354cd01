//! What comes in from peers, and whom it is for.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Inner, forward};
use crate::limits;
use crate::shard::{Shard, network};
use crate::transport::exchange::{Exchange, Move, Standing};
use crate::transport::frame::{Kind, Reason, Refused};
use crate::transport::refusal::Refusal;
use crate::transport::{Callbacks, Incoming};
use crate::words::{GroupId, LogTime, NodeId};

/// Returns what the transport calls.
///
/// The transport belongs to the node, so it holds the node weakly: what comes in while the node
/// goes is refused.
pub(super) fn callbacks(inner: &Arc<Inner>) -> Callbacks {
    let directory = || Arc::clone(&inner.directory);
    let (present, accept, exchange) = (directory(), directory(), directory());
    let [times, tell, take, lost, handle] = std::array::from_fn(|_| Arc::downgrade(inner));
    Callbacks {
        present: Arc::new(move || present.present()),
        accept: Arc::new(move |presented| accept.accept(presented)),
        make_exchange: Arc::new(move || {
            let (standing, moves) = leaders(&tell);
            Exchange { standing, moves, ..exchange.exchange(log_times(&times)) }
        }),
        take_exchange: Arc::new(move |node, exchange| match take.upgrade() {
            Some(inner) => inner.take_exchange(node, exchange),
            None => Ok(()),
        }),
        lost: Arc::new(move |node| {
            if let Some(inner) = lost.upgrade() {
                inner.peer_lost(node);
            }
        }),
        handle: Arc::new(move |incoming| {
            let inner = handle.upgrade();
            Box::pin(async move {
                match inner {
                    Some(inner) => inner.handle(incoming).await,
                    None => Err(Refused::new(Reason::NotNow, "this node is stopping")),
                }
            })
        }),
    }
}

fn log_times(inner: &Weak<Inner>) -> Vec<(GroupId, LogTime)> {
    let shards = inner.upgrade().map(|inner| inner.shards()).unwrap_or_default();
    shards.iter().filter_map(|shard| Some((shard.group(), shard.time().current()?))).collect()
}

fn leaders(inner: &Weak<Inner>) -> (Standing, Vec<Move>) {
    match inner.upgrade() {
        Some(inner) => (inner.standing(), inner.leaders.tell()),
        None => (Standing::Draining, Vec::new()),
    }
}

impl Inner {
    fn take_exchange(&self, node: NodeId, exchange: &Exchange) -> Result<(), Refusal> {
        self.directory.hear(node, exchange)?;
        // Log times first: with a majority of clocks, a shard without log time would take theirs.
        for (group, time) in &exchange.log_times {
            if let Some(shard) = self.shard_of(*group) {
                shard.time().observe_received(*time);
            }
        }
        self.leaders.hear(node, exchange.standing, &exchange.moves);
        self.samples().observe(node, exchange.wall_ms, self.seams.clock.boottime());
        Ok(())
    }

    async fn handle(self: Arc<Self>, incoming: Incoming) -> Result<Bytes, Refused> {
        let Incoming { kind, group, body, .. } = incoming;
        match kind {
            Kind::Append => self.append(group, body).await,
            Kind::Vote | Kind::PreVote | Kind::TransferLeader => {
                let shard = self.replica(group)?;
                shard.check_guard()?;
                network::answer(shard.raft(), kind, body).await
            }
            Kind::SnapshotBegin | Kind::SnapshotChunk | Kind::SnapshotFinish => {
                self.replica(group)?.receive(kind, body).await
            }
            Kind::SnapshotManifest | Kind::SnapshotPull => {
                self.replica(group)?.serve_fetch(kind, body).await
            }
            Kind::ReadIndex => self.replica(group)?.read_index(body).await,
            Kind::Forward => self.forwarded(group, body).await,
            Kind::Transfer => self.transfer_for_peer(group, body).await,
            Kind::Claim => Ok(self.claimed_by_peer(body).await?.encode()),
            Kind::Release => Ok(self.released_by_peer(body).await?.encode()),
            Kind::Found => Ok(self.found_for_peer(body).await?.encode()),
            Kind::Confirm => Ok(self.confirms(body)?),
            Kind::Exchange => {
                Err(Refused::new(Reason::UnknownKind, format!("{kind:?} is not served here")))
            }
        }
    }

    /// Appends a leader's entries, if there is room for them. Heartbeats always pass.
    async fn append(&self, group: GroupId, body: Bytes) -> Result<Bytes, Refused> {
        let wal = self.directory.wal();
        let admit = |bytes| {
            let full = |full| Refused::new(Reason::NotNow, format!("no room for entries: {full}"));
            wal.admit_append(bytes).map_err(full)
        };
        network::append(self.replica(group)?.raft(), body, admit).await
    }

    async fn forwarded(&self, group: GroupId, body: Bytes) -> Result<Bytes, Refused> {
        let (operation, left) = forward::decode_request(body)
            .map_err(|error| Refused::new(Reason::Malformed, error.to_string()))?;
        // A shard checks that it owns a key. It cannot see whether a change was meant for another.
        if let Some(shard) = operation.names().filter(|shard| *shard != group.shard) {
            let text = format!("a request to shard {shard} came in a frame for {group}");
            return Err(Refused::new(Reason::Malformed, text));
        }
        let deadline = Instant::now() + left.min(limits::TIMEOUT_MAX);
        Ok(forward::encode_verdict(&self.serve_forwarded(group, &operation, deadline).await))
    }

    fn replica(&self, group: GroupId) -> Result<Shard, Refused> {
        self.shard_of(group).ok_or_else(|| {
            Refused::new(Reason::NoReplica, format!("there is no replica of {group} here"))
        })
    }
}
