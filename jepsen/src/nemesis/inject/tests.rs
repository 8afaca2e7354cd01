use super::*;

#[track_caller]
fn check(count: u32, hit: &[u32], shape: Shape, cut: &[(u32, u32)]) {
    let found: Vec<_> =
        links(count, hit, shape).into_iter().map(|link| (link.from, link.to)).collect();
    assert_eq!(found, cut, "{shape:?} of {hit:?}");
}

#[test]
fn shapes_cut_the_links_that_they_should() {
    check(3, &[2], Shape::Apart, &[(1, 2), (2, 1), (2, 3), (3, 2)]);
    check(3, &[1, 2], Shape::Apart, &[(1, 3), (2, 3), (3, 1), (3, 2)]);
    check(3, &[2], Shape::Mute, &[(2, 1), (2, 3)]);
    check(3, &[2], Shape::Deaf, &[(1, 2), (3, 2)]);
    check(3, &[2], Shape::Bridge, &[(1, 3), (3, 1)]);
    check(4, &[1], Shape::Ring, &[(1, 3), (2, 4), (3, 1), (4, 2)]);
    check(3, &[1], Shape::Ring, &[]);
}

#[test]
fn a_node_that_must_not_go_on_is_told_from_one_that_fails() {
    let log = "2026 INFO it starts\n2026 WARN a snapshot is read again\nError: the log in /d is damaged: x\n";
    let said = decay::complaints(log);
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said.iter().map(|line| decay::is_refusal(line)).collect::<Vec<_>>(), [false, true]);
    assert!(!decay::is_refusal("thread 'main' panicked at src/main.rs"));
}
