//! What a shard starts from.

use std::io;

use super::ShardSnapshots;
use crate::shard::machine::Content;
use crate::shard::turns::Turns;
use crate::snapshot::SnapshotError;
use crate::wal::LogClosed;
use crate::words::GroupId;

/// What a shard starts with.
#[derive(Debug)]
pub enum Found {
    /// A snapshot, or none where none is needed, and the log that follows it.
    Content(Box<Content>),
    /// The log was purged, and no snapshot that it follows can be read: a peer must help out.
    Missing,
}

/// Why a shard could not be opened. Nothing was deleted.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk did not answer. It may, another time.
    #[error(
        "the snapshots of {group} cannot be read: {source}; nothing was changed; check the disk and start again"
    )]
    Io {
        /// Whose they are.
        group: GroupId,
        /// What the disk said.
        source: io::Error,
    },
    /// What was read is of no use to this process, however often it reads it.
    #[error("what {group} has on disk cannot be used: {source}; nothing was changed; {advice}")]
    Unfit {
        /// Whose it is.
        group: GroupId,
        /// What is wrong with it.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
}

impl OpenError {
    /// Tells what may heal from what cannot.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what a system may say has no end")]
    fn of(group: GroupId, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::Unsupported => "start this node with the build that wrote it",
            io::ErrorKind::InvalidData => {
                "do not repair it: start a new node on an empty directory and replace this one"
            }
            _ if source.get_ref().is_some_and(|inner| inner.is::<LogClosed>()) => {
                "start the node again"
            }
            _ => return Self::Io { group, source },
        };
        Self::Unfit { group, source, advice }
    }
}

impl ShardSnapshots {
    /// Chooses the newest snapshot that is whole and that the log follows, removes damaged ones,
    /// and has the log start from it. Reading one takes a turn: all of a node's at the same time would
    /// take far more memory than what comes of it.
    pub async fn open(&self, turns: &Turns) -> Result<Found, OpenError> {
        let refuse = |source| OpenError::of(self.group, source);
        for position in self.list().await.map_err(refuse)? {
            if !self.log.follows(Some(position)) {
                continue;
            }
            let turn = turns.pressed().await;
            let loaded = self.load_at(position).await;
            drop(turn);
            match loaded {
                Ok(content) => {
                    self.log.start_from(Some(position)).await.map_err(refuse)?;
                    return Ok(Found::Content(Box::new(content)));
                }
                Err(SnapshotError::Io(source)) => return Err(refuse(source)),
                Err(error @ SnapshotError::Damaged { .. }) => {
                    tracing::error!(%error, "damaged snapshot removed; an older one may serve");
                    self.remove(position).await.map_err(refuse)?;
                }
            }
        }
        if !self.log.follows(None) {
            return Ok(Found::Missing);
        }
        self.log.start_from(None).await.map_err(refuse)?;
        Ok(Found::Content(Box::default()))
    }
}
