//! Leaders that are moved: the one fault that a cluster of somebody else bears as well, for it is asked
//! for over HTTP.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use steadfast_cli::client::Client;
use tokio::time::Instant;

use super::Nemesis;
use super::cluster::Observer;
use super::schedule::Schedule;
use crate::history::{Function, Kind, Recorder};

/// Has every shard led by the voter that follows its leader.
pub async fn transfer(observer: &Observer, client: &Client) -> Value {
    let mut moved = Vec::new();
    for (shard, voters) in observer.voters().await {
        let Some(leader) = observer.leader(shard).await else { continue };
        let next = voters.range(leader + 1..).next().or(voters.first());
        let Some(&to) = next.filter(|to| **to != leader) else { continue };
        // One that is refused is not counted: the node may be down or behind.
        if let Ok(answer) = client.transfer_leader(shard, to).await {
            moved.push(json!({ "shard": shard, "from": leader, "to": answer.leader }));
        }
    }
    json!({ "bit": !moved.is_empty(), "moved": moved })
}

/// Moves leaders when a schedule says so, which has nothing else. Returns how often that was, and how
/// often one moved.
pub async fn follow(
    schedule: &Schedule,
    observer: &Observer,
    client: &Client,
    recorder: &Arc<Recorder>,
) -> (u64, u64) {
    let began = Instant::now();
    let (mut tried, mut bit) = (0, 0);
    for step in &schedule.steps {
        tokio::time::sleep_until(began + Duration::from_millis(step.at_ms)).await;
        let mut evidence = transfer(observer, client).await;
        tried += 1;
        bit += u64::from(evidence["bit"] == true);
        evidence["name"] = json!(Nemesis::Transfer);
        recorder.nemesis(Kind::Info, Function::Fault, evidence);
        let healed = json!({ "name": Nemesis::Transfer });
        recorder.nemesis(Kind::Info, Function::Heal, healed);
    }
    (tried, bit)
}
