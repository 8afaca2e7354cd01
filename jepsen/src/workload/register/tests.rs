use super::*;

#[test]
fn the_mix_adds_up() {
    assert_eq!(MIX.iter().map(|(_, share)| share).sum::<u32>(), 100);
    assert!(matches!(act(0), Act::Read(Mode::Linearizable)));
    assert!(matches!(act(99), Act::Delete));
}

#[test]
fn keys_retire_and_others_take_their_place() {
    let keys = Keys::new(1);
    for _ in 0..KEY_OPERATIONS {
        assert_eq!(keys.choose(0.0), 0);
    }
    assert_eq!(keys.choose(0.0), 2);
    assert_eq!(keys.choose(0.999), 1);
    assert_eq!(keys.used(), 3);
}
