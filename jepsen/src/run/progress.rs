//! A line of what is going on, while it does.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::workload::Counts;

/// Time between two lines on a terminal, and elsewhere.
const INTERVAL: Duration = Duration::from_secs(1);
const INTERVAL_ELSEWHERE: Duration = Duration::from_secs(10);

/// Tells the person something, if someone listens.
pub(super) fn say(quiet: bool, text: &str) {
    if quiet {
        return;
    }
    let clear = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    drop(writeln!(std::io::stderr(), "{clear}{text}"));
}

/// Shows the counts until dropped.
pub(super) async fn show(quiet: bool, counts: &Counts) -> std::convert::Infallible {
    if quiet {
        return std::future::pending().await;
    }
    let terminal = std::io::stderr().is_terminal();
    let interval = if terminal { INTERVAL } else { INTERVAL_ELSEWHERE };
    let began = Instant::now();
    loop {
        tokio::time::sleep(interval).await;
        let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let (ok, fail, info) = (count(&counts.ok), count(&counts.fail), count(&counts.info));
        let line = format!(
            "  {:>4} s  {ok} ok, {fail} failed, {info} in doubt",
            began.elapsed().as_secs()
        );
        let (before, after) = if terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        let mut stderr = std::io::stderr();
        drop(write!(stderr, "{before}{line}{after}").and_then(|()| stderr.flush()));
    }
}
