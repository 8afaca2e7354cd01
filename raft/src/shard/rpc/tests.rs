use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use proptest::prelude::*;

use super::messages::*;
use super::*;
use crate::shard::types::RaftVote;
use crate::shard::types::raft_vote;
use crate::words::{GroupId, NodeId, ShardId, Vote};

const TO: ReplicaId = ReplicaId(2 << 32 | 1);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id(term: u64, node: u32, index: u64) -> RaftLogId {
    let leader = ReplicaId::new(NodeId(node), 1);
    log_id(LogPosition { term: Term { number: term, leader }, index })
}

fn voted(term: u64, committed: bool) -> RaftVote {
    let leader = ReplicaId::new(NodeId(1), 1);
    raft_vote(Vote { term: Term { number: term, leader }, committed })
}

fn joint() -> RaftMembership {
    let configs = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([3, 4])];
    RaftMembership::new_with_defaults(configs, [9])
}

fn entries() -> Vec<RaftEntry> {
    let entry = |index, payload| RaftEntry { log_id: id(5, 1, index), payload };
    vec![
        entry(7, EntryPayload::Blank),
        entry(8, EntryPayload::Normal(EncodedEntry(Bytes::from_static(b"put")))),
        entry(9, EntryPayload::Membership(joint())),
    ]
}

fn append() -> AppendEntriesRequest<Types> {
    AppendEntriesRequest {
        vote: voted(5, true),
        prev_log_id: Some(id(4, 2, 6)),
        entries: entries(),
        leader_commit: None,
    }
}

fn manifest() -> Manifest {
    let mut membership = BytesMut::new();
    let stored = RaftStoredMembership::new(Some(id(4, 2, 6)), joint());
    put_stored_membership(&mut membership, &stored);
    Manifest {
        group: GroupId::first(ShardId(1)),
        position: position(&id(5, 1, 9)),
        membership: membership.freeze(),
        chunks: 3,
        bytes: 100,
        hash: 7,
    }
}

#[track_caller]
fn check_request<M: Message + std::fmt::Debug>(message: &M) {
    let (to, again) = decode_request::<M>(encode_request(TO, message)).unwrap();
    assert_eq!(to, TO);
    // Not every message of openraft's can be compared.
    assert_eq!(format!("{again:?}"), format!("{message:?}"));
}

#[track_caller]
fn check_answer<M: Message + std::fmt::Debug>(message: &M) {
    let bytes = encode_answer(message);
    let again = decode_answer::<M>(bytes.clone()).unwrap();
    assert_eq!(format!("{again:?}"), format!("{message:?}"));
    let mut longer = BytesMut::from(&bytes[..]);
    longer.put_u8(0);
    decode_answer::<M>(longer.freeze()).unwrap_err();
    let mut newer = BytesMut::from(&bytes[..]);
    newer[0] = 2;
    decode_answer::<M>(newer.freeze()).unwrap_err();
}

#[test]
fn every_message_comes_back_as_it_was() {
    check_request(&append());
    check_request(&VoteRequest {
        vote: voted(6, false),
        last_log_id: None,
        leadership_transfer: true,
    });
    check_request(&TransferLeaderRequest::<Types>::new(voted(5, true), TO.0, Some(id(5, 1, 9))));
    check_request(&SnapshotBegin { transfer: 3, vote: voted(5, true), manifest: manifest() });
    check_request(&SnapshotChunk { transfer: 3, number: 1, bytes: Bytes::from_static(b"chunk") });
    check_request(&SnapshotFinish { transfer: 3 });
    check_answer(&());
    check_answer(&AppendEntriesResponse::<Types>::Success);
    check_answer(&AppendEntriesResponse::<Types>::PartialSuccess(Some(id(5, 1, 8))));
    check_answer(&AppendEntriesResponse::<Types>::Conflict);
    check_answer(&AppendEntriesResponse::<Types>::HigherVote(voted(9, false)));
    check_answer(&VoteResponse::<Types>::new(voted(6, false), Some(id(5, 1, 9)), true));
    check_answer::<TransferLeaderResponse<Types>>(&Ok(()));
    let (expected, actual) = (voted(5, true), voted(6, false));
    let changed = TransferLeaderError::VoteChanged { expected, actual };
    check_answer::<TransferLeaderResponse<Types>>(&Err(changed));
    let behind = TransferLeaderError::LogNotFlushed { expected: Some(id(5, 1, 9)), actual: None };
    check_answer::<TransferLeaderResponse<Types>>(&Err(behind));
    check_answer(&SnapshotResponse::<Types>::new(voted(5, true)));
}

#[test]
fn an_append_has_these_bytes() {
    let expected = [
        "01",                                                 // version
        "0000000200000001",                                   // to
        "0000000000000005000000010000000101",                 // vote
        "01000000000000000400000002000000010000000000000006", // before
        "00",                                                 // committed
        "00000003",                                           // entries
        "000000000000000500000001000000010000000000000007",   // 7@5.1
        "0000000000",                                         // blank
        "000000000000000500000001000000010000000000000008",   // 8@5.1
        "0100000003707574",                                   // commands
        "000000000000000500000001000000010000000000000009",   // 9@5.1
        "0200000057",                                         // membership
        "02",                                                 // configurations
        "0003",
        "000000000000000100000000000000020000000000000003",
        "0002",
        "00000000000000030000000000000004",
        "0005",
        "00000000000000010000000000000002000000000000000300000000000000040000000000000009",
    ];
    assert_eq!(hex(&encode_request(TO, &append())), expected.concat());
}

#[test]
fn the_other_messages_have_these_bytes() {
    let vote = VoteRequest { vote: voted(6, false), last_log_id: None, leadership_transfer: true };
    let to = "010000000200000001";
    let six = "0000000000000006000000010000000100";
    assert_eq!(hex(&encode_request(TO, &vote)), [to, six, "0001"].concat());
    let granted = VoteResponse::<Types>::new(voted(6, false), None, true);
    assert_eq!(hex(&encode_answer(&granted)), ["01", six, "0100"].concat());
    let transfer = TransferLeaderRequest::<Types>::new(voted(6, false), 9, None);
    assert_eq!(hex(&encode_request(TO, &transfer)), [to, six, "000000000000000900"].concat());
    let higher = AppendEntriesResponse::<Types>::HigherVote(voted(6, false));
    assert_eq!(hex(&encode_answer(&higher)), ["0103", six].concat());
    let chunk = SnapshotChunk { transfer: 3, number: 1, bytes: Bytes::from_static(b"c") };
    let expected = [to, "0000000000000003", "0000000000000001", "0000000163"];
    assert_eq!(hex(&encode_request(TO, &chunk)), expected.concat());
    let manifest = Manifest { membership: Bytes::from_static(b"m"), ..manifest() };
    let begin = SnapshotBegin { transfer: 3, vote: voted(6, false), manifest };
    let expected = [
        to,
        "0000000000000003",
        six,
        "0000000100000001",
        "000000000000000500000001000000010000000000000009",
        "0000000000000003",
        "0000000000000064",
        "00000000000000000000000000000007",
        "000000016d",
    ];
    assert_eq!(hex(&encode_request(TO, &begin)), expected.concat());
}

#[test]
fn commands_are_sent_as_they_are() {
    let bytes = Bytes::from(vec![3; 100_000]);
    let payload = EntryPayload::Normal(EncodedEntry(bytes.clone()));
    let entry = RaftEntry { log_id: id(5, 1, 8), payload };
    let (position, kind, split) = split_entry(&entry);
    assert_eq!((position.index, kind), (8, PayloadKind::Commands));
    assert_eq!(split.as_ptr(), bytes.as_ptr());
    assert_eq!(join_entry(position, kind, split).unwrap(), entry);
}

#[test]
fn impossible_memberships_are_refused() {
    let twice = [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    get_membership(&mut Bytes::copy_from_slice(&twice)).unwrap_err();
    let no_voters = [1, 0, 0, 0, 0];
    get_membership(&mut Bytes::copy_from_slice(&no_voters)).unwrap_err();
    let voter_without_node = [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    get_membership(&mut Bytes::copy_from_slice(&voter_without_node)).unwrap_err();
    let blank_with_bytes = join_entry(LogPosition::default(), PayloadKind::Blank, "x".into());
    blank_with_bytes.unwrap_err();
}

#[test]
fn a_manifest_tells_openraft_what_it_wants_to_know() {
    let meta = snapshot_meta(&manifest()).unwrap();
    assert_eq!(meta.last_log_id, Some(id(5, 1, 9)));
    assert_eq!(meta.last_membership, RaftStoredMembership::new(Some(id(4, 2, 6)), joint()));
    // What a state that has seen no membership writes.
    let mut bytes = BytesMut::new();
    put_stored_membership(&mut bytes, &RaftStoredMembership::default());
    let none = get_stored_membership(&mut bytes.freeze()).unwrap();
    assert_eq!(none, RaftStoredMembership::default());
}

fn decode_everything(bytes: &Bytes) {
    drop(decode_request::<AppendEntriesRequest<Types>>(bytes.clone()));
    drop(decode_request::<VoteRequest<Types>>(bytes.clone()));
    drop(decode_request::<TransferLeaderRequest<Types>>(bytes.clone()));
    drop(decode_request::<SnapshotBegin>(bytes.clone()));
    drop(decode_request::<SnapshotChunk>(bytes.clone()));
    drop(decode_request::<SnapshotFinish>(bytes.clone()));
    drop(decode_answer::<AppendEntriesResponse<Types>>(bytes.clone()));
    drop(decode_answer::<VoteResponse<Types>>(bytes.clone()));
    drop(decode_answer::<TransferLeaderResponse<Types>>(bytes.clone()));
    drop(decode_answer::<SnapshotResponse<Types>>(bytes.clone()));
    drop(get_stored_membership(&mut bytes.clone()));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut versioned = vec![1];
        versioned.extend_from_slice(&bytes);
        decode_everything(&bytes.into());
        decode_everything(&versioned.into());
    }

    #[test]
    fn a_damaged_append_never_panics(at in 0_usize..280, value in any::<u8>(), cut in 0_usize..281) {
        let mut bytes = encode_request(TO, &append()).to_vec();
        let len = bytes.len();
        bytes[at % len] = value;
        bytes.truncate(cut.max(1));
        decode_everything(&bytes.into());
    }
}
