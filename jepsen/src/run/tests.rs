use std::collections::BTreeMap;
use std::time::Duration;

use super::{HEALTHY, Options};
use crate::checker::coverage::Minima;
use crate::env::Kind;
use crate::env::probe::Probe;
use crate::nemesis::Nemesis;
use crate::nemesis::schedule::Schedule;
use crate::workload::Workload;

fn demanded(nemeses: &[Nemesis], seconds: u64) -> Minima {
    let options = Options {
        workload: Workload::Set,
        nemeses: nemeses.to_vec(),
        probe: Probe::default(),
        nodes: 3,
        shards: 1,
        concurrency: 1,
        time: Duration::from_secs(seconds),
        seed: 1,
        token: None,
        kind: Kind::Local,
        folder: "/nowhere".into(),
        program: "/nowhere".into(),
        environment: Vec::new(),
        healthy: HEALTHY,
        commit_s: None,
        schedule: None,
        minima: Minima::default(),
        quiet: true,
    };
    let usable: Vec<_> = nemeses.iter().copied().filter(|it| !it.is_of_disks()).collect();
    let schedule = Schedule::draw(&usable, 3, 1, seconds * 1000, 1);
    options.settings(&schedule).minima
}

fn faults(names: &[&str]) -> BTreeMap<String, u64> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}

#[test]
fn what_was_asked_for_is_demanded_also_where_it_was_skipped_or_had_no_time() {
    use Nemesis::{BitFlip, Kill, Partition, PowerCut, Truncate};
    assert_eq!(demanded(&[], 10).faults, faults(&[]));
    assert_eq!(demanded(&[Kill, PowerCut], 60).faults, faults(&["kill", "power-cut"]));
    assert_eq!(demanded(&[Kill, Partition], 1).faults, faults(&["kill", "partition"]));
    assert_eq!(demanded(&[Kill, Partition], 60).leader_changes, 1);
    assert_eq!(demanded(&[Kill], 2).leader_changes, 0);
    // The second of these may find a node that is not there any more.
    assert_eq!(demanded(&[BitFlip, Truncate], 60).faults.len(), 1);
    assert_eq!(demanded(&[BitFlip, Truncate], 1).faults.len(), 2);
}
