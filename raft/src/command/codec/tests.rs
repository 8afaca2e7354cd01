//! Golden bytes, refusals and round trips. The strategies serve the state's tests too.

use std::ops::RangeInclusive;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::command::increment::{Counted, Increment, Life, Uncounted};
use crate::command::meta::{Addresses, Bootstrap, MetaCommand, Phase, ShardRecord};
use crate::command::transaction::{
    Aborted, Check, Got, Obstacle, Step, StepResult, Test, Transacted, Transaction,
};
use crate::words::{ClusterId, GroupId, NodeId, ReplicaId, ShardId, Slot, TtlMs};

pub(crate) fn key(text: &str) -> Key {
    Key::try_from(Bytes::copy_from_slice(text.as_bytes())).expect("a short key")
}

pub(crate) fn value(text: &str) -> Value {
    Value::try_from(Bytes::copy_from_slice(text.as_bytes())).expect("a short value")
}

pub(crate) fn slots(ranges: &[(u16, u16)]) -> Vec<RangeInclusive<Slot>> {
    let slot = |number| Slot::new(number).expect("a slot");
    ranges.iter().map(|(first, last)| slot(*first)..=slot(*last)).collect()
}

/// Any key, most of them short.
pub(crate) fn any_key() -> impl Strategy<Value = Key> {
    let bytes = prop_oneof![9 => vec(any::<u8>(), 1..8), 1 => vec(any::<u8>(), 1..=1024)];
    bytes.prop_map(|bytes| Key::try_from(Bytes::from(bytes)).expect("within bounds"))
}

/// Any value, most of them short.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let bytes = prop_oneof![9 => vec(any::<u8>(), 0..8), 1 => vec(any::<u8>(), 0..5000)];
    bytes.prop_map(|bytes| Value::try_from(Bytes::from(bytes)).expect("within bounds"))
}

/// Any condition; the revisions come from `revisions`.
pub(crate) fn any_condition(
    revisions: impl Strategy<Value = u64>,
) -> impl Strategy<Value = Condition> {
    prop_oneof![
        6 => Just(Condition::Always),
        1 => Just(Condition::Absent),
        1 => Just(Condition::Present),
        2 => revisions.prop_map(|revision| Condition::RevisionIs(Revision(revision))),
    ]
}

/// Any increment of one of these keys, with times to live from these. Sums meet bounds and the ends
/// of their range often.
pub(crate) fn any_increment(
    keys: impl Strategy<Value = Key>,
    ttls: impl Strategy<Value = u64> + Clone,
) -> impl Strategy<Value = Increment> {
    let number = || prop_oneof![4 => -5..6_i64, 1 => any::<i64>(), 1 => Just(i64::MAX)];
    let bound = || proptest::option::weighted(0.3, number());
    let life = prop_oneof![
        3 => Just(Life::Kept),
        2 => ttls.clone().prop_map(|ms| Life::OfCreated(TtlMs(ms))),
        2 => ttls.prop_map(|ms| Life::Renewed(TtlMs(ms))),
    ];
    (keys, number(), number(), bound(), bound(), life).prop_map(
        |(key, by, initial, min, max, life)| Increment { key, by, initial, min, max, life },
    )
}

/// Any transaction over these keys, which are of one slot.
pub(crate) fn any_transaction(
    keys: BoxedStrategy<Key>,
    ttl_ms_max: u64,
    revisions: impl Strategy<Value = u64>,
) -> impl Strategy<Value = Transaction> {
    let ttls = 1..=ttl_ms_max;
    let test = prop_oneof![
        1 => Just(Test::Absent),
        3 => Just(Test::Present),
        1 => revisions.prop_map(|revision| Test::RevisionIs(Revision(revision))),
        1 => any_value().prop_map(Test::ValueIs),
    ];
    let check = (keys.clone(), test).prop_map(|(key, test)| Check { key, test });
    let ttl = proptest::option::of(ttls.clone().prop_map(TtlMs));
    let value = prop_oneof![any_value(), (-9..9_i64).prop_map(|it| value(&it.to_string()))];
    let step = prop_oneof![
        3 => keys.clone().prop_map(|key| Step::Get { key }),
        3 => (keys.clone(), value, ttl).prop_map(|(key, value, ttl)| Step::Put { key, value, ttl }),
        2 => keys.clone().prop_map(|key| Step::Delete { key }),
        2 => any_increment(keys.clone(), ttls).prop_map(Step::Increment),
    ];
    let step = step.boxed();
    let some = keys.prop_map(|key| Check { key, test: Test::Present });
    let found_bytes_max = prop_oneof![Just(u32::MAX), 0..20_u32];
    (vec(check, 0..3), vec(step.clone(), 0..5), vec(step, 0..5), found_bytes_max, some).prop_map(
        |(mut checks, then, otherwise, found_bytes_max, some)| {
            if checks.is_empty() && then.is_empty() && otherwise.is_empty() {
                checks.push(some);
            }
            Transaction { checks, then, otherwise, found_bytes_max }
        },
    )
}

/// Any ranges of slots in their one form.
pub(crate) fn any_slots() -> impl Strategy<Value = Vec<RangeInclusive<Slot>>> {
    // Ascending numbers, taken in pairs; a gap of two between ranges.
    btree_set(0..Slot::COUNT / 2, 0..12).prop_map(|numbers| {
        let numbers: Vec<u16> = numbers.into_iter().map(|number| 2 * number).collect();
        slots(&numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>())
    })
}

fn any_text() -> impl Strategy<Value = String> {
    "[a-z0-9.:/-]{0,20}"
}

fn any_addresses() -> impl Strategy<Value = Addresses> {
    (any_text(), any_text()).prop_map(|(peer, http)| Addresses { peer, http })
}

fn any_record() -> impl Strategy<Value = ShardRecord> {
    let phase = prop_oneof![Just(Phase::Creating), Just(Phase::Active)];
    let replicas = vec(any::<u64>().prop_map(ReplicaId), 0..5);
    (any::<u64>(), phase, replicas, any_slots(), any::<u64>()).prop_map(
        |(group, phase, replicas, slots, epoch)| ShardRecord {
            group: GroupId::from_bits(group),
            phase,
            replicas,
            slots,
            epoch: Epoch(epoch),
        },
    )
}

/// Any change of the map. Ids are few, so that changes meet.
pub(crate) fn any_meta_command() -> impl Strategy<Value = MetaCommand> {
    let group = || (0..4_u64, 1..3_u64).prop_map(|(shard, attempt)| shard << 32 | attempt);
    let nodes = btree_map((0..5_u32).prop_map(NodeId), any_addresses(), 0..5);
    let shards = vec((group(), any_record()), 0..4).prop_map(|records| {
        let grouped = |(group, record)| ShardRecord { group: GroupId::from_bits(group), ..record };
        let mut records: Vec<ShardRecord> = records.into_iter().map(grouped).collect();
        records.sort_by_key(|record| record.group.shard);
        records.dedup_by_key(|record| record.group.shard);
        records
    });
    prop_oneof![
        (any::<u128>(), nodes, shards).prop_map(|(cluster, nodes, shards)| {
            let (cluster, nodes) = (ClusterId(cluster), nodes.into_iter().collect());
            MetaCommand::Bootstrap(Bootstrap { cluster, nodes, shards })
        }),
        (group(), 0..3_u64).prop_map(|(group, epoch)| MetaCommand::Activate {
            group: GroupId::from_bits(group),
            epoch: Epoch(epoch)
        }),
        ((0..5_u32).prop_map(NodeId), any_addresses())
            .prop_map(|(node, addresses)| MetaCommand::Announce { node, addresses }),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    let ttl = proptest::option::of((1..=limits::TTL_MS_MAX).prop_map(TtlMs));
    prop_oneof![
        (any_key(), any_value(), ttl, any_condition(any::<u64>()))
            .prop_map(|(key, value, ttl, condition)| Command::Put { key, value, ttl, condition }),
        (any_key(), any_condition(any::<u64>()))
            .prop_map(|(key, condition)| Command::Delete { key, condition }),
        (any_slots(), any::<u64>())
            .prop_map(|(slots, epoch)| Command::Own { slots, epoch: Epoch(epoch) }),
        any_meta_command().prop_map(Command::Meta),
        (any_increment(any_key(), 1..=limits::TTL_MS_MAX), any_condition(any::<u64>())).prop_map(
            |(increment, condition)| Command::Increment {
                increment: Box::new(increment),
                condition
            }
        ),
        any_transaction(
            "[a-z]{0,3}".prop_map(|name| key(&format!("{{t}}{name}"))).boxed(),
            limits::TTL_MS_MAX,
            any::<u64>()
        )
        .prop_map(|transaction| Command::Transact(Box::new(transaction))),
    ]
}

fn any_step_result() -> impl Strategy<Value = StepResult> {
    let deadline = || any::<Option<u64>>().prop_map(|deadline| deadline.map(LogTime));
    let got = (any_value(), any::<u64>(), deadline());
    let got = got.prop_map(|(value, revision, deadline)| {
        let revision = Revision(revision);
        StepResult::Got(Some(Got { value, revision, deadline }))
    });
    prop_oneof![
        Just(StepResult::Got(None)),
        got,
        (any::<bool>(), deadline())
            .prop_map(|(created, deadline)| StepResult::Stored { created, deadline }),
        any::<bool>().prop_map(|existed| StepResult::Deleted { existed }),
        any_counted().prop_map(StepResult::Counted),
    ]
}

fn any_uncounted() -> impl Strategy<Value = Uncounted> {
    prop_oneof![
        Just(Uncounted::NotANumber),
        any::<i64>().prop_map(|current| Uncounted::PastBound { current }),
        any::<i64>().prop_map(|current| Uncounted::Overflow { current }),
    ]
}

fn any_counted() -> impl Strategy<Value = Counted> {
    (any::<i64>(), any::<bool>(), any::<Option<u64>>()).prop_map(|(value, created, deadline)| {
        Counted { value, created, deadline: deadline.map(LogTime) }
    })
}

fn any_entry() -> impl Strategy<Value = Entry> {
    (any::<u64>(), any::<u32>(), vec(any_command(), 0..6)).prop_map(
        |(stamp, expired_max, commands)| Entry { stamp: LogTime(stamp), expired_max, commands },
    )
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let result = prop_oneof![
        (any::<bool>(), any::<Option<u64>>()).prop_map(|(created, deadline)| {
            CommandResult::Stored { created, deadline: deadline.map(LogTime) }
        }),
        any::<bool>().prop_map(|existed| CommandResult::Deleted { existed }),
        any::<Option<u64>>()
            .prop_map(|current| CommandResult::ConditionFailed { current: current.map(Revision) }),
        any::<u64>().prop_map(|epoch| CommandResult::WrongShard { epoch: Epoch(epoch) }),
        any::<u64>().prop_map(|epoch| CommandResult::Owned { epoch: Epoch(epoch) }),
        (any::<u64>(), any::<bool>()).prop_map(|(version, changed)| CommandResult::Meta {
            version: Epoch(version),
            changed
        }),
        any_counted().prop_map(CommandResult::Counted),
        any_uncounted().prop_map(CommandResult::Uncounted),
        (any::<bool>(), any::<bool>(), vec(any_step_result(), 0..4)).prop_map(
            |(succeeded, changed, results)| {
                CommandResult::Transacted(Box::new(Transacted { succeeded, changed, results }))
            }
        ),
        (any::<bool>(), any::<u16>(), proptest::option::of(any_uncounted())).prop_map(
            |(succeeded, step, uncounted)| {
                let why = uncounted.map_or(Obstacle::TooMuchFound, Obstacle::Uncounted);
                CommandResult::Aborted(Aborted { succeeded, step, why })
            }
        ),
    ];
    (result, any::<u64>(), any::<u64>()).prop_map(|(result, applied, log_time)| Reply {
        result,
        applied: Revision(applied),
        log_time: LogTime(log_time),
    })
}

/// Parses hexadecimal digits; blanks are for the reader.
pub(crate) fn unhex(text: &str) -> Bytes {
    let digits = text.chars().filter(|c| !c.is_whitespace());
    let digits: Vec<u32> = digits.map(|c| c.to_digit(16).expect("a digit")).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

fn encoded(command: &Command) -> Bytes {
    let mut out = BytesMut::new();
    put_command(&mut out, command);
    out.freeze()
}

#[track_caller]
fn check_command(command: &Command, golden: &str) {
    assert_eq!(encoded(command), unhex(golden));
    assert_eq!(get_command(&mut unhex(golden)).as_ref(), Ok(command));
    assert_eq!(command_bytes(command), unhex(golden).len());
}

#[track_caller]
fn check_reply(result: CommandResult, golden: &str) {
    let reply = Reply { result, applied: Revision(7), log_time: LogTime(9) };
    let golden = unhex(&format!("{golden} 0000000000000007 0000000000000009"));
    let mut out = BytesMut::new();
    put_reply(&mut out, &reply);
    assert_eq!(out, golden);
    assert_eq!(get_reply(&mut golden.clone()), Ok(reply));
}

fn put(ttl: Option<u64>, condition: Condition) -> Command {
    Command::Put { key: key("k"), value: value("vw"), ttl: ttl.map(TtlMs), condition }
}

fn delete(condition: Condition) -> Command {
    Command::Delete { key: key("k"), condition }
}

// These bytes are on users' disks. If one of them changes, add a version; never edit it.

#[test]
fn put_v1() {
    check_command(&put(None, Condition::Always), "01 00 00 0001 6b 00000002 7677");
    check_command(
        &put(Some(60_000), Condition::Always),
        "01 00 01 000000000000ea60 0001 6b 00000002 7677",
    );
}

#[test]
fn delete_v1() {
    check_command(&delete(Condition::Always), "02 00 0001 6b");
}

#[test]
fn own_v1() {
    let own = |ranges| Command::Own { slots: slots(ranges), epoch: Epoch(1) };
    check_command(&own(&[]), "03 0000000000000001 0000");
    check_command(
        &own(&[(0, 5460), (16383, 16383)]),
        "03 0000000000000001 0002 0000 1554 3fff 3fff",
    );
}

#[test]
fn conditions_v1() {
    check_command(&delete(Condition::Absent), "02 01 0001 6b");
    check_command(&delete(Condition::Present), "02 02 0001 6b");
    check_command(&delete(Condition::RevisionIs(Revision(7))), "02 03 0000000000000007 0001 6b");
    check_command(&put(None, Condition::Absent), "01 01 00 0001 6b 00000002 7677");
}

#[test]
fn meta_v1() {
    let addresses =
        |peer: &str, http: &str| Addresses { peer: peer.to_owned(), http: http.to_owned() };
    let group = GroupId::first(ShardId(1));
    let record = ShardRecord {
        group,
        phase: Phase::Creating,
        replicas: vec![ReplicaId::new(NodeId(2), 1), ReplicaId::new(NodeId(1), 1)],
        slots: slots(&[(0, 16383)]),
        epoch: Epoch(3),
    };
    let active = ShardRecord { phase: Phase::Active, ..record.clone() };
    let nodes = vec![(NodeId(1), addresses("a", "")), (NodeId(2), addresses("b", "c"))];
    let meta = GroupId::first(ShardId(0));
    let shards = vec![ShardRecord { group: meta, slots: vec![], ..active }, record];
    check_command(
        &Command::Meta(MetaCommand::Bootstrap(Bootstrap { cluster: ClusterId(7), nodes, shards })),
        "04 01 00000000000000000000000000000007
         0002 00000001 0001 61 0000 00000002 0001 62 0001 63
         0002
         0000000000000001 01 0000000000000003 0002 0000000200000001 0000000100000001 0000
         0000000100000001 00 0000000000000003 0002 0000000200000001 0000000100000001
         0001 0000 3fff",
    );
    check_command(
        &Command::Meta(MetaCommand::Activate { group, epoch: Epoch(3) }),
        "04 02 0000000100000001 0000000000000003",
    );
    let announce = MetaCommand::Announce { node: NodeId(2), addresses: addresses("b", "c") };
    check_command(&Command::Meta(announce), "04 03 00000002 0001 62 0001 63");
}

#[test]
fn increment_v1() {
    let increment = |min, max, life| Command::Increment {
        increment: Box::new(Increment { key: key("k"), by: -2, initial: 1, min, max, life }),
        condition: Condition::Present,
    };
    check_command(
        &increment(None, None, Life::Kept),
        "05 02 0001 6b fffffffffffffffe 0000000000000001 00 00 00",
    );
    check_command(
        &increment(Some(-1), None, Life::OfCreated(TtlMs(3))),
        "05 02 0001 6b fffffffffffffffe 0000000000000001 01 ffffffffffffffff 00
         01 0000000000000003",
    );
    check_command(
        &increment(None, Some(4), Life::Renewed(TtlMs(3))),
        "05 02 0001 6b fffffffffffffffe 0000000000000001 00 01 0000000000000004
         02 0000000000000003",
    );
}

#[test]
fn transaction_v1() {
    let check = |test| Check { key: key("k"), test };
    let increment =
        Increment { key: key("k"), by: 1, initial: 0, min: None, max: None, life: Life::Kept };
    let transaction = Transaction {
        checks: vec![
            check(Test::Absent),
            check(Test::Present),
            check(Test::RevisionIs(Revision(7))),
            check(Test::ValueIs(value("v"))),
        ],
        then: vec![
            Step::Get { key: key("k") },
            Step::Put { key: key("k"), value: value("v"), ttl: Some(TtlMs(3)) },
        ],
        otherwise: vec![Step::Delete { key: key("k") }, Step::Increment(increment)],
        found_bytes_max: 5,
    };
    check_command(
        &Command::Transact(Box::new(transaction)),
        "06 00000005
         0004 01 0001 6b 02 0001 6b 03 0000000000000007 0001 6b 04 00000001 76 0001 6b
         0002 01 0001 6b 02 01 0000000000000003 0001 6b 00000001 76
         0002 03 0001 6b 04 0001 6b 0000000000000001 0000000000000000 00 00 00",
    );
}

#[test]
fn entry_v1() {
    let commands = vec![put(None, Condition::Always), delete(Condition::Always)];
    let entry = Entry { stamp: LogTime(1_700_000_000_000), expired_max: 256, commands };
    let golden = unhex(
        "01 0000018bcfe56800 00000100 0002
         01 00 00 0001 6b 00000002 7677
         02 00 0001 6b",
    );
    assert_eq!(encode(&entry), golden);
    assert_eq!(decode(&golden), Ok(entry));

    let tick = Entry { stamp: LogTime(1), expired_max: 2, commands: vec![] };
    let golden = unhex("01 0000000000000001 00000002 0000");
    assert_eq!(golden.len(), ENTRY_HEADER_BYTES);
    assert_eq!(encode(&tick), golden);
    assert_eq!(decode(&golden), Ok(tick));
}

#[test]
fn replies_v1() {
    let deadline = Some(LogTime(3));
    check_reply(CommandResult::Stored { created: true, deadline: None }, "01 01 00");
    check_reply(CommandResult::Stored { created: false, deadline }, "01 00 01 0000000000000003");
    check_reply(CommandResult::Deleted { existed: true }, "02 01");
    check_reply(CommandResult::Deleted { existed: false }, "02 00");
    check_reply(CommandResult::ConditionFailed { current: None }, "03 00");
    let current = Some(Revision(4));
    check_reply(CommandResult::ConditionFailed { current }, "03 01 0000000000000004");
    check_reply(CommandResult::WrongShard { epoch: Epoch(5) }, "04 0000000000000005");
    check_reply(CommandResult::Owned { epoch: Epoch(6) }, "05 0000000000000006");
    let changed = CommandResult::Meta { version: Epoch(6), changed: true };
    check_reply(changed, "06 0000000000000006 01");
    let counted = Counted { value: -2, created: true, deadline };
    check_reply(CommandResult::Counted(counted), "07 fffffffffffffffe 01 01 0000000000000003");
    check_reply(CommandResult::Uncounted(Uncounted::NotANumber), "08 01");
    let current = 4;
    let past = Uncounted::PastBound { current };
    check_reply(CommandResult::Uncounted(past), "08 02 0000000000000004");
    let overflow = Uncounted::Overflow { current };
    check_reply(CommandResult::Uncounted(overflow), "08 03 0000000000000004");
    let got = Got { value: value("v"), revision: Revision(4), deadline };
    let results = vec![
        StepResult::Got(Some(got)),
        StepResult::Got(None),
        StepResult::Stored { created: true, deadline: None },
        StepResult::Deleted { existed: true },
        StepResult::Counted(counted),
    ];
    let transacted = Transacted { succeeded: true, changed: true, results };
    check_reply(
        CommandResult::Transacted(Box::new(transacted)),
        "09 01 01 0005
         01 01 00000001 76 0000000000000004 01 0000000000000003
         01 00 02 01 00 03 01 04 fffffffffffffffe 01 01 0000000000000003",
    );
    let aborted = |why| CommandResult::Aborted(Aborted { succeeded: false, step: 2, why });
    check_reply(aborted(Obstacle::TooMuchFound), "0a 00 0002 02");
    check_reply(aborted(Obstacle::Uncounted(Uncounted::NotANumber)), "0a 00 0002 01 01");
}

#[track_caller]
fn check_refused(bytes: &str, error: DecodeError) {
    assert_eq!(decode(&unhex(bytes)), Err(error));
}

const HEADER: &str = "01 0000000000000001 00000002";

#[test]
fn unknown_versions_and_tags_are_refused() {
    check_refused("02", DecodeError::UnknownVersion { found: 2, known: 1 });
    check_refused("00", DecodeError::UnknownVersion { found: 0, known: 1 });
    let refused = |rest: &str, what, tag| {
        check_refused(&format!("{HEADER} 0001 {rest}"), DecodeError::UnknownTag { what, tag });
    };
    refused("00", "command", 0);
    refused("07", "command", 7);
    refused("06 00000000 0001 05", "check", 5);
    refused("06 00000000 0000 0001 05", "step", 5);
    refused("04 04", "meta command", 4);
    refused("02 04 0001 6b", "condition", 4);
    refused("01 00 02", "flag", 2);
    refused("05 00 0001 6b 0000000000000001 0000000000000000 00 00 03", "life", 3);
    assert_eq!(
        get_reply(&mut unhex("0b")),
        Err(DecodeError::UnknownTag { what: "result", tag: 11 })
    );
    assert_eq!(
        get_reply(&mut unhex("08 04")),
        Err(DecodeError::UnknownTag { what: "reason", tag: 4 })
    );
}

#[test]
fn trailing_bytes_are_refused() {
    check_refused(&format!("{HEADER} 0000 00"), DecodeError::Trailing { bytes: 1 });
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let refused = |rest: &str, what| {
        check_refused(&format!("{HEADER} {rest}"), DecodeError::OutOfBounds { what });
    };
    refused("0401", "number of commands");
    refused("0001 02 00 0000", "key");
    refused("0001 02 00 0401", "key");
    refused("0001 01 00 00 0001 6b 00100001", "value");
    refused("0001 01 00 01 0000000000000000 0001 6b 00000000", "time to live");
    refused("0001 01 00 01 ffffffffffffffff 0001 6b 00000000", "time to live");
    let add = "0001 05 00 0001 6b 0000000000000001 0000000000000000 00 00";
    refused(&format!("{add} 01 0000000000000000"), "time to live");
    let transact = "0001 06 00000000";
    refused(&format!("{transact} 03e9"), "number of steps");
    let gets = "01 0001 6b".repeat(600);
    refused(&format!("{transact} 0000 0258 {gets} 0191"), "number of steps");
    refused(&format!("{transact} 0000 0000 0000"), "slot of a transaction");
    refused(&format!("{transact} 0000 0002 01 0001 6b 01 0001 6c 0000"), "slot of a transaction");
    let own = "0001 03 0000000000000001";
    refused(&format!("{own} 0001 0000 4000"), "slot");
    refused(&format!("{own} 0001 0002 0001"), "slot range");
    refused(&format!("{own} 0002 0005 0006 0001 0002"), "slot range");
    refused(&format!("{own} 0002 0000 0001 0002 0003"), "slot range");
    let bootstrap = "0001 04 01 00000000000000000000000000000007";
    refused(&format!("{bootstrap} 0065"), "number of nodes");
    refused(&format!("{bootstrap} 0001 00000001 0401"), "text");
    refused(&format!("{bootstrap} 0001 00000001 0001 ff 0000"), "text");
    let node = |id| format!("0000000{id} 0000 0000");
    refused(&format!("{bootstrap} 0002 {} {}", node(2), node(2)), "order of nodes");
    refused(&format!("{bootstrap} 0000 0102"), "number of shards");
    let record = |shard| format!("0000000{shard} 00000001 00 0000000000000001 0000 0000");
    refused(&format!("{bootstrap} 0000 0002 {} {}", record(1), record(0)), "order of shards");
    let crowded = "00000000 00000001 00 0000000000000001 0065";
    refused(&format!("{bootstrap} 0000 0001 {crowded}"), "number of replicas");
    let large = Bytes::from(vec![1; limits::ENTRY_BYTES_MAX + 1]);
    assert_eq!(decode(&large), Err(DecodeError::OutOfBounds { what: "entry" }));
}

#[test]
fn every_cut_is_noticed() {
    let ttl = Some(1);
    let own = Command::Own { slots: slots(&[(1, 2)]), epoch: Epoch(1) };
    let commands = vec![put(ttl, Condition::RevisionIs(Revision(1))), own];
    let bytes = encode(&Entry { stamp: LogTime(1), expired_max: 1, commands });
    for len in 0..bytes.len() {
        assert_eq!(decode(&bytes.slice(..len)), Err(DecodeError::Truncated), "cut to {len}");
    }
}

#[test]
fn decoding_copies_neither_keys_nor_values() {
    let commands = vec![put(None, Condition::Always)];
    let bytes = encode(&Entry { stamp: LogTime(1), expired_max: 1, commands });
    let Command::Put { key, value, .. } = decode(&bytes).unwrap().commands.remove(0) else {
        unreachable!("a put was encoded");
    };
    assert!(bytes.as_ptr_range().contains(&key.as_bytes().as_ptr()));
    assert!(bytes.as_ptr_range().contains(&value.as_bytes().as_ptr()));
}

/// They are moved from queue to queue: what is large and rare goes into a box.
#[test]
fn commands_and_results_stay_small() {
    assert!(size_of::<Command>() <= 96, "{}", size_of::<Command>());
    assert!(size_of::<Reply>() <= 48, "{}", size_of::<Reply>());
}

#[test]
fn the_largest_command_fits_in_an_entry() {
    let key = Key::try_from(Bytes::from(vec![0; limits::KEY_BYTES_MAX])).unwrap();
    let value = Value::try_from(Bytes::from(vec![0; limits::VALUE_BYTES_MAX])).unwrap();
    let condition = Condition::RevisionIs(Revision(u64::MAX));
    let largest = Command::Put { key, value, ttl: Some(TtlMs(limits::TTL_MS_MAX)), condition };
    let entry = Entry { stamp: LogTime(u64::MAX), expired_max: u32::MAX, commands: vec![largest] };
    assert_eq!(decode(&encode(&entry)), Ok(entry));
}

#[test]
#[should_panic(expected = "slots out of order")]
fn slots_out_of_order_are_our_own_mistake() {
    encoded(&Command::Own { slots: slots(&[(5, 6), (7, 8)]), epoch: Epoch(1) });
}

#[test]
#[should_panic(expected = "an entry of")]
fn an_entry_over_its_bound_is_our_own_mistake() {
    let value = Value::try_from(Bytes::from(vec![0; limits::VALUE_BYTES_MAX])).unwrap();
    let put = |name| Command::Put {
        key: key(name),
        value: value.clone(),
        ttl: None,
        condition: Condition::Always,
    };
    encode(&Entry { stamp: LogTime(1), expired_max: 1, commands: vec![put("a"), put("b")] });
}

proptest! {
    #[test]
    fn entries_survive_their_bytes(entry in any_entry()) {
        prop_assert_eq!(decode(&encode(&entry)), Ok(entry));
    }

    #[test]
    fn replies_survive_their_bytes(reply in any_reply()) {
        let mut out = BytesMut::new();
        put_reply(&mut out, &reply);
        let mut bytes = out.freeze();
        prop_assert_eq!(get_reply(&mut bytes), Ok(reply));
        prop_assert!(bytes.is_empty());
    }

    /// Decoding never panics, and what it accepts has one encoding.
    #[test]
    fn any_bytes_decode_or_are_refused(bytes in vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        if let Ok(entry) = decode(&bytes) {
            prop_assert_eq!(encode(&entry), bytes);
        }
    }

    /// The same near the truth, where more of the code is reached.
    #[test]
    fn damaged_entries_decode_or_are_refused(
        entry in any_entry(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = encode(&entry).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let bytes = Bytes::from(bytes);
        if let Ok(entry) = decode(&bytes) {
            prop_assert_eq!(encode(&entry), bytes);
        }
    }
}
