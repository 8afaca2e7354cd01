//! Single steps of log time. The model beside this holds the bound over long, bad histories.

use super::*;

const ME: NodeId = NodeId(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn nodes(ids: &[u32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

/// Checks the median that node 1 finds at 10 s, its own clock showing 500, with these samples,
/// received at 10 s, of nodes 2, 3, ...
#[track_caller]
fn check_median(voters: &[&[u32]], heard: &[u64], median: Option<u64>) {
    let mut samples = Samples::default();
    for (node, wall_ms) in (2..).zip(heard) {
        samples.observe(NodeId(node), *wall_ms, ms(10_000));
    }
    let voters: Vec<_> = voters.iter().map(|set| nodes(set)).collect();
    assert_eq!(samples.lower_median(&voters, ME, 500, ms(10_000)), median);
}

#[test]
fn the_median_is_the_lower_one_of_a_majority() {
    check_median(&[&[1]], &[], Some(500));
    check_median(&[&[1, 2]], &[], None);
    check_median(&[&[1, 2]], &[700], Some(500));
    check_median(&[&[1, 2]], &[300], Some(300));
    check_median(&[&[1, 2, 3]], &[], None);
    check_median(&[&[1, 2, 3]], &[700], Some(500));
    check_median(&[&[1, 2, 3]], &[700, 600], Some(600));
    check_median(&[&[1, 2, 3, 4]], &[700], None);
    check_median(&[&[1, 2, 3, 4]], &[700, 600], Some(600));
    check_median(&[&[1, 2, 3, 4, 5]], &[700, 600], Some(600));
}

#[test]
fn only_voters_count() {
    check_median(&[&[1, 2, 3]], &[300, 400, 900, 900], Some(400));
    check_median(&[&[1, 4, 5]], &[300, 400], None);
    // A leader that is no voter any more has no say, and needs a majority of the others.
    check_median(&[&[2, 3, 4]], &[300, 400], Some(300));
    check_median(&[&[2, 3, 4]], &[300], None);
}

#[test]
fn both_sets_of_a_joint_membership_need_a_majority() {
    check_median(&[&[1, 2, 3], &[3, 4, 5]], &[700, 600], None);
    check_median(&[&[1, 2, 3], &[3, 4, 5]], &[700, 600, 900], Some(600));
    check_median(&[&[1, 2, 3], &[3, 4, 5]], &[700, 400, 300], Some(300));
    check_median(&[&[1], &[1, 2, 3]], &[], None);
}

#[test]
fn a_sample_runs_on_and_goes_stale() {
    let mut samples = Samples::default();
    samples.observe(NodeId(2), 1_000, ms(10_000));
    let median_at = |boottime| samples.lower_median(&[nodes(&[2])], ME, 0, boottime);
    assert_eq!(median_at(ms(10_700)), Some(1_700));
    assert_eq!(median_at(ms(15_000)), Some(6_000));
    assert_eq!(median_at(ms(15_001)), None);
}

#[test]
fn only_fresh_samples_are_kept() {
    let mut samples = Samples::default();
    for node in 2..1_000 {
        samples.observe(NodeId(node), 0, ms(1_000 * u64::from(node)));
    }
    assert_eq!(samples.heard.len(), 6);
}

/// Returns a clock that has log time 1,000 as of boottime 0.
fn started() -> LogClock {
    let mut clock = LogClock::new(ms(0));
    assert_eq!(clock.stamp(ms(0), Some(1_000)), Some(LogTime(1_000)));
    clock
}

#[test]
fn a_new_cluster_takes_its_first_time_from_a_majority() {
    let mut clock = LogClock::new(ms(5));
    assert_eq!(clock.stamp(ms(10), None), None);
    assert_eq!(clock.tell(ms(10)), None);
    let now = 1_700_000_000_000;
    assert_eq!(clock.stamp(ms(20), Some(now)), Some(LogTime(now)));
    assert_eq!(clock.tell(ms(30)), Some(LogTime(now + 10)));
}

#[test]
fn stamps_stay_between_the_two_lines() {
    assert_eq!(started().stamp(ms(100), Some(1_098)), Some(LogTime(1_098)));
    assert_eq!(started().stamp(ms(100), Some(5_000)), Some(LogTime(1_105)));
    assert_eq!(started().stamp(ms(100), Some(0)), Some(LogTime(1_095)));
    assert_eq!(started().stamp(ms(100), None), Some(LogTime(1_095)));
}

#[test]
fn the_first_stamp_alone_may_jump() {
    let mut clock = LogClock::new(ms(0));
    clock.observe_applied(LogTime(1_000), ms(0));
    assert_eq!(clock.tell(ms(0)), None, "what was replayed is no log time to tell");
    assert_eq!(clock.stamp(ms(100), None), None);
    assert_eq!(clock.stamp(ms(100), Some(9_000)), Some(LogTime(9_000)));
    assert_eq!(clock.stamp(ms(200), Some(99_000)), Some(LogTime(9_105)));
}

#[test]
fn even_the_first_stamp_is_not_below_what_was_replayed() {
    let mut clock = LogClock::new(ms(0));
    clock.observe_applied(LogTime(1_000), ms(0));
    assert_eq!(clock.stamp(ms(100), Some(7)), Some(LogTime(1_000)));
}

#[test]
fn what_was_replayed_yields_to_the_first_time_received() {
    let mut clock = LogClock::new(ms(0));
    clock.observe_applied(LogTime(1_000), ms(0));
    clock.observe_received(LogTime(1_200), ms(60_000));
    assert_eq!(clock.stamp(ms(60_000), None), Some(LogTime(1_200)));

    let mut clock = LogClock::new(ms(0));
    clock.observe_applied(LogTime(1_000), ms(0));
    clock.observe_received(LogTime(900), ms(60_000));
    assert_eq!(clock.stamp(ms(60_100), None), Some(LogTime(1_095)));
}

#[test]
fn who_received_log_time_does_not_jump() {
    let mut clock = LogClock::new(ms(0));
    clock.observe_received(LogTime(1_000), ms(0));
    assert_eq!(clock.stamp(ms(100), Some(9_000)), Some(LogTime(1_105)));
    // Replay after that changes nothing.
    clock.observe_applied(LogTime(500), ms(200));
    assert_eq!(clock.stamp(ms(200), None), Some(LogTime(1_200)));
}

#[test]
fn no_stamp_is_below_what_was_told() {
    let mut clock = started();
    assert_eq!(clock.tell(ms(1_000)), Some(LogTime(2_000)));
    assert_eq!(clock.stamp(ms(1_000), Some(0)), Some(LogTime(2_000)));
    assert_eq!(clock.stamp(ms(2_000), Some(0)), Some(LogTime(2_950)));
}

#[test]
fn what_is_heard_late_does_not_hold_the_time_back() {
    let mut clock = started();
    clock.observe_applied(LogTime(1_500), ms(60_000));
    assert_eq!(clock.stamp(ms(60_000), None), Some(LogTime(58_000)));
    clock.observe_received(LogTime(58_001), ms(60_000));
    assert_eq!(clock.stamp(ms(60_000), None), Some(LogTime(58_001)));
    clock.observe_applied(LogTime(70_000), ms(60_000));
    assert_eq!(clock.stamp(ms(60_100), None), Some(LogTime(70_095)));
}

#[test]
fn reading_the_time_often_does_not_slow_it() {
    let mut clock = started();
    for us in (0..1_000_000).step_by(100) {
        clock.stamp(Duration::from_micros(us), Some(0));
    }
    assert_eq!(clock.stamp(ms(1_000), Some(0)), Some(LogTime(1_950)));
}

#[test]
fn a_reading_of_the_past_does_not_turn_time_back() {
    let mut clock = started();
    assert_eq!(clock.stamp(ms(100), None), Some(LogTime(1_095)));
    assert_eq!(clock.stamp(ms(50), None), Some(LogTime(1_095)));
    assert_eq!(clock.stamp(ms(200), None), Some(LogTime(1_190)));
}

#[test]
fn the_end_of_time_is_no_panic() {
    let mut clock = LogClock::new(ms(0));
    clock.observe_received(LogTime(u64::MAX), ms(0));
    let end = Some(LogTime(u64::MAX));
    assert_eq!(clock.tell(Duration::MAX), end);
    assert_eq!(clock.stamp(Duration::MAX, Some(u64::MAX)), end);
    assert_eq!(clock.stamp(Duration::MAX, None), end);
}
