//! What a follower does when its leader's process seems to be gone: it campaigns as soon as it may.
//!
//! A follower that hears nothing waits for the leader's lease (the longest election timeout) and
//! then for an election timeout of its own: 1.0 to 1.2 s with the defaults, in which nobody can
//! write. The second wait only keeps followers from campaigning against a leader that is merely
//! slow, and against each other. When the connection to the leader broke without a word, its process
//! is most likely gone, so the second wait is spared and a short random one takes its place.
//!
//! # Why this breaks no promise
//!
//! A broken connection is no proof of death, so nothing here relies on it: it decides *when* to ask,
//! never *whether* a vote is granted.
//!
//! - The campaign begins with a pre-vote, which openraft refuses to begin while the lease that this
//!   replica gave the leader is valid, and which every voter refuses while its own is. So a leader
//!   that serves reads under its lease has as long for it as without this module.
//! - A replica that was just restarted waits for its guard ([`super::guard`]) like for any campaign.
//! - A leader that a majority still answers refuses the pre-vote too, and no replica's term moves.
//! - A campaign is always allowed in Raft; its timing never matters for safety.

use std::time::Duration;

use rand::RngExt;
use tokio::time::{Instant, sleep};

use super::Shard;
use crate::runtime;

/// Time between two attempts: at random, so that one of several followers is first.
const ATTEMPT_INTERVAL_MS: std::ops::Range<u64> = 25..100;

/// Campaigns, while the leader seems to be gone, until the shard stops.
pub async fn run(shard: Shard) {
    loop {
        shard.inner.lost_leader.notified().await;
        shard.campaign_early().await;
    }
}

impl Shard {
    /// Notes that the process of the leader seems to be gone.
    pub fn leader_lost(&self) {
        self.inner.lost_leader.notify_one();
    }

    /// Asks for a pre-vote again and again, until there is another leader or the ordinary timeouts
    /// have taken over. Attempts before the leader's lease has run out do nothing.
    async fn campaign_early(&self) {
        let gone = self.leadership();
        let timers = self.inner.timers;
        let until = Instant::now() + timers.election_max + timers.election_min;
        while Instant::now() < until {
            let pause = runtime::random().random_range(ATTEMPT_INTERVAL_MS);
            sleep(Duration::from_millis(pause)).await;
            let now = self.leadership();
            if self.leads() || now.term != gone.term || self.halted().is_some() {
                return;
            }
            // What it may have promised before it was restarted, it keeps.
            if self.check_guard().is_err() {
                continue;
            }
            if self.raft().trigger().elect(true).await.is_err() {
                return;
            }
        }
    }
}
