//! The bytes: golden, there and back, and arbitrary.

use ::bytes::BytesMut;
use proptest::prelude::*;

use super::super::boots::{Found, Start};
use super::super::bootstrap::{Claim, Release, Verdict};
use super::super::exchange::{Cause, Move, Standing};
use super::super::frame::Frame;
use super::super::handshake::Refusing;
use super::*;
use crate::words::{Boot, LogTime};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn read(bytes: &[u8]) -> Result<Message, handshake::Unread> {
    handshake::receive(&mut &*bytes).await
}

fn hello() -> Message {
    let presented = Spec { boots: vec![0xaa, 0xbb], ..Spec::node(1) }.presented();
    Message::Hello(Hello { purpose: Purpose::Snapshot, to: Some(NodeId(2)), presented })
}

#[tokio::test]
async fn a_hello_has_these_bytes() {
    let expected = [
        "7374656164667374",                 // magic
        "0004",                             // version
        "01",                               // hello
        "02",                               // for a snapshot
        "00000000000000000000000000000009", // cluster
        "00000001",                         // from
        "00000002",                         // to
        "00000061",                         // length
        "00000000000000000000000000000001", // directory
        "00000000000000000000000000000001", // hash before the first start kept
        "0000000000000001",                 // its boot
        "0002",                             // how many
        "00000000000000aa",
        "00000000000000bb",
        "0000000000000005", // recovered
        "0000000000000006", // synced
        "00000258",         // lease
        "0004",
        "68313a31", // peer address
        "000b",
        "687474703a2f2f68313a31", // http address
    ];
    let bytes = hello().encode();
    assert_eq!(hex(&bytes), expected.concat());
    assert_eq!(read(&bytes).await.unwrap(), hello());
}

#[tokio::test]
async fn a_refusal_has_these_bytes() {
    let refusal = Refusal::new(Code::LostLog, "no");
    let member = Some(Member { cluster: ClusterId(9), node: NodeId(2) });
    let message = Message::Refusal(Refusing { member, refusal });
    let head = "737465616466737400040200000000000000000000000000000000090000000200000000";
    assert_eq!(hex(&message.encode()), [head, "00000005", "0700026e6f"].concat());
    assert_eq!(read(&message.encode()).await.unwrap(), message);
    // A newer version's refusal, with a code that is unknown here, can still be read.
    let mut newer = message.encode().to_vec();
    (newer[9], newer[40]) = (5, 200);
    let Message::Refusal(refusing) = read(&newer).await.unwrap() else { panic!("a refusal") };
    assert_eq!(refusing.refusal, Refusal::new(Code::Other, "no"));
}

#[tokio::test]
async fn challenge_proof_and_seal_have_these_bytes() {
    let (nonce, mac) = ([0xaa; 32], [0xbb; 32]);
    let place = "00".repeat(1 + 16 + 4 + 4);
    for (message, what, rest) in [
        (Message::Challenge(nonce), "03", "00000020".to_owned() + &"aa".repeat(32)),
        (
            Message::Proof { nonce, mac },
            "04",
            "00000040".to_owned() + &"aa".repeat(32) + &"bb".repeat(32),
        ),
        (Message::Seal(mac), "05", "00000020".to_owned() + &"bb".repeat(32)),
    ] {
        let expected = format!("73746561646673740004{what}{place}{rest}");
        assert_eq!(hex(&message.encode()), expected);
        assert_eq!(read(&message.encode()).await.unwrap(), message);
    }
}

#[test]
fn a_frame_has_these_bytes() {
    let frame = Frame {
        kind: Kind::Vote as u8,
        group: GroupId { shard: ShardId(3), attempt: 1 },
        correlation: 0x0102,
        body: Bytes::from_static(b"vote"),
    };
    let mut head = BytesMut::new();
    frame.put_head(&mut head);
    assert_eq!(hex(&head), "000000150200000003000000010000000000000102");
    assert_eq!(head.len(), frame::HEAD_BYTES);
}

#[test]
fn kinds_keep_their_numbers() {
    let tags: Vec<u8> = Kind::ALL.into_iter().map(|kind| kind as u8).collect();
    assert_eq!(tags, [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18, 19, 32, 33, 34, 35]);
    for tag in 0..=u8::MAX {
        assert_eq!(
            Kind::from_tag(tag).map(|kind| kind as u8),
            Some(tag).filter(|t| tags.contains(t))
        );
    }
}

#[test]
fn reasons_and_codes_keep_their_numbers() {
    for (tag, reason) in (1..).zip([
        Reason::UnknownKind,
        Reason::Malformed,
        Reason::NoReplica,
        Reason::NotNow,
        Reason::Overloaded,
        Reason::Halted,
    ]) {
        let refused = Refused::new(reason, "no");
        assert_eq!(refused.encode()[..], [tag, 0, 2, b'n', b'o']);
        assert_eq!(Refused::decode(refused.encode()).unwrap(), refused);
    }
    for (tag, code) in (0..).zip([
        Code::Other,
        Code::Garbage,
        Code::Version,
        Code::WrongCluster,
        Code::WrongNode,
        Code::Stranger,
        Code::OldBoot,
        Code::LostLog,
        Code::CopiedDirectory,
        Code::OtherDirectory,
        Code::Silent,
        Code::Replaced,
        Code::Token,
    ]) {
        let refusal = Refusal::new(code, "no");
        assert_eq!(refusal.encode()[..], [tag, 0, 2, b'n', b'o']);
        assert_eq!(Refusal::decode(refusal.encode()).unwrap(), refusal);
    }
}

#[test]
fn an_exchange_has_these_bytes() {
    let exchange = Exchange {
        hash: 1,
        start: Start { boot: Boot(2), nonce: 3 },
        synced: Sequence(4),
        wall_ms: 5,
        log_times: vec![(GROUP, LogTime(6))],
        standing: Standing::Draining,
        moves: vec![Move {
            group: GROUP,
            to: NodeId(7),
            term: 8,
            cause: Cause::Operator,
            age_ms: 9,
        }],
    };
    let expected = [
        "02",
        "00000000000000000000000000000001",
        "0000000000000002",
        "0000000000000003",
        "0000000000000004",
        "0000000000000005",
        "00000001",
        "0000000100000001",
        "0000000000000006",
        "01",
        "00000001",
        "0000000100000001",
        "00000007",
        "0000000000000008",
        "01",
        "00000009",
    ];
    assert_eq!(hex(&exchange.encode()), expected.concat());
    assert_eq!(Exchange::decode(exchange.encode()).unwrap(), exchange);
}

#[test]
fn claims_have_these_bytes() {
    let nodes = vec![(NodeId(1), Address("a:1".into())), (NodeId(2), Address("b:2".into()))];
    let claim = Claim { cluster: ClusterId(7), node: NodeId(2), nodes, shards: 6, replicas: 3 };
    let expected = [
        "02",
        "00000000000000000000000000000007",
        "00000002",
        "0002",
        "000000010003613a31",
        "000000020003623a32",
        "00000006",
        "00000003",
    ];
    assert_eq!(hex(&claim.encode()), expected.concat());
    assert_eq!(Claim::decode(claim.encode()).unwrap(), claim);
    let release = Release { cluster: ClusterId(7) };
    assert_eq!(hex(&release.encode()), "0200000000000000000000000000000007");
    assert_eq!(Release::decode(release.encode()).unwrap(), release);
    assert_eq!(hex(&Verdict::Done.encode()), "0200");
    let refused = Verdict::Refused("no".into());
    assert_eq!(hex(&refused.encode()), "020100026e6f");
    let taken = Verdict::Taken("no".into());
    assert_eq!(hex(&taken.encode()), "020200026e6f");
    for verdict in [refused, taken] {
        assert_eq!(Verdict::decode(verdict.encode()).unwrap(), verdict);
    }
    assert_eq!(Verdict::decode(Verdict::Done.encode()).unwrap(), Verdict::Done);
}

#[test]
fn starts_are_found_forgotten_and_told_apart() {
    let mut boots = Boots::first(DirectoryId(1), 100);
    let first = boots.last();
    let before = boots.hash();
    for nonce in 0..limits::BOOTS_KEPT_MAX as u64 - 1 {
        boots.add(nonce);
    }
    assert_ne!(boots.hash(), before);
    let (last, hash) = (boots.last(), boots.hash());
    assert_eq!(boots.find(first), Found::Same);
    assert_eq!(boots.find(Start { nonce: 1, ..first }), Found::Other);
    assert_eq!(boots.find(Start { boot: Boot(last.boot.0 + 1), nonce: 0 }), Found::Later);
    boots.add(5);
    assert_eq!(boots.find(first), Found::Forgotten);
    assert_eq!(boots.find(last), Found::Same);
    let mut bytes = BytesMut::new();
    boots.put(&mut bytes);
    let again = Boots::get(&mut bytes.freeze()).unwrap();
    assert_eq!(again, boots);
    // The hash goes on over what is no longer kept.
    let mut other = Boots::first(DirectoryId(2), 100);
    (0..limits::BOOTS_KEPT_MAX as u64 - 1).for_each(|nonce| other.add(nonce));
    assert_ne!(other.hash(), hash);
    other.add(5);
    assert_ne!(other.hash(), boots.hash());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let body = Bytes::from(bytes.clone());
        drop(Exchange::decode(body.clone()));
        drop(Claim::decode(body.clone()));
        drop(Release::decode(body.clone()));
        drop(Verdict::decode(body.clone()));
        drop(Refused::decode(body.clone()));
        drop(Refusal::decode(body.clone()));
        drop(Boots::get(&mut body.clone()));
        futures_util::FutureExt::now_or_never(read(&bytes));
        let mut reader = FrameReader::new(&*bytes);
        futures_util::FutureExt::now_or_never(reader.fill());
        while let Ok(Some(_)) = reader.next() {}
    }

    #[test]
    fn damaged_hellos_never_panic(at in 10_usize..133, value in any::<u8>()) {
        let mut bytes = hello().encode().to_vec();
        bytes[at] = value;
        futures_util::FutureExt::now_or_never(read(&bytes));
    }
}
