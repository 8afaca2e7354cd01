use super::*;

#[test]
fn ids_may_have_the_letter_that_tables_print() {
    assert_eq!((shard_id("1"), shard_id("s1")), (Ok(1), Ok(1)));
    assert_eq!((node_id("2"), node_id("n2")), (Ok(2), Ok(2)));
    for bad in ["", "s", "n1", "ss1", "-1", "+1", "1.0", "0x1", "4294967296", "\u{661}"] {
        assert!(shard_id(bad).is_err(), "{bad}");
    }
    assert!(node_id("s2").is_err());
}
