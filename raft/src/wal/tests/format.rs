//! The bytes on disk are a promise: these tests fail when they change.

use super::super::batch::{BatchBuffer, HEADER_BYTES, Header, Secret, SegmentId, head_secret};
use super::super::record::{Record, State, records};
use super::*;

/// Checks that a record has exactly these bytes, reads back, and is no longer than it says.
#[track_caller]
fn check(record: &Record, golden: &str) {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    assert_eq!(hex(&bytes), golden.replace([' ', '\n'], ""));
    assert_eq!(records(&bytes).as_deref(), Some(std::slice::from_ref(record)));
    assert!(bytes.len() <= record.bytes(), "{} <= {}", bytes.len(), record.bytes());
    for len in 1..bytes.len() {
        assert_eq!(records(&bytes[..len]), None, "cut to {len}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The group `s3#2`.
fn s3() -> GroupId {
    GroupId { shard: ShardId(3), attempt: 2 }
}

const GROUP: &str = "0200000003000000";
/// The term and the position `7@5.1`.
const TERM: &str = "0500000000000000 0100000001000000";
const AT: &str = "0500000000000000 0100000001000000 0700000000000000";

#[test]
fn records_keep_their_bytes() {
    let position = at(5, 7);
    check(&Record::Truncate(s3(), None), &format!("03 {GROUP} 00"));
    check(&Record::Truncate(s3(), Some(9)), &format!("03 {GROUP} 01 0900000000000000"));
    check(&Record::Purge(s3(), None), &format!("04 {GROUP} 00"));
    check(&Record::Purge(s3(), Some(position)), &format!("04 {GROUP} 01 {AT}"));
    check(&Record::Floor(s3(), position), &format!("05 {GROUP} {AT}"));
    check(&Record::Vote(s3(), vote(5)), &format!("06 {GROUP} {TERM} 00"));
    let vote = Vote { committed: true, ..vote(5) };
    check(&Record::Vote(s3(), vote), &format!("06 {GROUP} {TERM} 01"));
    check(&Record::Committed(s3(), Some(position)), &format!("07 {GROUP} 01 {AT}"));
    check(&Record::Committed(s3(), None), &format!("07 {GROUP} 00"));
    check(&Record::Reset(s3(), position), &format!("09 {GROUP} {AT}"));
    check(&Record::Drop(s3()), &format!("0a {GROUP}"));
    check(&Record::Close(Secret([0xab; 16])), &format!("0b {}", "ab".repeat(16)));
}

#[test]
fn entries_and_states_keep_their_bytes() {
    let membership = Payload::Membership(Bytes::from_static(&[1]));
    let blank = LogEntry { position: at(5, 9), payload: Payload::Blank };
    let entries =
        vec![entry(5, 7, "ab"), LogEntry { position: at(5, 8), payload: membership }, blank];
    let golden = format!(
        "{GROUP} 0700000000000000 03000000
         {TERM} 01 02000000 6162  {TERM} 02 01000000 01  {TERM} 00 00000000"
    );
    check(&Record::Append(s3(), entries.clone()), &format!("02 {golden}"));
    check(&Record::Replace(s3(), 7, entries), &format!("08 {golden}"));
    let none = "00 00 00 00 0000000000000000 0000000000000000";
    check(&Record::State(s3(), State::default()), &format!("01 {GROUP} {none}"));
    let position = Some(at(5, 7));
    let (committed, purged, floor) = (position, position, position);
    let state = State { vote: Some(vote(5)), committed, purged, floor, start: 8, next: 9 };
    let golden = format!(
        "01 {GROUP} 01 {TERM} 00 01 {AT} 01 {AT} 01 {AT} 0800000000000000 0900000000000000"
    );
    check(&Record::State(s3(), state), &golden);
}

#[test]
fn unknown_records_are_refused() {
    for bytes in [&[0; 9][..], &[12; 9], &[0xff; 64]] {
        assert_eq!(records(bytes), None);
    }
    let mut bytes = Vec::new();
    Record::Append(s3(), vec![entry(5, 7, "")]).encode(&mut bytes);
    let kind = bytes.len() - 5;
    bytes[kind] = 3;
    assert_eq!(records(&bytes), None, "a kind of payload that nobody writes");
}

fn header() -> Header {
    Header {
        directory: DirectoryId(0x1122),
        segment: SegmentId(2),
        offset: 0x3000,
        boot: Boot(4),
        sequence: Sequence(5),
        synced: Sequence(3),
        first: SegmentId(1),
        blocks: 0,
        len: 0,
        payload_crc: 0,
    }
}

#[test]
fn headers_keep_their_bytes() {
    let secret = Secret(*b"0123456789abcdef");
    let mut buffer = BatchBuffer::default();
    buffer.begin();
    buffer.push(&Record::Drop(s3()));
    let bytes = buffer.seal(header(), secret, 4096).to_vec();
    assert_eq!(bytes.len(), 4096);
    let golden = "736677616c0d0a01 22110000000000000000000000000000 0200000000000000
        0030000000000000 0400000000000000 0500000000000000 0300000000000000 0100000000000000
        01000000 09000000";
    let golden = golden.replace([' ', '\n'], "");
    assert_eq!(hex(&bytes[..HEADER_BYTES - 8]), golden);
    // As zlib computes them: crc32(secret + payload), crc32(secret + header[..84]).
    assert_eq!(hex(&bytes[HEADER_BYTES - 8..HEADER_BYTES]), "51e89517fc57493c");
    assert_eq!(hex(&bytes[HEADER_BYTES..HEADER_BYTES + 9]), format!("0a{GROUP}"));
    assert!(bytes[HEADER_BYTES + 9..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_batch_reads_back_under_its_own_secret_only() {
    let secret = Secret(*b"0123456789abcdef");
    let mut buffer = BatchBuffer::default();
    buffer.begin_head(secret, 0x10000);
    buffer.push(&Record::Append(s3(), vec![large(1, 0, 5000)]));
    let bytes = buffer.seal(header(), secret, 8192).to_vec();
    assert_eq!(head_secret(&bytes), Some(secret));
    assert_eq!(hex(&bytes[HEADER_BYTES + 16..HEADER_BYTES + 24]), "0000010000000000");
    let read = Header::read(&bytes).expect("it is a header");
    assert_eq!((read.sequence, read.blocks, read.span()), (Sequence(5), 2, 8192));
    assert!(Header::verifies(&bytes, secret));
    let payload = read.payload(&bytes, secret).expect("it is whole");
    assert_eq!(records(&payload[24..]).expect("they decode").len(), 1);
    let other = Secret([0; 16]);
    assert!(!Header::verifies(&bytes, other) && read.payload(&bytes, other).is_none());
    for i in 0..HEADER_BYTES {
        let mut bytes = bytes.clone();
        bytes[i] ^= 1;
        let accepted = Header::read(&bytes).is_some() && Header::verifies(&bytes, secret);
        assert!(!accepted, "byte {i} is not covered");
    }
    for i in (HEADER_BYTES..HEADER_BYTES + read.len as usize).step_by(97) {
        let mut bytes = bytes.clone();
        bytes[i] ^= 1;
        assert_eq!(read.payload(&bytes, secret), None, "byte {i} is not covered");
    }
}
