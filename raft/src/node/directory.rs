//! The data directory: who it says this node is, what the node remembers of its peers, and the
//! order in which all of that comes to be.
//!
//! ```text
//!   lock         held while a process uses the directory
//!   identity     the last to appear: without it the directory is new
//!   memory       what is remembered of the peers
//!   log/         the log
//!   snapshots/   the snapshots
//! ```
//!
//! At the first start the log comes before the identity; at each later one the identity's new boot
//! is durable before the log is opened under it. So whatever a crash leaves is either new, or whole
//! (D2, D8).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::identity::{self, ClaimError, Claimed, Identity, Opened};
use super::memory::{self, Memory};
use super::{NodeConfig, Seams, StartError};
use crate::clock::Clock;
use crate::disk::{Disk, DiskFile, is_full};
use crate::net::Address;
use crate::runtime;
use crate::transport::bootstrap::Claim;
use crate::transport::exchange::Exchange;
use crate::transport::handshake::{Member, Presented};
use crate::transport::refusal::Refusal;
use crate::wal::{self, Place, Start, Wal, WalConfig, Writer};
use crate::words::{ClusterId, GroupId, LogTime, NodeId, Sequence};

/// How often what is remembered of the peers is saved, if it changed.
const MEMORY_SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// A data directory in use.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    peer: Address,
    http: String,
    /// How long this process supports a leader whose message it took.
    lease: Duration,
    identity: Mutex<Identity>,
    memory: Mutex<Memory>,
    /// The last durable sequence of the log as this start found it.
    recovered: Sequence,
    wal: Wal,
    _lock: Box<dyn DiskFile>,
}

/// Opens the directory for this process alone.
pub(super) fn open(config: &NodeConfig, seams: &Seams) -> Result<(Directory, Writer), StartError> {
    let path = &config.data;
    let disk = &seams.disk;
    let lock = lock(&**disk, path)?;
    let (identity, wal, writer) = identity_and_log(config, disk)?;
    let memory = Memory::open(&**disk, path).map_err(refused)?;
    seams.snapshots.clean().map_err(|error| unusable(path, "its snapshots", &error))?;
    let directory = Directory {
        path: path.clone(),
        disk: Arc::clone(disk),
        clock: Arc::clone(&seams.clock),
        peer: config.peer_advertise.clone(),
        http: config.http_advertise.clone(),
        lease: config.settings.election_max,
        identity: Mutex::new(identity),
        memory: Mutex::new(memory),
        recovered: wal.synced(),
        wal,
        _lock: lock,
    };
    Ok((directory, writer))
}

fn lock(disk: &dyn Disk, path: &Path) -> Result<Box<dyn DiskFile>, StartError> {
    disk.create_dir_all(path).map_err(|error| unusable(path, "it", &error))?;
    disk.lock(&path.join("lock")).map_err(|error| {
        if error.kind() != io::ErrorKind::WouldBlock {
            return unusable(path, "its lock", &error);
        }
        StartError(format!(
            "the data directory {} is in use by another process; nothing was changed; stop that \
             process, or give this node a directory of its own",
            path.display()
        ))
    })
}

fn identity_and_log(
    config: &NodeConfig,
    disk: &Arc<dyn Disk>,
) -> Result<(Identity, Wal, Writer), StartError> {
    let path = &config.data;
    let log = path.join("log");
    let settings = &config.settings;
    let wal_config = WalConfig {
        segment_bytes: settings.segment_bytes,
        segments_max: settings.segments_max,
        memory_bytes_max: settings.log_memory_bytes_max,
    };
    let open_log = |identity: &Identity, start| {
        let (disk, directory) = (Arc::clone(disk), log.clone());
        let (id, boot) = (identity.directory(), identity.boot());
        wal::open(&Place { disk, directory, id, boot }, start, wal_config).map_err(refused)
    };
    let (mut random, lease) = (runtime::random(), settings.election_max);
    let unwritten = |error: io::Error| unusable(path, "its identity", &error);
    match identity::open(Arc::clone(disk), path.clone()).map_err(refused)? {
        Opened::First => {
            let identity = Identity::first(Arc::clone(disk), path.clone(), lease, &mut random);
            disk.create_dir_all(&log).map_err(|error| unusable(path, "its log", &error))?;
            let (wal, writer) = open_log(&identity, Start::First)?;
            disk.sync_dir(path).map_err(unwritten)?;
            disk.sync_dir(&above(path)).map_err(unwritten)?;
            identity.publish().map_err(unwritten)?;
            Ok((identity, wal, writer))
        }
        Opened::Again(mut identity) => {
            identity.start(lease, &mut random).map_err(unwritten)?;
            let (wal, writer) = open_log(&identity, Start::Again)?;
            Ok((identity, wal, writer))
        }
    }
}

/// Returns the directory that holds the name of the data directory: that name must last too.
fn above(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

fn refused(error: impl std::error::Error) -> StartError {
    StartError(error.to_string())
}

/// Says what the disk said, and what usually helps.
#[expect(clippy::wildcard_enum_match_arm, reason = "what a system may say has no end")]
fn unusable(path: &Path, what: &str, error: &io::Error) -> StartError {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "give this user the right to write there",
        io::ErrorKind::ReadOnlyFilesystem => "mount the file system writable",
        io::ErrorKind::StorageFull => "make room on the disk",
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "name a directory",
        _ => "check the disk",
    };
    StartError(format!(
        "the data directory {} cannot be used, because {what} failed: {error}; {advice} and start \
         again",
        path.display()
    ))
}

impl Directory {
    /// Returns the node's place in a cluster, if it has one.
    pub(super) fn member(&self) -> Option<Member> {
        self.identity().member()
    }

    /// Returns the claim that the node was taken with, if it was.
    pub(super) fn claimed(&self) -> Option<Claim> {
        self.identity().claimed().cloned()
    }

    /// Takes a claim, durably.
    ///
    /// A node of no cluster has no peers, so what it may remember is of a cluster whose claim was
    /// released: there the same ids were other nodes'.
    pub(super) fn claim(&self, claim: &Claim) -> Result<Claimed, ClaimError> {
        let mut identity = self.identity();
        if identity.claimed().is_none() {
            self.memory().forget_all();
            self.save_memory()?;
        }
        identity.claim(claim)
    }

    /// Forgets a claim, durably, if no Raft state was made under it.
    pub(super) fn release(&self, cluster: ClusterId) -> Result<(), ClaimError> {
        self.identity().release(cluster)
    }

    /// Returns the longest time for which a leader may still count on this node, whichever start of
    /// it gave its support.
    pub(super) fn lease(&self) -> Duration {
        self.identity().lease()
    }

    /// Forgets the leases of earlier starts once they are over. A full disk is no obstacle: the old
    /// file is whole, and the next start is guarded for longer.
    pub(super) async fn outlive_leases(&self) -> io::Result<()> {
        tokio::time::sleep(self.lease()).await;
        match self.identity().forget_longer_leases(self.lease) {
            Err(error) if !is_full(&error) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns the log.
    pub(super) fn wal(&self) -> &Wal {
        &self.wal
    }

    /// Says who this node is.
    pub(super) fn present(&self) -> Presented {
        let identity = self.identity();
        Presented {
            member: identity.member(),
            directory: identity.directory(),
            boots: identity.boots().clone(),
            recovered: self.recovered,
            synced: self.wal.synced(),
            lease: self.lease,
            peer: self.peer.clone(),
            http: self.http.clone(),
        }
    }

    /// Judges a peer and, if it passes, remembers it.
    pub(super) fn accept(&self, presented: &Presented) -> Result<(), Refusal> {
        let mut memory = self.memory();
        memory.judge(presented)?;
        memory.learn(presented);
        Ok(())
    }

    /// Makes this node's part of an exchange, but for what concerns leaders.
    pub(super) fn exchange(&self, log_times: Vec<(GroupId, LogTime)>) -> Exchange {
        let identity = self.identity();
        Exchange {
            hash: identity.boots().hash(),
            start: identity.boots().last(),
            synced: self.wal.synced(),
            wall_ms: self.clock.wall_ms(),
            log_times,
            ..Exchange::default()
        }
    }

    /// Remembers a peer's part of an exchange, or says why the peer must not go on.
    pub(super) fn hear(&self, node: NodeId, exchange: &Exchange) -> Result<(), Refusal> {
        self.memory().hear(node, exchange)
    }

    /// Remembers that a peer lost what it had answered for.
    pub(super) fn condemn(&self, node: NodeId) {
        self.memory().condemn(node);
    }

    /// Saves what changed of the memory, each second, until that fails.
    ///
    /// A full disk is no such failure: the old file is whole, and a node that takes no writes for
    /// want of room must still read, vote and hand over.
    pub(super) async fn keep_memory(&self) -> io::Error {
        loop {
            tokio::time::sleep(MEMORY_SAVE_INTERVAL).await;
            match self.save_memory() {
                Err(error) if !is_full(&error) => return error,
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Saves what changed of the memory. What could not be saved is tried again.
    pub(super) fn save_memory(&self) -> io::Result<()> {
        // Locked throughout, because the file has one writer at a time.
        let mut memory = self.memory();
        let Some(bytes) = memory.unsaved() else { return Ok(()) };
        let saved = memory::save(&*self.disk, &self.path, &bytes);
        if saved.is_err() {
            memory.keep_unsaved();
        }
        saved
    }

    fn identity(&self) -> MutexGuard<'_, Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
