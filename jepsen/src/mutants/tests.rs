use super::hunt::Found;
use super::matrix::{Expected, Faults, MATRIX, names};
use crate::folder;
use crate::nemesis::Nemesis;
use crate::run::Outcome;

#[test]
fn faults_that_are_laid_out_end_before_the_run_does() {
    for cell in MATRIX {
        let schedule = cell.schedule(3, 1);
        assert!(!schedule.steps.is_empty(), "{}: nothing is broken", cell.mutant);
        for step in &schedule.steps {
            let end_ms = step.at_ms + step.lasts_ms;
            assert!(end_ms <= cell.time_s * 1000, "{}: {step:?}", cell.mutant);
        }
        let begins = schedule.steps.iter().map(|step| step.at_ms);
        assert!(begins.is_sorted(), "{}: out of order", cell.mutant);
    }
}

#[test]
fn what_is_broken_on_disk_is_hunted_with_and_without_power() {
    for missed in MATRIX.iter().filter(|cell| cell.expected == Expected::Missed) {
        let twin = MATRIX.iter().find(|cell| {
            cell.mutant == missed.mutant && matches!(cell.expected, Expected::Caught(_))
        });
        let twin = twin.expect("it is caught, too");
        let cut = |kind: &Nemesis| matches!(kind, Nemesis::PowerCut | Nemesis::PowerCutAll);
        assert!(twin.schedule(3, 1).kinds().iter().any(cut), "{}", missed.mutant);
        assert!(!missed.schedule(3, 1).kinds().iter().any(cut), "{}", missed.mutant);
        // But for the power the two are the same, step by step.
        assert!(matches!((twin.faults, missed.faults), (Faults::Laid(..), Faults::Laid(..))));
        let moments = |cell: &super::matrix::Cell| {
            let steps = cell.schedule(3, 1).steps;
            steps.into_iter().map(|step| (step.at_ms, step.lasts_ms)).collect::<Vec<_>>()
        };
        assert_eq!(moments(twin), moments(missed), "{}", missed.mutant);
    }
}

#[test]
fn a_mutant_is_hunted_or_has_a_test() {
    assert_eq!(names().len(), 19);
}

#[test]
fn whole_nodes_are_judged_by_what_their_run_was_asked_for() {
    let dir = tempfile::tempdir().expect("there is room for a folder");
    let mut lines = String::new();
    for index in 0..200 {
        let kind = if index % 2 == 0 { "invoke" } else { "ok" };
        let facts = if index % 2 == 0 { "" } else { r#","shard":1,"applied":0"# };
        let read = r#""f":"read","key":"k","mode":"linearizable","value":null"#;
        let line =
            format!(r#"{{"index":{index},"time":{index},"process":1,"type":"{kind}",{read}"#);
        lines += &format!("{line}{facts}}}\n");
    }
    // The key that was only ever absent needs a version somewhere for the certificate.
    lines += "{\"index\":200,\"time\":200,\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"key\":\"k\",\"value\":7}\n";
    lines += "{\"index\":201,\"time\":201,\"process\":1,\"type\":\"ok\",\"f\":\"write\",\"key\":\"k\",\"value\":7,\"shard\":1,\"revision\":1,\"applied\":1}\n";
    let put = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).expect("there is room for a file");
    };
    put(folder::HISTORY, &lines);
    let green = || Found::of(dir.path(), &Outcome::default()).expect("it is judged");
    assert!(green().green, "{:?}", green());
    for (asked, missed) in [
        (r#"{"minima":{"ended":true}}"#, "it lacks the mark of its end"),
        (r#"{"minima":{"shards":2}}"#, "acknowledged by shard 2"),
        (r#"{"minima":{"modes":["lease"]}}"#, "answered lease reads"),
        (r#"{"minima":{"faults":{"kill":1}}}"#, "kill with evidence"),
    ] {
        put(folder::SETTINGS, asked);
        let found = green();
        let why = found.unknown.expect("it is not green");
        assert!(!found.green && found.by.is_empty() && why.contains(missed), "{why}");
    }
}
