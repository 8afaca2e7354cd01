use clap::ValueEnum;

use super::*;

fn draw(seed: u64) -> Schedule {
    Schedule::draw(Nemesis::value_variants(), 5, 6, 120_000, seed)
}

#[test]
fn a_seed_draws_the_same_faults_and_another_others() {
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn every_kind_has_its_turn_and_all_end_in_time() {
    for seed in 0..100 {
        let schedule = draw(seed);
        for kind in Nemesis::value_variants() {
            assert!(schedule.steps.iter().any(|step| step.fault.name == *kind), "{seed} {kind:?}");
        }
        for step in &schedule.steps {
            assert!(step.at_ms + step.lasts_ms <= 120_000, "{seed} {step:?}");
        }
    }
}

#[test]
fn at_most_two_faults_last_at_a_time_and_they_are_of_two_kinds() {
    let (mut pairs, mut alone) = (0, 0);
    for seed in 0..200 {
        let often = [Nemesis::Kill, Nemesis::Pause, Nemesis::Partition];
        for step in [draw(seed), Schedule::draw(&often, 5, 6, 600_000, seed)] {
            for (i, one) in step.steps.iter().enumerate() {
                let lasts = |other: &&Step| one.at_ms <= other.at_ms + other.lasts_ms;
                let with: Vec<_> = step.steps[..i].iter().filter(lasts).collect();
                assert!(with.len() < 2, "{seed}: {with:?} {one:?}");
                let same = with.iter().any(|other| other.fault.name == one.fault.name);
                assert!(!same, "{seed}: {with:?} {one:?}");
                pairs += with.len();
                alone += usize::from(with.is_empty());
            }
        }
    }
    assert!(0 < pairs && pairs < alone, "some overlap: {pairs}, {alone}");
}

#[test]
fn a_schedule_is_read_back_as_it_was_written() {
    let schedule = draw(7);
    let text = serde_json::to_string(&schedule).expect("it becomes JSON");
    assert_eq!(serde_json::from_str::<Schedule>(&text).expect("it was just written"), schedule);
}

#[test]
fn nothing_is_drawn_of_nothing() {
    assert_eq!(Schedule::draw(&[], 3, 6, 60_000, 1).steps, []);
}

#[test]
fn a_schedule_of_another_cluster_or_without_bounds_is_refused() {
    let schedule = |step: &str| -> Schedule {
        serde_json::from_str(&format!("{{\"seed\":1,\"steps\":[{step}]}}")).expect(step)
    };
    let mistake = |whom: &str, at_ms: u64, lasts_ms: u64| {
        let times = format!("\"at_ms\":{at_ms},\"lasts_ms\":{lasts_ms}");
        schedule(&format!("{{{times},\"name\":\"kill\",\"whom\":{whom}}}")).mistake(3, 6)
    };
    let day_ms = 86_400_000;
    for right in [r#"{"node":3}"#, r#"{"majority":1}"#, r#"{"leader":6}"#, "\"all\""] {
        assert_eq!(mistake(right, day_ms, day_ms), None, "{right}");
    }
    for (wrong, why) in [
        (r#"{"node":4}"#, "step 0 (kill) is of node 4, where there are 1 to 3"),
        (r#"{"node":0}"#, "of node 0"),
        (r#"{"majority":4}"#, "of node 4"),
        (r#"{"leader":7}"#, "of shard 7, where there are 1 to 6: give --shards"),
        (r#"{"others":0}"#, "of shard 0"),
        (r#"{"follower":7}"#, "of shard 7"),
    ] {
        let said = mistake(wrong, 1, 1).expect(wrong);
        assert!(said.contains(why), "{said}");
    }
    let late = mistake("\"all\"", day_ms + 1, 1).expect("too late");
    assert!(late.contains("86400001 ms"), "{late}");
    assert!(mistake("\"all\"", 1, u64::MAX).is_some());
    assert_eq!(draw(1).mistake(5, 6), None);
}
