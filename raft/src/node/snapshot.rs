//! An operator's wish: a snapshot of the replica here, now.

use tokio::time::{Instant, timeout_at};

use super::Node;
use crate::words::{LogPosition, ShardId};

/// Why no snapshot is known to have been taken. The earlier ones stand as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFailure {
    /// There is no replica of the shard here.
    #[error("this node has no replica of shard {shard}")]
    NoReplica {
        /// The number that was given.
        shard: ShardId,
    },
    /// Nothing has been applied yet, so there is nothing to keep.
    #[error("shard {shard} has applied nothing yet")]
    Nothing {
        /// The shard.
        shard: ShardId,
    },
    /// So many are asked for already that this one was not begun.
    #[error("snapshots of shard {shard} are asked for faster than they are taken")]
    Overloaded {
        /// The shard.
        shard: ShardId,
    },
    /// The disk said no, or what was written could not be read back.
    #[error("the snapshot of shard {shard} failed: {why}")]
    Failed {
        /// The shard.
        shard: ShardId,
        /// What went wrong.
        why: String,
    },
    /// It was not begun by the deadline. It will be.
    #[error(
        "the snapshot of shard {shard} waits for its turn, for the shards of a node build theirs \
         one after another; it will be taken"
    )]
    Waiting {
        /// The shard.
        shard: ShardId,
    },
    /// It was not done by the deadline. It goes on.
    #[error("the snapshot of shard {shard} takes longer; it goes on")]
    Unfinished {
        /// The shard.
        shard: ShardId,
    },
}

impl Node {
    /// Takes a snapshot of the replica here, and lets the log below it go. Returns the last entry
    /// that it covers.
    pub async fn snapshot(
        &self,
        shard: ShardId,
        deadline: Instant,
    ) -> Result<LogPosition, SnapshotFailure> {
        let replica = self.inner.shard(shard).ok_or(SnapshotFailure::NoReplica { shard })?;
        if replica.content().position.is_none() {
            return Err(SnapshotFailure::Nothing { shard });
        }
        let mut asked = replica.ask_snapshot().ok_or(SnapshotFailure::Overloaded { shard })?;
        match timeout_at(deadline, &mut asked.saved).await {
            Ok(Ok(Ok(position))) => Ok(position),
            Ok(Ok(Err(why))) => Err(SnapshotFailure::Failed { shard, why: why.to_string() }),
            Ok(Err(_stopped)) => {
                Err(SnapshotFailure::Failed { shard, why: "the replica stopped".into() })
            }
            Err(_elapsed) if asked.has_begun() => Err(SnapshotFailure::Unfinished { shard }),
            Err(_elapsed) => Err(SnapshotFailure::Waiting { shard }),
        }
    }
}
