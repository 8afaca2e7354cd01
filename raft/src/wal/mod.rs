//! The log: one for all shards of a node, one fsync per batch.
