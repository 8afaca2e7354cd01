//! The public wire types, the Rust client and every CLI command of steadfast.
