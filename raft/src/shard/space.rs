//! Keeps the shard's log within its bounds: snapshot, then purge (D2, D3).
//!
//! The log says when: a shard is asked to snapshot when it holds a third of its share of the log,
//! or when its old entries pin the oldest segment. The order is what makes it safe: the snapshot is
//! durable and was read back before openraft hears of it, and only then does the log below it go.

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;

use super::Shard;
use super::types::position;
use crate::runtime::watch;
use crate::snapshot::SnapshotError;
use crate::words::{GroupId, LogPosition};

/// Shortest time between two snapshots of a shard, so that a log that cannot be relieved (another
/// shard pins it) does not keep the disk busy.
const SNAPSHOT_INTERVAL_MIN: Duration = Duration::from_millis(200);
/// Time until a snapshot that failed is tried again.
const SNAPSHOT_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long openraft may take to adopt a snapshot that lies ready.
const ADOPTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Snapshots whenever the log asks this shard to, until the log is closed.
pub async fn run(shard: Shard, mut pressure: watch::Receiver<Vec<GroupId>>) {
    let group = shard.group();
    while pressure.wait_for(|pressed| pressed.contains(&group)).await.is_ok() {
        let pause = match shard.snapshot().await {
            Ok(_) => SNAPSHOT_INTERVAL_MIN,
            Err(error) => {
                tracing::warn!(%group, %error, "snapshot failed; the earlier ones stand");
                SNAPSHOT_RETRY_INTERVAL
            }
        };
        tokio::time::sleep(pause).await;
    }
}

impl Shard {
    /// Saves a snapshot of what is applied now, and lets the log below it go. Returns the position
    /// that the newest snapshot reflects.
    pub async fn snapshot(&self) -> Result<LogPosition, SnapshotError> {
        let content = self.content().clone();
        let newest = self.snapshots().newest_position().await?;
        let saved = match newest {
            // Nothing was applied since: all that can be given up is the fall-back.
            Some(newest) if content.position == Some(newest) => {
                self.snapshots().drop_older(newest).await?;
                newest
            }
            // A newer one came from a peer: it counts here once it was installed.
            _ => self.snapshots().save(content).await?,
        };
        if self.adopt(saved).await {
            // A replica that stopped purges nothing, and its next start sees to the log.
            drop(self.raft().trigger().purge_log(saved.index).await);
        }
        Ok(saved)
    }

    /// Has openraft take over the newest snapshot. Returns whether it did.
    async fn adopt(&self, saved: LogPosition) -> bool {
        self.snapshots().make_ready(saved);
        if self.raft().trigger().snapshot().await.is_err() {
            return false;
        }
        let mut metrics = self.raft().metrics();
        let adopted = async {
            loop {
                let snapshot = metrics.borrow_watched().snapshot.as_ref().map(position);
                if Some(saved) <= snapshot {
                    return true;
                }
                if metrics.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(ADOPTION_TIMEOUT, adopted).await.unwrap_or(false)
    }
}
