use super::*;
use crate::nemesis::Nemesis;
use crate::nemesis::schedule::Schedule;
use crate::workload::Workload;

#[test]
fn every_workload_and_every_fault_has_a_cell_and_time_for_its_turn() {
    for profile in [Profile::Ci, Profile::Nightly] {
        let cells = profile.cells();
        for workload in Workload::value_variants() {
            assert!(cells.iter().any(|cell| cell.workload == *workload), "{workload:?}");
        }
        for nemesis in Nemesis::value_variants() {
            assert!(cells.iter().any(|cell| cell.nemeses.contains(nemesis)), "{nemesis:?}");
        }
        let mut names: Vec<_> = cells.iter().map(Cell::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), cells.len());
        for cell in &cells {
            let ms = u64::try_from(cell.time.as_millis()).expect("a cell is short");
            for seed in 0..200 {
                let kinds = Schedule::draw(&cell.nemeses, 3, 4, ms, seed).kinds();
                assert_eq!(kinds.len(), cell.nemeses.len(), "{} with seed {seed}", cell.name());
            }
        }
    }
}

fn ran(verdict: &'static str, exit: Exit, skipped: &[&'static str]) -> Ran {
    Ran {
        cell: "set-kill".to_owned(),
        verdict,
        exit: exit as u8,
        why: "a < b".to_owned(),
        skipped: skipped.iter().map(|name| (*name, "needs root".to_owned())).collect(),
        ok: 7,
        faults: 1,
        seconds: 2,
        attempts: 1,
        folder: None,
    }
}

#[test]
fn the_gravest_counts() {
    let valid = || ran("valid", Exit::Done, &[]);
    let unknown = || ran("unknown", Exit::Undecided, &[]);
    let ill = || ran("failed", Exit::Unhealthy, &[]);
    let failed = || ran("failed", Exit::Unexpected, &[]);
    let invalid = || ran("invalid", Exit::Violation, &[]);
    for (cells, exit, verdict) in [
        (vec![valid()], Exit::Done, "valid"),
        (vec![valid(), unknown()], Exit::Undecided, "unknown"),
        (vec![unknown(), ill()], Exit::Unhealthy, "failed"),
        (vec![ill(), failed(), unknown()], Exit::Unexpected, "failed"),
        (vec![failed(), invalid(), valid()], Exit::Violation, "invalid"),
    ] {
        let summary = Summary::of("ci".to_owned(), 1, true, cells);
        assert_eq!((summary.exit(), summary.verdict), (exit, verdict), "{summary:?}");
    }
}

#[test]
fn what_a_machine_cannot_do_is_named_and_forgiven_in_ci_alone() {
    let skipped = || ran("skipped", Exit::Done, &["power-cut"]);
    let cells = || vec![ran("valid", Exit::Done, &[]), skipped()];
    let ci = Summary::of("ci".to_owned(), 1, true, cells());
    assert_eq!(ci.exit(), Exit::Done);
    let table = ci.table();
    assert!(table.ends_with("valid, without power-cut, which this machine cannot do (seed 1)"));
    let nightly = Summary::of("nightly".to_owned(), 1, false, cells());
    assert_eq!((nightly.exit(), nightly.verdict), (Exit::Undecided, "unknown"));
    let nothing = Summary::of("ci".to_owned(), 1, true, vec![skipped()]);
    assert_eq!(nothing.exit(), Exit::Undecided, "nothing was run");
    let junit = ci.junit();
    assert!(junit.contains("tests=\"2\" failures=\"0\" skipped=\"1\""), "{junit}");
    assert!(junit.contains("<skipped message=\"a &lt; b\"/>"), "{junit}");
}
