//! How two nodes make sure of each other before the first frame.
//!
//! The ends present themselves, and prove that they know the cluster's token ([`super::token`]). All
//! messages have the same fixed head, so that a proxy in a test can read who talks to whom:
//!
//! ```text
//! 0        8         10     11        12        28     32   36       40
//! | magic  | version | what | purpose | cluster | from | to | length | rest |
//! | 8      | u16     | u8   | u8      | u128    | u32  | u32| u32    |      |
//! ```
//!
//! `what` is 1 for a hello, 2 for a refusal, 3 for a challenge, 4 for a proof and 5 for a seal. The
//! last three say neither purpose nor place. `purpose` is 1 for requests, 2 for snapshots and 3
//! for bootstrap. A cluster or node of 0 means none, a `to` of 0 whoever listens there. The rest
//! of a hello is `directory u128 | boots | recovered u64 | synced u64 | lease ms u32 | peer text |
//! http text` ([`super::boots`], [`super::wire`]), that of a refusal is [`super::refusal`]'s, that of
//! a challenge is a nonce of 32 bytes, that of a proof a nonce and a MAC of 32, that of a seal a MAC.
//!
//! The head is for ever; a change of anything behind it is a new version. So is a new kind of
//! command: see [`VERSION`].

use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::boots::{Boots, Start};
use super::refusal::{Code, Refusal};
use super::token::{MAC_BYTES, array};
use super::wire::{Malformed, end, put_text, take_text};
use crate::limits;
use crate::net::{Address, Nonce};
use crate::words::{ClusterId, DirectoryId, NodeId, Sequence};

const MAGIC: [u8; 8] = *b"steadfst";
/// Nodes of one version know the same kinds of commands, and nodes of two do not talk: so no entry
/// reaches a replica that could not read it, and would have to stop (D4, ADR 20). Version 2 knew no
/// increments and transactions, version 3 no proofs of a token.
const VERSION: u16 = 4;
const HEAD_BYTES: usize = 40;
const HELLO: u8 = 1;
const REFUSAL: u8 = 2;
const CHALLENGE: u8 = 3;
const PROOF: u8 = 4;
const SEAL: u8 = 5;

/// What a connection is for. The numbers are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Requests between members of a cluster.
    Requests = 1,
    /// One snapshot.
    Snapshot = 2,
    /// Founding a cluster: the ends need not be members.
    Bootstrap = 3,
}

/// A node's place in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's id there.
    pub node: NodeId,
}

/// What a node says of itself to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Its place in a cluster, if it has one.
    pub member: Option<Member>,
    /// The directory it lives in: its incarnation.
    pub directory: DirectoryId,
    /// The starts of that directory; the last is this process.
    pub boots: Boots,
    /// The last durable sequence of the log as this process found it at its start.
    pub recovered: Sequence,
    /// The last durable sequence of the log now.
    pub synced: Sequence,
    /// How long it supports a leader whose message it took: it neither votes for another nor
    /// campaigns. In whole milliseconds.
    pub lease: Duration,
    /// Where peers reach it.
    pub peer: Address,
    /// Where clients reach it: a URL.
    pub http: String,
}

impl Presented {
    /// Returns the start that presents itself.
    pub fn start(&self) -> Start {
        self.boots.last()
    }
}

/// The first message of an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) purpose: Purpose,
    /// Whom it is for; `None` for whoever listens.
    pub(super) to: Option<NodeId>,
    pub(super) presented: Presented,
}

/// A refusal in place of a hello, and who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusing {
    pub(super) member: Option<Member>,
    pub(super) refusal: Refusal,
}

/// What an end says before the first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Hello(Hello),
    Refusal(Refusing),
    /// What the dialler's proof must cover.
    Challenge(Nonce),
    /// The dialler knows the token.
    Proof {
        /// What the acceptor's seal must cover.
        nonce: Nonce,
        mac: [u8; MAC_BYTES],
    },
    /// The acceptor knows the token.
    Seal([u8; MAC_BYTES]),
}

/// Why a message could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The stream broke or ended.
    Lost(io::Error),
    /// The bytes are not those of a peer.
    Refused(Refusal),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl From<Malformed> for Unread {
    fn from(malformed: Malformed) -> Self {
        Self::Refused(malformed.into())
    }
}

impl Message {
    /// Returns what it is called.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Refusal(_) => "refusal",
            Self::Challenge(_) => "challenge",
            Self::Proof { .. } => "proof",
            Self::Seal(_) => "seal",
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut rest = BytesMut::new();
        let (what, purpose, member, to) = match self {
            Self::Hello(hello) => {
                hello.presented.put(&mut rest);
                (HELLO, hello.purpose as u8, hello.presented.member, hello.to)
            }
            Self::Refusal(refusing) => {
                rest.put_slice(&refusing.refusal.encode());
                (REFUSAL, 0, refusing.member, None)
            }
            Self::Challenge(nonce) => {
                rest.put_slice(nonce);
                (CHALLENGE, 0, None, None)
            }
            Self::Proof { nonce, mac } => {
                rest.put_slice(nonce);
                rest.put_slice(mac);
                (PROOF, 0, None, None)
            }
            Self::Seal(mac) => {
                rest.put_slice(mac);
                (SEAL, 0, None, None)
            }
        };
        let mut bytes = BytesMut::with_capacity(HEAD_BYTES + rest.len());
        bytes.put_slice(&MAGIC);
        bytes.put_u16(VERSION);
        bytes.put_u8(what);
        bytes.put_u8(purpose);
        bytes.put_u128(member.map_or(0, |member| member.cluster.0));
        bytes.put_u32(member.map_or(0, |member| member.node.0));
        bytes.put_u32(to.map_or(0, |node| node.0));
        bytes.put_u32(u32::try_from(rest.len()).expect("bounded by its fields"));
        bytes.put_slice(&rest);
        bytes.freeze()
    }
}

impl Presented {
    /// Writes all but the member, which is in the head.
    fn put(&self, rest: &mut BytesMut) {
        rest.put_u128(self.directory.0);
        self.boots.put(rest);
        rest.put_u64(self.recovered.0);
        rest.put_u64(self.synced.0);
        rest.put_u32(u32::try_from(self.lease.as_millis()).unwrap_or(u32::MAX));
        put_text(rest, &self.peer.0);
        put_text(rest, &self.http);
    }

    fn get(member: Option<Member>, rest: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Self {
            member,
            directory: DirectoryId(rest.try_get_u128()?),
            boots: Boots::get(rest)?,
            recovered: Sequence(rest.try_get_u64()?),
            synced: Sequence(rest.try_get_u64()?),
            lease: Duration::from_millis(rest.try_get_u32()?.into()),
            peer: Address(take_text(rest)?),
            http: take_text(rest)?,
        })
    }
}

/// The fields of the head behind magic and version.
struct Head {
    what: u8,
    purpose: u8,
    member: Option<Member>,
    to: Option<NodeId>,
    rest_bytes: usize,
}

impl Head {
    /// Reads the head, whatever the version behind it.
    fn decode(head: [u8; HEAD_BYTES]) -> Result<Self, Refusal> {
        let mut head = &head[..];
        if head[..8] != MAGIC {
            return Err(Refusal::new(
                Code::Garbage,
                "this is a port for steadfast peers; clients use the HTTP port",
            ));
        }
        head.advance(8);
        let version = head.get_u16();
        let (what, purpose) = (head.get_u8(), head.get_u8());
        if version != VERSION && what != REFUSAL {
            let text = format!("peer protocol {version} is spoken there, {VERSION} here; upgrade");
            return Err(Refusal::new(Code::Version, text));
        }
        let (cluster, node, to) = (head.get_u128(), head.get_u32(), head.get_u32());
        let known = cluster != 0 && node != 0;
        let member = Member { cluster: ClusterId(cluster), node: NodeId(node) };
        let rest_bytes = usize::try_from(head.get_u32()).unwrap_or(usize::MAX);
        if limits::HANDSHAKE_BYTES_MAX < rest_bytes {
            let text = format!("a handshake of {rest_bytes} bytes");
            return Err(Refusal::new(Code::Garbage, text));
        }
        let member = known.then_some(member);
        Ok(Self { what, purpose, member, to: (to != 0).then_some(NodeId(to)), rest_bytes })
    }

    fn message(self, mut rest: Bytes) -> Result<Message, Malformed> {
        match self.what {
            HELLO => {
                let purpose = match self.purpose {
                    1 => Purpose::Requests,
                    2 => Purpose::Snapshot,
                    3 => Purpose::Bootstrap,
                    other => return Err(Malformed(format!("a connection for purpose {other}"))),
                };
                let presented = Presented::get(self.member, &mut rest)?;
                end(&rest)?;
                Ok(Message::Hello(Hello { purpose, to: self.to, presented }))
            }
            REFUSAL => {
                let refusal = Refusal::decode(rest)?;
                Ok(Message::Refusal(Refusing { member: self.member, refusal }))
            }
            CHALLENGE | PROOF | SEAL => {
                let message = match self.what {
                    CHALLENGE => Message::Challenge(array(&mut rest)?),
                    PROOF => Message::Proof { nonce: array(&mut rest)?, mac: array(&mut rest)? },
                    _seal => Message::Seal(array(&mut rest)?),
                };
                end(&rest)?;
                Ok(message)
            }
            other => Err(Malformed(format!("a handshake message of kind {other}"))),
        }
    }
}

/// Sends a message.
pub(super) async fn send<W>(writer: &mut W, message: &Message) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    writer.write_all(&message.encode()).await
}

/// Receives a message, and not a byte more.
pub(super) async fn receive<R: AsyncRead + Unpin>(reader: &mut R) -> Result<Message, Unread> {
    let mut head = [0; HEAD_BYTES];
    reader.read_exact(&mut head).await?;
    let head = Head::decode(head).map_err(Unread::Refused)?;
    let mut rest = vec![0; head.rest_bytes];
    reader.read_exact(&mut rest).await?;
    Ok(head.message(rest.into())?)
}

/// Judges a caller's hello by its place: cluster, ids and purpose. `known` says whether the node
/// it claims to be is in the list of the cluster's nodes.
pub(super) fn check_caller(own: &Presented, hello: &Hello, known: bool) -> Result<(), Refusal> {
    if hello.purpose == Purpose::Bootstrap {
        return Ok(());
    }
    let own_address = &own.peer;
    let Some(own) = own.member else {
        return Err(Refusal::new(Code::WrongCluster, "this node belongs to no cluster yet"));
    };
    let caller = same_cluster(own, &hello.presented)?;
    if hello.to != Some(own.node) {
        let wanted = hello.to.unwrap_or_default();
        let text = format!(
            "this is {}, not {wanted}: that address leads to the wrong node; see that each node is \
             started with the --advertise-peer that leads to itself",
            own.node
        );
        return Err(Refusal::new(Code::WrongNode, text));
    }
    if !known || caller.node == own.node {
        let text =
            format!("{} is not known here as another node of this cluster (yet)", caller.node);
        return Err(Refusal::new(Code::Stranger, text));
    }
    check_address(own.node, own_address, &hello.presented)
}

/// Refuses a node that announces the address of this one: others would not know where to find which.
pub(super) fn check_address(
    own: NodeId,
    own_address: &Address,
    other: &Presented,
) -> Result<(), Refusal> {
    if other.peer != *own_address {
        return Ok(());
    }
    let node = other.member.map_or(NodeId::default(), |member| member.node);
    let (one, two) = (own.min(node), own.max(node));
    let text = format!(
        "{one} and {two} both announce the address {own_address}; start the one that is wrong with \
         its own --advertise-peer"
    );
    Err(Refusal::new(Code::WrongNode, text))
}

/// Judges what the end that was dialled says of itself.
pub(super) fn check_callee(own: Member, to: NodeId, hello: &Hello) -> Result<(), Refusal> {
    let callee = same_cluster(own, &hello.presented)?;
    if callee.node != to {
        let text = format!(
            "{to} was dialled and {} answered: that address leads to the wrong node; see that each \
             node is started with the --advertise-peer that leads to itself",
            callee.node
        );
        return Err(Refusal::new(Code::WrongNode, text));
    }
    if hello.to != Some(own.node) {
        let text = format!("an answer to {:?} came to {}", hello.to, own.node);
        return Err(Refusal::new(Code::WrongNode, text));
    }
    Ok(())
}

fn same_cluster(own: Member, other: &Presented) -> Result<Member, Refusal> {
    match other.member {
        Some(member) if member.cluster == own.cluster => Ok(member),
        Some(member) => {
            let text = format!("cluster {} here, {} there", own.cluster, member.cluster);
            Err(Refusal::new(Code::WrongCluster, text))
        }
        None => Err(Refusal::new(Code::WrongCluster, "the other end belongs to no cluster yet")),
    }
}
