//! The keys, spread over all shards: each shard has as many as any other, or one less.

use bytes::Bytes;
use steadfast_raft::words::{Key, ShardId, Slot};

use crate::client::KEYS;

/// What the keys of a run are called.
#[derive(Debug)]
pub(crate) struct Keys {
    /// How many shards hold them.
    shards: u32,
    names: Vec<Key>,
}

impl Keys {
    /// Names the keys so that each falls to the shard that is its turn.
    pub(crate) fn new(shards: u32) -> Self {
        let mut keys = Self { shards, names: Vec::new() };
        keys.names = (0..KEYS).map(|key| keys.find_name(key)).collect();
        keys
    }

    fn find_name(&self, key: usize) -> Key {
        let mut names = (0..u32::MAX).map(|tries| Bytes::from(format!("key-{key}-{tries}")));
        let name = names.find_map(|name| {
            let name = Key::try_from(name).expect("a short key");
            (self.owner(Slot::of(&name)) == self.shard(key)).then_some(name)
        });
        name.expect("every shard has slots, and names fall anywhere")
    }

    /// Returns the shard that a founded cluster gives a slot to: each has an equal range.
    fn owner(&self, slot: Slot) -> ShardId {
        let begin = |at: u32| at * u32::from(Slot::COUNT) / self.shards;
        let below = (0..self.shards).filter(|&at| begin(at) <= u32::from(slot.number()));
        // Shard 0 holds no keys.
        ShardId(u32::try_from(below.count()).expect("there are few shards"))
    }

    /// Returns the name of a key.
    pub(crate) fn name(&self, key: usize) -> Key {
        self.names[key].clone()
    }

    /// Returns the shard that a key is in.
    pub(crate) fn shard(&self, key: usize) -> ShardId {
        ShardId(1 + u32::try_from(key).expect("there are few keys") % self.shards)
    }

    /// Returns the keys of a shard.
    pub(crate) fn of(&self, shard: ShardId) -> Vec<usize> {
        (0..KEYS).filter(|&key| self.shard(key) == shard).collect()
    }
}
