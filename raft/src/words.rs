//! The words of the domain: ids, units and positions, each with one meaning.
//!
//! Every id and every unit is a type of its own, so that a shard is never taken for a node and
//! milliseconds never for seconds. Each prints itself short (`n1`, `s3`, `7@5.2`), which makes
//! log lines and test scripts readable for free.

use std::fmt;

use bytes::Bytes;

use crate::limits;

/// A server process, for the life of its cluster. Ids start at 1 and are never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// A shard: one part of the key space, kept by one Raft group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u32);

/// One Raft group: a shard and the attempt at founding it.
///
/// A group that could not be founded is given up and founded anew under the next attempt; the
/// number keeps what is left of the earlier one from being taken for this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    /// The shard that the group keeps.
    pub shard: ShardId,
    /// Counts from 1.
    pub attempt: u32,
}

/// One node's copy of one shard, allocated once: `node id << 32 | counter`.
///
/// A replica that left its group and comes back with an empty log must be a stranger to it, so
/// this, and never the bare node id, is what Raft votes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

/// One of the [`Slot::COUNT`] hash buckets: the unit in which keys move between shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

/// The version of a slot map. Grows with each change of ownership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A count of the mutations that a shard has applied, and the version of a key: the count right
/// after the mutation that wrote it. Per key it only grows (invariant 11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A time of a shard's own clock, in Unix milliseconds. It comes from log entries alone and never
/// decreases (invariant 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogTime(pub u64);

/// How long a key lives, in milliseconds. At least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TtlMs(pub u64);

/// A cluster, drawn at random when it is founded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

/// A data directory, drawn at random when it is first used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId(pub u128);

/// The number of a start of a node on its data directory. Counts from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boot(pub u64);

/// The number of a batch in a node's log. Grows by one with each batch, for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// A Raft term and the replica that leads in it. Two replicas may lead in one term number, so the
/// number alone identifies nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// The term number.
    pub number: u64,
    /// The replica that leads, or wants to.
    pub leader: ReplicaId,
}

/// The position of an entry in a shard's log. Ordered by term, then index, as Raft orders logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// The term in which the entry was proposed.
    pub term: Term,
    /// Counts from 0, as openraft does: entry 0 is the first membership.
    pub index: u64,
}

/// A replica's vote: the term it is in, and whether a majority has confirmed its leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote {
    /// The term voted for.
    pub term: Term,
    /// Whether the leader of `term` was elected.
    pub committed: bool,
}

/// A key: 1 to [`limits::KEY_BYTES_MAX`] bytes, any bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

/// A value: at most [`limits::VALUE_BYTES_MAX`] bytes, any bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Bytes);

/// Why some bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It has no bytes.
    #[error("the key is empty; a key has 1 to {} bytes", limits::KEY_BYTES_MAX)]
    Empty,
    /// It has too many.
    #[error("the key has {bytes} bytes; a key has 1 to {} bytes", limits::KEY_BYTES_MAX)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Why some bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value has {bytes} bytes; a value has at most {}", limits::VALUE_BYTES_MAX)]
pub struct ValueTooLong {
    /// Its length.
    pub bytes: usize,
}

impl ShardId {
    /// The shard that keeps the cluster's map and no keys.
    pub const META: Self = Self(0);
}

impl GroupId {
    /// Returns the first attempt at founding `shard`.
    pub const fn first(shard: ShardId) -> Self {
        Self { shard, attempt: 1 }
    }

    /// Returns the form in frames and log records: `shard << 32 | attempt`.
    pub const fn to_bits(self) -> u64 {
        (self.shard.0 as u64) << 32 | self.attempt as u64
    }

    /// Reads what [`GroupId::to_bits`] returned.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
    pub const fn from_bits(bits: u64) -> Self {
        Self { shard: ShardId((bits >> 32) as u32), attempt: bits as u32 }
    }
}

impl ReplicaId {
    /// Returns the replica that `node` was given under `counter`.
    pub const fn new(node: NodeId, counter: u32) -> Self {
        Self((node.0 as u64) << 32 | counter as u64)
    }

    /// Returns the node that the replica lives on.
    pub const fn node(self) -> NodeId {
        NodeId((self.0 >> 32) as u32)
    }
}

impl Slot {
    /// The number of slots. Fixed for ever: clients hash with it.
    pub const COUNT: u16 = 16_384;

    /// Returns the slot of `key`, as Redis Cluster computes it: CRC16/XMODEM of the key, or of the
    /// first non-empty `{tag}` in it, so that related keys can be kept together.
    pub fn of(key: &Key) -> Self {
        Self::of_bytes(key.as_bytes())
    }

    /// Returns the slot of the key that has these bytes.
    pub fn of_bytes(key: &[u8]) -> Self {
        const CRC16: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_XMODEM);
        Self(CRC16.checksum(hash_tag(key)) % Self::COUNT)
    }

    /// Returns the slot with this number, if there is one.
    pub fn new(number: u16) -> Option<Self> {
        (number < Self::COUNT).then_some(Self(number))
    }

    /// Returns its number, below [`Slot::COUNT`].
    pub fn number(self) -> u16 {
        self.0
    }
}

/// Returns the part of `key` that is hashed.
fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&byte| byte == b'}') {
        None | Some(0) => key,
        Some(close) => &rest[..close],
    }
}

impl Key {
    /// Returns the bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the key's own buffer.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl TryFrom<Bytes> for Key {
    type Error = KeyError;

    fn try_from(bytes: Bytes) -> Result<Self, KeyError> {
        match bytes.len() {
            0 => Err(KeyError::Empty),
            len if limits::KEY_BYTES_MAX < len => Err(KeyError::TooLong { bytes: len }),
            _ => Ok(Self(bytes)),
        }
    }
}

impl Value {
    /// Returns the bytes of the value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the value's own buffer.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl TryFrom<Bytes> for Value {
    type Error = ValueTooLong;

    fn try_from(bytes: Bytes) -> Result<Self, ValueTooLong> {
        if limits::VALUE_BYTES_MAX < bytes.len() {
            return Err(ValueTooLong { bytes: bytes.len() });
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempt {
            1 => write!(f, "{}", self.shard),
            attempt => write!(f, "{}#{attempt}", self.shard),
        }
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half of 64 bits")]
        let counter = self.0 as u32;
        write!(f, "{}/{counter}", self.node())
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Prints `term.node`, as `Steadfast-Term` does: `5.2` is term 5 led by node 2.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.number, self.leader.node().0)
    }
}

/// Prints `index@term`: `7@5.2`.
impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// Prints the term, with a `?` while no majority has confirmed its leader.
impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.term, if self.committed { "" } else { "?" })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Shows short values whole and long ones by their length: a trace is no place for a megabyte.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= 32 {
            write!(f, "{}", self.0.escape_ascii())
        } else {
            write!(f, "({} bytes)", self.0.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn key(text: &str) -> Key {
        Key::try_from(Bytes::copy_from_slice(text.as_bytes())).expect("a short key")
    }

    #[track_caller]
    fn check_slot(text: &str, number: u16) {
        assert_eq!(Slot::of(&key(text)).number(), number);
    }

    #[test]
    fn slots_are_those_of_redis_cluster() {
        check_slot("123456789", 0x31c3 % Slot::COUNT);
        check_slot("foo", 12182);
        check_slot("{foo}.bar", 12182);
        check_slot("bar", 5061);
    }

    #[test]
    fn only_the_first_non_empty_tag_is_hashed() {
        assert_eq!(Slot::of(&key("{user}.name")), Slot::of(&key("{user}.mail")));
        assert_eq!(Slot::of(&key("a{user}b{x}")), Slot::of(&key("{user}")));
        assert_ne!(Slot::of(&key("{}whole")), Slot::of(&key("{}other")));
        assert_ne!(Slot::of(&key("{open.a")), Slot::of(&key("{open.b")));
    }

    #[test]
    fn keys_and_values_keep_their_bounds() {
        assert_eq!(Key::try_from(Bytes::new()), Err(KeyError::Empty));
        let long = Bytes::from(vec![0; limits::KEY_BYTES_MAX + 1]);
        assert_eq!(Key::try_from(long.clone()), Err(KeyError::TooLong { bytes: long.len() }));
        assert!(Key::try_from(long.slice(1..)).is_ok());
        let long = Bytes::from(vec![0; limits::VALUE_BYTES_MAX + 1]);
        assert_eq!(Value::try_from(long.clone()), Err(ValueTooLong { bytes: long.len() }));
        assert!(Value::try_from(long.slice(1..)).is_ok());
    }

    #[test]
    fn ids_print_short_and_survive_their_bits() {
        let replica = ReplicaId::new(NodeId(2), 1);
        let position = LogPosition { term: Term { number: 5, leader: replica }, index: 7 };
        assert_eq!(position.to_string(), "7@5.2");
        assert_eq!(replica.to_string(), "n2/1");
        assert_eq!(replica.0, 2 << 32 | 1);
        let group = GroupId { shard: ShardId(3), attempt: 2 };
        assert_eq!(group.to_string(), "s3#2");
        assert_eq!(GroupId::from_bits(group.to_bits()), group);
    }
}
