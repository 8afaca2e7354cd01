//! Stops a process for a while and lets it go on: SIGSTOP, a hypervisor that migrates, a disk that
//! swaps. For simulations, where a process is the tasks of one node.
//!
//! A frozen task is not polled. Time passes meanwhile, connections and the disk stay as they are,
//! and once thawed the process finds that it is late: the leader that it was may have a successor.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

tokio::task_local! {
    static FREEZER: Freezer;
}

/// Holds a process: all tasks that were spawned under [`Freezer::run`], and those that they spawn.
/// Clones hold the same process.
#[derive(Clone, Debug, Default)]
pub struct Freezer(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    frozen: bool,
    /// The tasks that had something to do meanwhile, in that order.
    held: Vec<Waker>,
}

impl Freezer {
    /// Returns the freezer of the task that calls, if it has one.
    pub(super) fn current() -> Option<Self> {
        FREEZER.try_with(Self::clone).ok()
    }

    /// Runs `future` as part of the process.
    pub async fn run<F: Future>(self, future: F) -> F::Output {
        let freezer = self.clone();
        let mut future = pin!(future);
        let running = std::future::poll_fn(move |cx| {
            if freezer.holds(cx) { Poll::Pending } else { future.as_mut().poll(cx) }
        });
        FREEZER.scope(self, running).await
    }

    /// Stops the process, between two polls of its tasks.
    pub fn freeze(&self) {
        self.state().frozen = true;
    }

    /// Lets the process go on.
    pub fn thaw(&self) {
        let held = {
            let mut state = self.state();
            state.frozen = false;
            std::mem::take(&mut state.held)
        };
        held.into_iter().for_each(Waker::wake);
    }

    /// Returns whether the process is stopped.
    pub fn is_frozen(&self) -> bool {
        self.state().frozen
    }

    /// Returns whether a task must not go on. It is then woken by the thaw.
    fn holds(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        if state.frozen && !state.held.iter().any(|held| held.will_wake(cx.waker())) {
            state.held.push(cx.waker().clone());
        }
        state.frozen
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
