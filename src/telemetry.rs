//! What the process says about itself, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The environment variable that says what to trace, in tracing's own words: `info,openraft=debug`.
pub(crate) const ENV: &str = "STEADFAST_LOG";

/// Starts to write traces. A node says what it does; a command only what is wrong.
///
/// openraft warns of each heartbeat that does not arrive: hundreds a second while a peer is down.
/// The transport says once that the peer is gone, so only openraft's errors are shown.
pub(crate) fn init(node: bool, verbose: u8, no_color: bool) {
    let default = match (node, verbose) {
        (true, 0) => "info,openraft=error,sled=warn",
        (false, 0) => "warn",
        (_, 1) => "info,openraft=error,steadfast=debug,steadfast_raft=debug,steadfast_cli=debug",
        (_, _) => "trace",
    };
    let filter = match std::env::var(ENV) {
        Ok(directives) if verbose == 0 => EnvFilter::new(directives),
        Ok(_) | Err(_) => EnvFilter::new(default),
    };
    let plain = no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(!plain && std::io::stderr().is_terminal())
        .init();
}
