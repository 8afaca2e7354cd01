//! What is said while a cluster is founded, between nodes that belong to none yet (D8).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::wire::{Malformed, end, put_text, take_text};
use crate::limits;
use crate::net::Address;
use crate::words::{ClusterId, NodeId};

const VERSION: u8 = 2;

/// "Be this node of this cluster": `2 | cluster u128 | node u32 | count u16 | (node u32, address
/// text) ... | shards u32 | replicas u32`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The cluster.
    pub cluster: ClusterId,
    /// The id that the node gets.
    pub node: NodeId,
    /// All nodes of the cluster, by id.
    pub nodes: Vec<(NodeId, Address)>,
    /// How many shards besides the meta shard it is to have.
    pub shards: u32,
    /// How many replicas each of them.
    pub replicas: u32,
}

/// "Forget the claim of this cluster": `2 | cluster u128`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// The cluster.
    pub cluster: ClusterId,
}

/// The answer to a claim or a release: `2 | 0`, or `2 | 1 | why text`, or `2 | 2 | why text`.
///
/// A node that cannot tell, or not yet, whether it holds a claim gives none of these: it refuses the
/// request as such, and the asker must take it that it may hold one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done and durable, now or by an earlier request alike.
    Done,
    /// It is not done and will not be. A claim of that cluster that is held stays held.
    Refused(String),
    /// The node is another cluster's, so it holds no claim of this one.
    Taken(String),
}

impl Claim {
    /// Returns the bytes.
    pub fn encode(&self) -> Bytes {
        let mut body = BytesMut::new();
        body.put_u8(VERSION);
        self.put(&mut body);
        body.freeze()
    }

    /// Reads what [`Claim::encode`] returned.
    pub fn decode(mut body: Bytes) -> Result<Self, Malformed> {
        version(&mut body)?;
        let claim = Self::get(&mut body)?;
        end(&body)?;
        Ok(claim)
    }

    /// Writes all but the version, for messages and files that have one of their own.
    pub fn put(&self, buffer: &mut BytesMut) {
        buffer.put_u128(self.cluster.0);
        buffer.put_u32(self.node.0);
        buffer.put_u16(u16::try_from(self.nodes.len()).expect("a cluster has few nodes"));
        for (node, address) in &self.nodes {
            buffer.put_u32(node.0);
            put_text(buffer, &address.0);
        }
        buffer.put_u32(self.shards);
        buffer.put_u32(self.replicas);
    }

    /// Reads what [`Claim::put`] wrote.
    pub fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        let (cluster, node) = (ClusterId(bytes.try_get_u128()?), NodeId(bytes.try_get_u32()?));
        let count = usize::from(bytes.try_get_u16()?);
        if limits::NODES_MAX < count {
            return Err(Malformed(format!("a cluster of {count} nodes")));
        }
        let mut nodes = Vec::with_capacity(count);
        for _ in 0..count {
            nodes.push((NodeId(bytes.try_get_u32()?), Address(take_text(bytes)?)));
        }
        let (shards, replicas) = (bytes.try_get_u32()?, bytes.try_get_u32()?);
        Ok(Self { cluster, node, nodes, shards, replicas })
    }
}

impl Release {
    /// Returns the bytes.
    pub fn encode(self) -> Bytes {
        let mut body = BytesMut::new();
        body.put_u8(VERSION);
        body.put_u128(self.cluster.0);
        body.freeze()
    }

    /// Reads what [`Release::encode`] returned.
    pub fn decode(mut body: Bytes) -> Result<Self, Malformed> {
        version(&mut body)?;
        let cluster = ClusterId(body.try_get_u128()?);
        end(&body)?;
        Ok(Self { cluster })
    }
}

impl Verdict {
    /// Returns the bytes.
    pub fn encode(&self) -> Bytes {
        let mut body = BytesMut::new();
        body.put_u8(VERSION);
        match self {
            Self::Done => body.put_u8(0),
            Self::Refused(why) => {
                body.put_u8(1);
                put_text(&mut body, why);
            }
            Self::Taken(why) => {
                body.put_u8(2);
                put_text(&mut body, why);
            }
        }
        body.freeze()
    }

    /// Reads what [`Verdict::encode`] returned.
    pub fn decode(mut body: Bytes) -> Result<Self, Malformed> {
        version(&mut body)?;
        let verdict = match body.try_get_u8()? {
            0 => Self::Done,
            1 => Self::Refused(take_text(&mut body)?),
            2 => Self::Taken(take_text(&mut body)?),
            other => return Err(Malformed(format!("a verdict of {other}"))),
        };
        end(&body)?;
        Ok(verdict)
    }
}

fn version(body: &mut Bytes) -> Result<(), Malformed> {
    match body.try_get_u8()? {
        VERSION => Ok(()),
        other => Err(Malformed(format!("a bootstrap message of version {other}"))),
    }
}
