//! What goes over the wire.
//!
//! Fields may be added; none is renamed, removed or given another meaning within `/v1`.

pub mod bulk;
pub mod cluster;
pub mod duration;
pub mod header;
pub mod incr;
pub mod key;
pub mod limits;
pub mod list;
pub mod many;
pub mod number;
pub mod ops;
pub mod problem;
pub mod routing;
pub mod schema;
pub mod slot;
pub mod txn;

use std::time::Duration;

/// Time for a read that names none.
pub const READ_TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
/// Time for a write that names none.
pub const WRITE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1 << 10;
/// Longest value, in bytes. A server may be set to refuse shorter ones.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
