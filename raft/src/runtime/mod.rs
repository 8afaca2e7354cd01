//! The async runtime: tokio, with chance as an input.
//!
//! Chance enters a runtime by three doors, and a seed governs all of them:
//!
//! 1. *Drawn numbers.* openraft draws its election timeouts, and we whatever we need, from the
//!    generator of the task ([`random`]). Each task that is spawned gets a seed of its own, derived
//!    from its parent's, so whatever spawns tasks must itself run under [`with_seed`] or have been
//!    spawned by [`spawn`].
//! 2. *Who wakes first.* tokio's watch channels spread their waiters at random. [`watch`] wakes
//!    them in the order in which they began to wait, for us and for openraft alike.
//! 3. *Who is asked first.* `select!` starts with a random branch unless it says `biased;`, and in
//!    this crate it always does: a test holds it to that.
//!
//! So a simulation (one thread, paused time, the seams simulated) repeats to the byte, and a
//! server, seeded by the system, does not.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use openraft_rt::deterministic_rng::DeterministicRng;
use openraft_rt::{AsyncRuntime, OptionalSend};
use openraft_rt_tokio::TokioRuntime;

pub mod freezer;
pub mod watch;

#[cfg(test)]
mod tests;

use self::freezer::Freezer;

/// tokio, with numbers drawn from the seeds of tasks.
type Seeded = DeterministicRng<TokioRuntime>;

/// The runtime that shards run on: tokio's, but for chance.
pub struct Runtime(Seeded);

/// A task spawned by [`spawn`]. Dropping it detaches the task; `abort` ends it.
pub type Task<T> = tokio::task::JoinHandle<T>;

/// Runs `future` with the randomness of `seed`.
pub fn with_seed<F: Future>(seed: u64, future: F) -> impl Future<Output = F::Output> {
    Seeded::scope(seed, future)
}

/// Spawns a task that has a seed of its own, derived from its parent's.
///
/// # Panics
///
/// Outside of a task that has a seed.
pub fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    <Runtime as AsyncRuntime>::spawn(future)
}

/// Returns the generator of the task that calls.
///
/// # Panics
///
/// Outside of a task that has a seed.
pub fn random() -> impl rand::Rng {
    Seeded::thread_rng()
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runtime").field(&self.0).finish()
    }
}

/// As [`Seeded`] has it, but for the watch channels and what a [`Freezer`] holds.
impl AsyncRuntime for Runtime {
    type JoinError = <Seeded as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = Task<T>;
    type Sleep = <Seeded as AsyncRuntime>::Sleep;
    type Instant = <Seeded as AsyncRuntime>::Instant;
    type TimeoutError = <Seeded as AsyncRuntime>::TimeoutError;
    type Timeout<R, F: Future<Output = R> + OptionalSend> = <Seeded as AsyncRuntime>::Timeout<R, F>;
    type ThreadLocalRng = <Seeded as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <Seeded as AsyncRuntime>::Mpsc;
    type Watch = watch::InOrder;
    type Oneshot = <Seeded as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <Seeded as AsyncRuntime>::Mutex<T>;

    fn spawn<F>(future: F) -> Task<F::Output>
    where
        F: Future + OptionalSend + 'static,
        F::Output: OptionalSend + 'static,
    {
        match Freezer::current() {
            Some(freezer) => Seeded::spawn(freezer.run(future)),
            None => Seeded::spawn(future),
        }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Seeded::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        Seeded::sleep_until(deadline)
    }

    fn timeout<R, F>(duration: Duration, future: F) -> Self::Timeout<R, F>
    where
        F: Future<Output = R> + OptionalSend,
    {
        Seeded::timeout(duration, future)
    }

    fn timeout_at<R, F>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F>
    where
        F: Future<Output = R> + OptionalSend,
    {
        Seeded::timeout_at(deadline, future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        Seeded::is_panic(error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        Seeded::thread_rng()
    }

    fn new(threads: usize) -> Self {
        Self(Seeded::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Seeded::spawn_blocking(work)
    }
}
