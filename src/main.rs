//! The steadfast server and command line.

fn main() {}
