use super::*;

#[test]
fn what_is_gone_is_counted() {
    let file = |name: &str, blocks: &[u64]| (PathBuf::from(name), blocks.to_vec());
    let before = Contents([file("a", &[1, 2, 3]), file("x/canary", &[4, 5])].into());
    let after = Contents([file("a", &[1, 9]), file("b", &[7])].into());
    let lost = Lost { node_bytes: 2 * 4096, canary_bytes: 2 * 4096 };
    assert_eq!(before.lost_in(&after), lost);
    assert_eq!(before.lost_in(&before), Lost::default());
}
