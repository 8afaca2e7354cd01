//! Who a data directory is: one small file, `identity`, which says what the log cannot.
//!
//! ```text
//! directory u128 | boots | lease ms u32 | 0           no cluster yet
//!                                       | 1 | claim   cluster, node id, and the list of nodes it
//!                                                     came with
//! ```
//!
//! (in a [`crate::node::record`], boots as in [`crate::transport::boots`], claim as in
//! [`crate::transport::bootstrap`])
//!
//! # Invariants
//!
//! 1. The directory id never changes: it is the node's incarnation (invariant 8 of the design).
//! 2. A start's (boot, nonce) is durable before anything is answered or written under it.
//! 3. A claim is durable before it is confirmed, and there is at most one.
//! 4. The lease is no shorter than any that a leader may still hold from this node: a start that
//!    supports leaders for less keeps the older figure until that time is over.
//! 5. The file appears last in a new directory: where it is, there is a log.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rand::{Rng, RngExt};

use crate::disk::Disk;
use crate::node::record::{Record, RecordError};
use crate::transport::boots::Boots;
use crate::transport::bootstrap::Claim;
use crate::transport::handshake::Member;
use crate::transport::wire::{Malformed, end, take_flag};
use crate::words::{Boot, ClusterId, DirectoryId, NodeId};

const RECORD: Record = Record { name: "identity", magic: *b"stdf-idn", version: 2 };
const ADVICE: &str =
    "do not repair it: start a new node on an empty directory and replace this one";

/// What a data directory turned out to be.
#[derive(Debug)]
pub enum Opened {
    /// It has no identity yet: call [`Identity::first`], then [`Identity::publish`] once the log
    /// is there.
    First,
    /// It has one: call [`Identity::start`] before anything else.
    Again(Identity),
}

/// The identity of a data directory.
#[derive(Clone, Debug)]
pub struct Identity {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    known: Known,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    directory: DirectoryId,
    boots: Boots,
    lease: Duration,
    claim: Option<Claim>,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It was taken, and is durable.
    Now,
    /// The same was taken before.
    Before,
}

/// Why a claim was not taken, or not released.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The node is another's.
    #[error(
        "this node is {node} of cluster {cluster} already; to use it elsewhere, stop it and start \
         it on an empty directory"
    )]
    Taken {
        /// Which node it is.
        node: NodeId,
        /// In which cluster.
        cluster: ClusterId,
    },
    /// The disk failed. Either may be on it, so the node must stop.
    #[error("the identity could not be written: {0}; check the disk and start the node again")]
    Io(#[from] io::Error),
}

/// Reads the identity of the directory at `path`.
pub fn open(disk: Arc<dyn Disk>, path: PathBuf) -> Result<Opened, RecordError> {
    let Some(body) = RECORD.read(&*disk, &path, ADVICE)? else { return Ok(Opened::First) };
    match Known::decode(body) {
        Ok(known) => Ok(Opened::Again(Identity { disk, path, known })),
        Err(malformed) => {
            let path = path.join(RECORD.name);
            Err(RecordError::Damaged { path, malformed, advice: ADVICE })
        }
    }
}

impl Identity {
    /// Draws the identity of a new directory, in its first start, which supports leaders for
    /// `lease`. It is not on disk yet.
    pub fn first(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        lease: Duration,
        random: &mut impl Rng,
    ) -> Self {
        let directory = DirectoryId(random.random());
        let boots = Boots::first(directory, random.random());
        Self { disk, path, known: Known { directory, boots, lease, claim: None } }
    }

    /// Makes a new identity durable: the last step of a directory's creation.
    pub fn publish(&self) -> io::Result<()> {
        self.write(&self.known)
    }

    /// Adds a start, which supports leaders for `lease`, durably. Before this returns nothing may be
    /// written under the new boot.
    pub fn start(&mut self, lease: Duration, random: &mut impl Rng) -> io::Result<()> {
        let mut known = self.known.clone();
        known.boots.add(random.random());
        known.lease = known.lease.max(lease);
        self.replace(known)
    }

    /// Returns the longest time that this start, or an earlier one, supports a leader for.
    pub fn lease(&self) -> Duration {
        self.known.lease
    }

    /// Forgets, durably, that earlier starts supported leaders for longer than `lease`. Call it once
    /// [`Identity::lease`] has passed since this start.
    pub fn forget_longer_leases(&mut self, lease: Duration) -> io::Result<()> {
        if self.known.lease <= lease {
            return Ok(());
        }
        self.replace(Known { lease, ..self.known.clone() })
    }

    /// Takes the claim, durably, if the node is nobody's. The same claim is answered alike.
    pub fn claim(&mut self, claim: &Claim) -> Result<Claimed, ClaimError> {
        match &self.known.claim {
            Some(held) if held == claim => Ok(Claimed::Before),
            Some(held) => Err(taken(held)),
            None => {
                let known = Known { claim: Some(claim.clone()), ..self.known.clone() };
                self.replace(known)?;
                Ok(Claimed::Now)
            }
        }
    }

    /// Forgets a claim of `cluster`, durably. The caller makes sure that no Raft state exists.
    pub fn release(&mut self, cluster: ClusterId) -> Result<(), ClaimError> {
        match &self.known.claim {
            None => Ok(()),
            Some(held) if held.cluster != cluster => Err(taken(held)),
            Some(_) => {
                let known = Known { claim: None, ..self.known.clone() };
                Ok(self.replace(known)?)
            }
        }
    }

    /// Returns the directory's id.
    pub fn directory(&self) -> DirectoryId {
        self.known.directory
    }

    /// Returns the number of this start.
    pub fn boot(&self) -> Boot {
        self.known.boots.last().boot
    }

    /// Returns the starts of this directory.
    pub fn boots(&self) -> &Boots {
        &self.known.boots
    }

    /// Returns the claim that was taken, if there was one.
    pub fn claimed(&self) -> Option<&Claim> {
        self.known.claim.as_ref()
    }

    /// Returns the node's place in a cluster, if it has one.
    pub fn member(&self) -> Option<Member> {
        let claim = self.known.claim.as_ref()?;
        Some(Member { cluster: claim.cluster, node: claim.node })
    }

    fn replace(&mut self, known: Known) -> io::Result<()> {
        self.write(&known)?;
        self.known = known;
        Ok(())
    }

    fn write(&self, known: &Known) -> io::Result<()> {
        RECORD.replace(&*self.disk, &self.path, &known.encode())
    }
}

fn taken(held: &Claim) -> ClaimError {
    ClaimError::Taken { node: held.node, cluster: held.cluster }
}

impl Known {
    fn encode(&self) -> Bytes {
        let mut body = BytesMut::new();
        body.put_u128(self.directory.0);
        self.boots.put(&mut body);
        body.put_u32(u32::try_from(self.lease.as_millis()).unwrap_or(u32::MAX));
        body.put_u8(u8::from(self.claim.is_some()));
        if let Some(claim) = &self.claim {
            claim.put(&mut body);
        }
        body.freeze()
    }

    fn decode(mut body: Bytes) -> Result<Self, Malformed> {
        let directory = DirectoryId(body.try_get_u128()?);
        let boots = Boots::get(&mut body)?;
        let lease = Duration::from_millis(body.try_get_u32()?.into());
        let claim = take_flag(&mut body)?.then(|| Claim::get(&mut body)).transpose()?;
        end(&body)?;
        Ok(Self { directory, boots, lease, claim })
    }
}

#[cfg(test)]
mod tests;
