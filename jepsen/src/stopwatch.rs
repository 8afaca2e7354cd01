//! The one door to the clock: monotonic, for the times of a history and for deadlines of searches.

use std::time::{Duration, Instant};

/// Measures how long ago it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts one.
    #[expect(clippy::disallowed_methods, reason = "the one door; histories are of real time")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns how long ago it was started.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
