//! The one door to time (seam). Nothing else in the workspace reads the wall clock.
//!
//! | clock     | counts during suspend | can be set | used for                                  |
//! |-----------|-----------------------|------------|-------------------------------------------|
//! | wall      | yes                   | yes        | samples for log time; deadlines in exports |
//! | boottime  | yes                   | no         | how long ago something was seen (D5, D6)  |
//! | monotonic | no                    | no         | with boottime: has the machine slept?     |
//!
//! Deadlines and timers are tokio's, which simulations pause.

use std::fmt;
use std::time::Duration;

/// Reads the clocks of a node.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the wall clock, in Unix milliseconds.
    fn wall_ms(&self) -> u64;
    /// Returns the time since some fixed instant, including time spent suspended.
    fn boottime(&self) -> Duration;
    /// Returns the time since some fixed instant, excluding time spent suspended.
    fn monotonic(&self) -> Duration;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall_ms(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "this is the one door")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn boottime(&self) -> Duration {
        read(rustix::time::ClockId::Boottime)
    }

    fn monotonic(&self) -> Duration {
        read(rustix::time::ClockId::Monotonic)
    }
}

fn read(clock: rustix::time::ClockId) -> Duration {
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

/// Clocks that follow tokio's, so that a test that pauses time pauses them too.
///
/// The wall clock is off by `skew_ms` and may run at another rate, as those of real machines do.
/// [`SimClock::sleep`] lets the machine seem to have been suspended.
#[derive(Debug)]
pub struct SimClock {
    origin: tokio::time::Instant,
    origin_wall_ms: u64,
    /// Milliseconds that the wall clock is ahead.
    pub skew_ms: std::sync::atomic::AtomicI64,
    slept_ms: std::sync::atomic::AtomicU64,
}

impl SimClock {
    /// Returns clocks that start now, at this wall time. Call it inside the runtime.
    pub fn new(origin_wall_ms: u64) -> Self {
        let origin = tokio::time::Instant::now();
        Self { origin, origin_wall_ms, skew_ms: 0.into(), slept_ms: 0.into() }
    }

    /// Lets the machine find that it was suspended for so long: timers have stood still, the
    /// boottime has not.
    pub fn sleep(&self, ms: u64) {
        self.slept_ms.fetch_add(ms, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> u64 {
        let elapsed_ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let skew_ms = self.skew_ms.load(std::sync::atomic::Ordering::Relaxed);
        self.origin_wall_ms.saturating_add(elapsed_ms).saturating_add_signed(skew_ms)
    }

    fn boottime(&self) -> Duration {
        let slept_ms = self.slept_ms.load(std::sync::atomic::Ordering::Relaxed);
        self.origin.elapsed() + Duration::from_millis(slept_ms)
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_all_three_clocks() {
        let clock = SystemClock;
        assert!(clock.wall_ms() > 1_700_000_000_000);
        let monotonic = clock.monotonic();
        assert!(Duration::ZERO < monotonic);
        assert!(monotonic <= clock.boottime());
    }
}
