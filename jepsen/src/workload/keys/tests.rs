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
    let keys = Keys::new(6, 2, 1000);
    for _ in 0..1000 {
        assert_eq!(keys.choose(0.0), 0);
    }
    assert_eq!(keys.choose(0.0), 2);
    assert_eq!(keys.choose(0.999), 1);
    assert_eq!(keys.used(), 3);
}

#[test]
fn key_after_key_is_of_the_next_shard() {
    for shards in [1, 3, 6, 7, 256] {
        let keys = Keys::new(shards, 1, 1);
        for number in 0..u64::from(2 * shards) {
            let name = keys.name("r", number);
            assert!(name.starts_with(&format!("r{number}.")), "{name}");
            assert_eq!(
                u64::from(shard_of(&name, shards) - 1),
                number % u64::from(shards),
                "{name}"
            );
        }
    }
    // As servers spread them: 16384 slots, this one in slot 12182.
    assert_eq!([1, 3, 6].map(|shards| shard_of("foo", shards)), [1, 3, 5]);
}
