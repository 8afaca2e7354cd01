//! The public wire types, the Rust client and every CLI command of steadfast.
//!
//! ```text
//!   command   what was typed -> an Output, one file per command
//!   output    an Output -> stdout, as a table, as JSON or raw
//!   client    typed calls over HTTP; never retries what may have happened
//!   api       what goes over the wire: JSON bodies, problems, keys in URLs
//! ```
//!
//! Each layer uses only those below it. The server uses `api` too, so that the two ends cannot
//! disagree.

pub mod api;
pub mod client;
pub mod command;
pub mod exit;
pub mod output;
