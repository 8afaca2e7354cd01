//! One shard on this node: propose, read, status. openraft lives here and nowhere else.

pub mod network;
pub mod rpc;
pub mod snapshot_data;
pub mod types;
