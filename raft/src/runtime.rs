//! The async runtime: tokio, with randomness as an input.
//!
//! openraft draws its election timeouts from the runtime's generator. [`Runtime`] seeds that
//! generator and hands a seed of its own to each task it spawns, so that a simulation repeats and
//! a server, seeded by the system, does not. The seed lives in the task: whatever spawns tasks
//! must itself run under [`with_seed`] or have been spawned by [`spawn`].

use std::future::Future;

use openraft_rt::AsyncRuntime;
use openraft_rt::deterministic_rng::DeterministicRng;
use openraft_rt_tokio::TokioRuntime;

/// The runtime that shards run on.
pub type Runtime = DeterministicRng<TokioRuntime>;

/// A task spawned by [`spawn`]. Dropping it detaches the task; `abort` ends it.
pub type Task<T> = tokio::task::JoinHandle<T>;

/// Runs `future` with the randomness of `seed`.
pub fn with_seed<F: Future>(seed: u64, future: F) -> impl Future<Output = F::Output> {
    Runtime::scope(seed, future)
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
    Runtime::spawn(future)
}

/// Returns the generator of the task that calls.
///
/// # Panics
///
/// Outside of a task that has a seed.
pub fn random() -> impl rand::Rng {
    Runtime::thread_rng()
}
