//! Keeps the shard's log within its bounds: snapshot, then purge (D2, D3).
//!
//! The log says when: of a log that has come to a third of its bound, the shard that holds most is
//! asked to snapshot, and so is one whose old entries pin the oldest segment. The order is what makes it safe: the snapshot is
//! durable and was read back before openraft hears of it, and only then does the log below it go.
//! The shards of a node do so by [`super::turns`].

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::{mpsc, oneshot};

use super::Shard;
use super::turns::{Turn, Turns};
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

/// Somebody who waits for a snapshot.
#[derive(Debug)]
pub struct Asker {
    begun: oneshot::Sender<()>,
    saved: oneshot::Sender<Result<LogPosition, SnapshotError>>,
}

/// A snapshot that was asked for.
#[derive(Debug)]
pub struct Asked {
    begun: oneshot::Receiver<()>,
    /// What came of it; closed if the replica stopped.
    pub saved: oneshot::Receiver<Result<LogPosition, SnapshotError>>,
}

impl Asked {
    /// Whether it has been begun: till then it waits for its turn.
    pub fn has_begun(&mut self) -> bool {
        self.begun.try_recv().is_ok()
    }
}

/// Snapshots whenever the log, or somebody, asks this shard to, until the log is closed.
pub async fn run(
    shard: Shard,
    turns: Turns,
    mut pressure: watch::Receiver<Vec<GroupId>>,
    mut askers: mpsc::Receiver<Asker>,
) {
    let group = shard.group();
    loop {
        let asker = tokio::select! {
            biased;
            pressed = pressure.wait_for(|pressed| pressed.contains(&group)) => {
                if pressed.is_err() {
                    return;
                }
                None
            }
            Some(asker) = askers.recv() => Some(asker),
        };
        let Some(turn) = wait_for_turn(&turns, &mut pressure, group).await else { return };
        if asker.is_none() && !pressure.borrow().contains(&group) {
            // The turns before this one have relieved the log.
            continue;
        }
        // Whoever asked may have gone; the snapshot is taken, and stays.
        let asker = asker.map(|Asker { begun, saved }| {
            begun.send(()).unwrap_or(());
            saved
        });
        let saved = shard.snapshot(turn).await;
        let pause = match &saved {
            Ok(_) => SNAPSHOT_INTERVAL_MIN,
            Err(error) => {
                tracing::warn!(%group, %error, "snapshot failed; the earlier ones stand");
                SNAPSHOT_RETRY_INTERVAL
            }
        };
        if let Some(asker) = asker {
            drop(asker.send(saved));
        }
        tokio::time::sleep(pause).await;
    }
}

/// Waits for the turn of `group`, with those that the log presses as soon as it is one of them.
/// `None`: the log is closed.
pub(super) async fn wait_for_turn(
    turns: &Turns,
    pressure: &mut watch::Receiver<Vec<GroupId>>,
    group: GroupId,
) -> Option<Turn> {
    let pressed = async {
        pressure.wait_for(|pressed| pressed.contains(&group)).await.ok()?;
        Some(turns.pressed().await)
    };
    tokio::select! {
        biased;
        turn = pressed => turn,
        turn = turns.asked() => Some(turn),
    }
}

impl Shard {
    /// Asks for a snapshot, which is taken also if nobody waits for it. `None`: too many wait.
    pub fn ask_snapshot(&self) -> Option<Asked> {
        let ((asker_begun, begun), (asker_saved, saved)) = (oneshot::channel(), oneshot::channel());
        let asker = Asker { begun: asker_begun, saved: asker_saved };
        self.inner.snapshot_askers.try_send(asker).is_ok().then_some(Asked { begun, saved })
    }

    /// Saves a snapshot of what is applied now, and lets the log below it go. Returns the position
    /// that the newest snapshot reflects.
    pub async fn snapshot(&self, turn: Turn) -> Result<LogPosition, SnapshotError> {
        let saved = self.save(turn).await?;
        if self.adopt(saved).await {
            // A replica that stopped purges nothing, and its next start sees to the log.
            drop(self.raft().trigger().purge_log(saved.index).await);
        }
        Ok(saved)
    }

    /// Sees to it that what is applied now is in a snapshot. The turn ends with that: openraft may
    /// want one of its own to adopt it.
    async fn save(&self, _turn: Turn) -> Result<LogPosition, SnapshotError> {
        let content = self.content().clone();
        match self.snapshots().newest_position().await? {
            // Nothing was applied since: all that can be given up is the fall-back.
            Some(newest) if content.position == Some(newest) => {
                self.snapshots().drop_older(newest).await?;
                Ok(newest)
            }
            // A newer one came from a peer: it counts here once it was installed.
            _ => self.snapshots().save(content).await,
        }
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
