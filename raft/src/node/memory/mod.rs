//! What this node remembers of its peers, so that none of them votes from a directory that is not
//! what it was (D8).
//!
//! A peer's directory is remembered by its id, the last (boot, nonce) pair seen of it, and the
//! highest durable sequence that its log is known to have had. Each of these shows a different
//! loss:
//!
//! | what happened                        | what shows it                                       |
//! |--------------------------------------|-----------------------------------------------------|
//! | the directory was emptied            | another directory id                                |
//! | an older copy of it was restored     | its list of starts ends before the pair             |
//! | a copy of it was started elsewhere   | its list has another nonce for the pair's boot      |
//! | its log was deleted, or lost its end | its start found less than the sequence              |
//!
//! The sequence is compared when a *new* start of the directory presents itself, with what that
//! start found. Within one start reports may overtake each other, and the highest counts.
//!
//! Best effort: what nobody remembered yet is not detected. The file `memory`, in a
//! [`crate::node::record`]: `count u16 | (node u32 | directory u128 | boot u64 | nonce u64 | sequence
//! u64) ...`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::disk::Disk;
use crate::mutant::Mutant;
use crate::node::record::{Record, RecordError};
use crate::transport::boots::{Found, Start};
use crate::transport::exchange::Exchange;
use crate::transport::handshake::Presented;
use crate::transport::refusal::{Code, Refusal};
use crate::transport::wire::{Malformed, end};
use crate::words::{Boot, DirectoryId, NodeId, Sequence};

const RECORD: Record = Record { name: "memory", magic: *b"stdf-mem", version: 1 };
const ADVICE: &str =
    "move it away to go on without a memory of the peers, while all of them are up and healthy";

/// What is remembered as the durable sequence of a log that is known to have lost entries: more than
/// any log has.
const CONDEMNED: Sequence = Sequence(u64::MAX);

/// What this node remembers of its peers.
#[derive(Debug, Default)]
pub struct Memory {
    peers: BTreeMap<NodeId, Remembered>,
    /// Whether something changed since [`Memory::unsaved`] last said so.
    changed: bool,
}

/// What is remembered of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Remembered {
    directory: DirectoryId,
    start: Start,
    /// Never decreases.
    synced: Sequence,
}

impl Memory {
    /// Reads what was saved in `directory`; nothing if nothing was.
    pub fn open(disk: &dyn Disk, directory: &Path) -> Result<Self, RecordError> {
        let Some(body) = RECORD.read(disk, directory, ADVICE)? else { return Ok(Self::default()) };
        let peers = decode(body).map_err(|malformed| {
            let path = directory.join(RECORD.name);
            RecordError::Damaged { path, malformed, advice: ADVICE }
        })?;
        Ok(Self { peers, changed: false })
    }

    /// Judges what a peer presents.
    pub fn judge(&self, presented: &Presented) -> Result<(), Refusal> {
        let Some(member) = presented.member else { return Ok(()) };
        let Some(remembered) = self.peers.get(&member.node) else { return Ok(()) };
        remembered.judge(member.node, presented)
    }

    /// Remembers a peer that was judged and accepted.
    pub fn learn(&mut self, presented: &Presented) {
        let Some(member) = presented.member else { return };
        let (directory, start) = (presented.directory, presented.start());
        self.remember(member.node, Remembered { directory, start, synced: presented.synced });
    }

    /// Takes a peer's part of an exchange: remembers it, or says why the peer must not go on.
    pub fn hear(&mut self, node: NodeId, exchange: &Exchange) -> Result<(), Refusal> {
        let Some(remembered) = self.peers.get(&node).copied() else {
            let text = format!("{node} exchanges without having presented itself");
            return Err(Refusal::new(Code::Stranger, text));
        };
        if exchange.start != remembered.start {
            return Err(overtaken(node, exchange.start.boot, remembered.start.boot));
        }
        if remembered.synced == CONDEMNED {
            return Err(lost_log(node, exchange.synced, CONDEMNED));
        }
        self.remember(node, Remembered { synced: exchange.synced, ..remembered });
        Ok(())
    }

    /// Remembers that a peer has lost what it had answered for: whatever its log holds, it had more.
    pub fn condemn(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(&node).filter(|_| !Mutant::WipedNodeReturns.is_on())
        {
            self.changed |= peer.synced != CONDEMNED;
            peer.synced = CONDEMNED;
        }
    }

    /// Forgets a node that has left the cluster.
    pub fn forget(&mut self, node: NodeId) {
        self.changed |= self.peers.remove(&node).is_some();
    }

    /// Returns what must be saved, at least every second, if anything changed since the last
    /// call. Give it to [`save`]; if that fails other than for want of room, the node must stop.
    pub fn unsaved(&mut self) -> Option<Bytes> {
        std::mem::take(&mut self.changed).then(|| encode(&self.peers))
    }

    /// Forgets all nodes: those of a cluster that was never founded.
    pub fn forget_all(&mut self) {
        self.changed |= !self.peers.is_empty();
        self.peers.clear();
    }

    /// Has [`Memory::unsaved`] give everything again, because saving it failed.
    pub fn keep_unsaved(&mut self) {
        self.changed = true;
    }

    fn remember(&mut self, node: NodeId, mut new: Remembered) {
        if let Some(old) = self.peers.get(&node) {
            new.synced = new.synced.max(old.synced);
            if *old == new {
                return;
            }
        }
        self.peers.insert(node, new);
        self.changed = true;
    }
}

/// Saves what [`Memory::unsaved`] returned, durably.
pub fn save(disk: &dyn Disk, directory: &Path, unsaved: &[u8]) -> io::Result<()> {
    RECORD.replace(disk, directory, unsaved)
}

impl Remembered {
    fn judge(&self, node: NodeId, presented: &Presented) -> Result<(), Refusal> {
        if Mutant::WipedNodeReturns.is_on() {
            return Ok(());
        }
        if presented.directory != self.directory {
            return Err(other_directory(node, presented.directory, self.directory));
        }
        let (boot, remembered) = (presented.start().boot, self.start.boot);
        match presented.boots.find(self.start) {
            Found::Same | Found::Forgotten => {}
            Found::Later => return Err(overtaken(node, boot, remembered)),
            Found::Other => return Err(copied(node, remembered)),
        }
        if self.synced == CONDEMNED || (remembered < boot && presented.recovered < self.synced) {
            return Err(lost_log(node, presented.recovered, self.synced));
        }
        Ok(())
    }
}

fn other_directory(node: NodeId, presented: DirectoryId, remembered: DirectoryId) -> Refusal {
    let text = format!(
        "{node} lives in directory {remembered}, not in {presented}: a node that lost its \
         directory must not vote under its old id; replace it by a new node"
    );
    Refusal::new(Code::OtherDirectory, text)
}

fn overtaken(node: NodeId, presented: Boot, remembered: Boot) -> Refusal {
    let text = format!(
        "{node} presents boot {presented}, and boot {remembered} of its directory was seen: this \
         is an older process, or an older copy of the directory was restored; stop it, and \
         replace the node if the newer directory is gone"
    );
    Refusal::new(Code::OldBoot, text)
}

fn copied(node: NodeId, boot: Boot) -> Refusal {
    let text = format!(
        "two directories claim boot {boot} of {node}: one is a copy of the other; stop and delete \
         the copy"
    );
    Refusal::new(Code::CopiedDirectory, text)
}

fn lost_log(node: NodeId, recovered: Sequence, remembered: Sequence) -> Refusal {
    let reach = match remembered {
        CONDEMNED => "lacks an entry that it had answered for".to_owned(),
        _ => format!("ends at {recovered} and was durable up to {remembered}"),
    };
    let text = format!(
        "the log of {node} {reach}: what it lost it had promised to keep; replace the node by a new \
         one"
    );
    Refusal::new(Code::LostLog, text)
}

fn encode(peers: &BTreeMap<NodeId, Remembered>) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u16(u16::try_from(peers.len()).expect("a cluster has few nodes"));
    for (node, peer) in peers {
        body.put_u32(node.0);
        body.put_u128(peer.directory.0);
        body.put_u64(peer.start.boot.0);
        body.put_u64(peer.start.nonce);
        body.put_u64(peer.synced.0);
    }
    body.freeze()
}

fn decode(mut body: Bytes) -> Result<BTreeMap<NodeId, Remembered>, Malformed> {
    let mut peers = BTreeMap::new();
    for _ in 0..body.try_get_u16()? {
        let (node, directory) = (NodeId(body.try_get_u32()?), DirectoryId(body.try_get_u128()?));
        let start = Start { boot: Boot(body.try_get_u64()?), nonce: body.try_get_u64()? };
        let synced = Sequence(body.try_get_u64()?);
        peers.insert(node, Remembered { directory, start, synced });
    }
    end(&body)?;
    Ok(peers)
}

#[cfg(test)]
mod tests;
