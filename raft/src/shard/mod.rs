//! One shard on this node: propose, read, status. openraft lives here and nowhere else.

pub mod log_time;
pub mod types;
