//! Entries that move time on when nobody writes, so that keys expire on time (D5).
//!
//! A tick is proposed by the leader alone, and only when a deadline is due: a shard without
//! deadlines costs nothing.

use std::time::Duration;

use super::Shard;
use crate::words::LogTime;

/// Shortest time between two ticks of a shard.
const TICK_INTERVAL_MIN: Duration = Duration::from_millis(20);
/// Longest time until a deadline is looked at again: log time may run faster than this clock.
const RECHECK_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Proposes ticks until the shard stops.
pub async fn run(shard: Shard) {
    let mut progress = shard.progress();
    loop {
        let next = progress.borrow_and_update().next_deadline;
        match next {
            Some(deadline) if shard.leads() => wait_and_tick(&shard, deadline).await,
            Some(_) => shard.leadership_changed().await,
            None => {
                if progress.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn wait_and_tick(shard: &Shard, deadline: LogTime) {
    let now = shard.time().current().unwrap_or_default();
    let left_ms = deadline.0.saturating_sub(now.0);
    if left_ms == 0 {
        shard.inner.proposer.tick();
    }
    let wait = Duration::from_millis(left_ms).clamp(TICK_INTERVAL_MIN, RECHECK_INTERVAL_MAX);
    tokio::time::sleep(wait).await;
}
