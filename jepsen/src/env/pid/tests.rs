use super::*;

#[test]
fn a_process_is_known_by_its_start() {
    let own = Process::own();
    assert!(own.lives());
    assert!(!Process { started: own.started + 1, ..own }.lives());
    assert!(!Process { started: own.started + 1, ..own }.signal(Signal::TERM));
}

#[test]
fn names_with_parentheses_are_skipped() {
    let text = "7 (a) R (b) T 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
    let stat = parse(text).expect("it is well formed");
    assert_eq!((stat.state, stat.started), ('T', 4711));
}
