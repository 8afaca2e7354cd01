use super::matrix::{Expected, Faults, MATRIX, names};
use crate::nemesis::Nemesis;

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
