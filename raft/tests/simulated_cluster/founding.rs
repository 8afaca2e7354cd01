//! Founds the cluster, while processes die: `init` is repeated until it succeeds, and there must be
//! one cluster in the end.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::machine::Crash;

/// How long a founding without faults may take.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an operator waits for an answer while processes die.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most foundings that are disturbed.
const DISTURBED_MAX: u32 = 4;
/// Most changes to its disk that a process lives to make meanwhile.
const CHANGES_MAX: u64 = 80;
/// Time between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Starts all machines and founds the cluster.
pub(crate) async fn found(seed: u64, cluster: &Arc<Cluster>) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ (0xf0d << 32));
    for machine in cluster.machines.iter() {
        cluster.expect(machine.start().await);
    }
    for _ in 0..random.random_range(0..=DISTURBED_MAX) {
        disturb(cluster, &mut random).await;
    }
    let begun = Instant::now();
    loop {
        // Where the founding began is where it can be gone on with.
        let mut errors = Vec::new();
        for machine in cluster.machines.iter() {
            match cluster.init(machine, PATIENCE).await {
                Ok(()) => {
                    cluster.note(&format!("founded after {} ms", begun.elapsed().as_millis()));
                    return;
                }
                Err(why) => errors.push(why),
            }
        }
        if INIT_TIMEOUT < begun.elapsed() {
            return cluster.problem(format!("the cluster was not founded: {errors:?}"));
        }
        sleep(RETRY_INTERVAL).await;
    }
}

/// Has some processes die at some change to their disks, while one of them founds the cluster.
async fn disturb(cluster: &Cluster, random: &mut Xoshiro256PlusPlus) {
    let count = cluster.machines.len();
    let founder = if random.random_bool(0.8) { 0 } else { random.random_range(0..count) };
    let mut victims = Vec::new();
    for machine in cluster.machines.iter() {
        if random.random_bool(0.5) {
            continue;
        }
        machine.disk.die_after(random.random_range(0..CHANGES_MAX));
        victims.push(machine);
    }
    let answer = cluster.init(&cluster.machines[founder], PATIENCE).await;
    cluster.note(&format!("m{} founds, {} to die: {answer:?}", founder + 1, victims.len()));
    for machine in victims {
        let crash = if random.random_bool(0.5) { Crash::Kill } else { Crash::PowerCut };
        cluster.note(&format!("{crash:?} m{}", machine.index + 1));
        cluster.expect(machine.crash(crash).await);
        cluster.expect(machine.start().await);
    }
}
