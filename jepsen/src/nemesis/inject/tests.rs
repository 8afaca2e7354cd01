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
