//! What is remembered of transfers, and for how long.

use super::*;

const GROUP: GroupId = GroupId::first(ShardId(2));
const TO: NodeId = NodeId(3);

fn term(number: u64) -> Term {
    Term { number, leader: ReplicaId::new(TO, 1) }
}

#[test]
fn transfers_count_for_a_minute_wherever_they_were_asked_for() {
    let start = Instant::now();
    let (mut here, mut there) = (Moves::default(), Moves::default());
    here.note((GROUP, TO), term(5), Cause::Preference, start);
    let later = start + Duration::from_secs(20);
    there.hear(&here.tell(later), later);
    there.note((GROUP, NodeId(1)), term(6), Cause::Preference, later);
    here.hear(&there.tell(later), later);
    for moves in [&here, &there] {
        assert_eq!(moves.count(GROUP, later), 2, "each counts once");
        assert_eq!(moves.count(GroupId::first(ShardId(3)), later), 0);
        assert_eq!(moves.count(GROUP, start + limits::TRANSFERS_WINDOW), 1, "ages travel along");
        assert_eq!(moves.count(GROUP, later + limits::TRANSFERS_WINDOW), 0);
    }
    assert_eq!(here.tell(later)[0].age_ms, 20_000);
    let end = later + limits::OPERATOR_CHOICE_STANDS;
    assert!(here.tell(end).is_empty(), "it is forgotten in the end");
}

#[test]
fn what_an_operator_chose_stands_until_that_leader_goes() {
    let now = Instant::now();
    let mut moves = Moves::default();
    moves.note((GROUP, TO), term(5), Cause::Operator, now);
    let chosen =
        |leader, number, after| moves.is_chosen((GROUP, NodeId(leader)), term(number), now + after);
    let almost = limits::OPERATOR_CHOICE_STANDS - Duration::from_millis(1);
    assert!(chosen(3, 6, Duration::ZERO));
    assert!(chosen(3, 6, almost));
    assert!(!chosen(3, 6, limits::OPERATOR_CHOICE_STANDS), "not for ever");
    assert!(!chosen(1, 6, Duration::ZERO), "another leads");
    assert!(!chosen(3, 7, Duration::ZERO), "it went, and came back by itself");
    let mut preferred = Moves::default();
    preferred.note((GROUP, TO), term(5), Cause::Preference, now);
    assert!(!preferred.is_chosen((GROUP, TO), term(6), now));
}

#[test]
fn memory_is_bounded() {
    let now = Instant::now();
    let mut moves = Moves::default();
    for number in 0..100 {
        moves.note((GROUP, TO), term(number), Cause::Operator, now);
    }
    let told = moves.tell(now);
    let terms: Vec<u64> = told.iter().map(|it| it.term).collect();
    assert_eq!(terms, [96, 97, 98, 99], "the newest of a shard stay");
    for shard in 0..2_000 {
        let group = GroupId::first(ShardId(shard));
        moves.note((group, TO), term(1), Cause::Operator, now);
    }
    assert_eq!(moves.tell(now).len(), limits::MOVES_KEPT_MAX);
}
