//! The replicated core of steadfast.
//!
//! ```text
//!   node       router, identity, bootstrap: all that a process does
//!   shard      one Raft group: propose, read, status        (openraft)
//!   transport  framed connections between nodes
//!   snapshot   one fresh database per snapshot              (sled)
//!   wal        one log for all shards, one fsync per batch
//!   state      apply(entry) -> replies                      (pure)
//!   command    what entries say, and their bytes
//!   clock disk net                                          (seams)
//!   words limits                                            (vocabulary)
//!   mutant     faults on purpose, in builds made for that
//! ```
//!
//! Each layer uses only those below it. A test holds them to it.

pub mod clock;
pub mod command;
pub mod disk;
pub mod limits;
pub mod mutant;
pub mod net;
pub mod node;
pub mod runtime;
pub mod shard;
pub mod snapshot;
pub mod state;
pub mod transport;
pub mod wal;
pub mod words;
