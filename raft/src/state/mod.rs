//! The contents of one shard, as a value.
