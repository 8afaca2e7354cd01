use super::*;
use crate::workload::{cas, register, ttl};

#[test]
fn mixes_add_up() {
    let sum = |shares: Vec<u32>| assert_eq!(shares.into_iter().sum::<u32>(), 100);
    sum(register::MIX.iter().map(|(_, share)| *share).collect());
    sum(ttl::MIX.iter().map(|(_, share)| *share).collect());
    sum(cas::MIX.iter().map(|(_, share)| *share).collect());
    let mix = [('a', 99), ('b', 1)];
    assert_eq!((at(&mix, 0), at(&mix, 98), at(&mix, 99)), ('a', 'a', 'b'));
}

#[test]
fn keys_retire_and_others_take_their_place() {
    let keys = Keys::new(2, 1000);
    for _ in 0..1000 {
        assert_eq!(keys.choose(0.0), 0);
    }
    assert_eq!(keys.choose(0.0), 2);
    assert_eq!(keys.choose(0.999), 1);
    assert_eq!(keys.used(), 3);
}
