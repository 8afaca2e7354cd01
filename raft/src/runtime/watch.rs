//! Watch channels that wake their waiters in the order in which they began to wait.
//!
//! The value, its versions and its lock are those of tokio's own channel. Only the waiting is
//! ours: tokio spreads the waiters of a channel over eight lists, chosen at random, to spare locks
//! on many threads. Our nodes have one thread, and a simulation must repeat (ADR 16).
//!
//! Senders first change the value and then wake; receivers first get in line and then look at the
//! value. So no change is missed, on any number of threads.

use std::fmt;
use std::sync::Arc;

use openraft_rt::watch::{RecvError, SendError, Watch, WatchReceiver, WatchSender};
use openraft_rt::{OptionalSend, OptionalSync};
use tokio::sync::{Notify, watch as tokio_watch};

pub use tokio_watch::Ref;

/// The channels as openraft knows them.
#[derive(Clone, Copy, Debug)]
pub struct InOrder;

/// The end that sets the value. Clones share it; the channel closes with the last.
#[derive(Debug)]
pub struct Sender<T> {
    // The order of the fields matters: the waiters are woken to find the channel closed.
    value: tokio_watch::Sender<T>,
    line: WakesAtLast,
}

/// The end that reads the value and waits for it to change. Each clone keeps count for itself of
/// what it has seen.
pub struct Receiver<T> {
    value: tokio_watch::Receiver<T>,
    line: Arc<Notify>,
}

/// The line of waiters, as a sender knows it: woken also as the sender is dropped.
#[derive(Clone, Debug, Default)]
struct WakesAtLast(Arc<Notify>);

impl Drop for WakesAtLast {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

/// Returns a channel that holds `value`.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Sender<T> {
    /// Returns a channel that nobody receives from yet.
    pub fn new(value: T) -> Self {
        Self { value: tokio_watch::Sender::new(value), line: WakesAtLast::default() }
    }

    /// Returns a receiver that has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { value: self.value.subscribe(), line: Arc::clone(&self.line.0) }
    }

    /// Returns the value. Hold it shortly: meanwhile nobody can set another.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.value.borrow()
    }

    /// Sets a value and returns the one before, whether or not anybody receives.
    pub fn send_replace(&self, value: T) -> T {
        let before = self.value.send_replace(value);
        self.wake();
        before
    }

    /// Changes the value in place.
    pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.value.send_modify(modify);
        self.wake();
    }

    /// Changes the value in place, and tells the receivers if `modify` says that it did.
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let modified = self.value.send_if_modified(modify);
        if modified {
            self.wake();
        }
        modified
    }

    fn wake(&self) {
        self.line.0.notify_waiters();
    }
}

impl<T> Receiver<T> {
    /// Returns the value. Hold it shortly: meanwhile nobody can set another.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.value.borrow()
    }

    /// Returns the value and counts it as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.value.borrow_and_update()
    }

    /// Waits until there is a value that this receiver has not seen, and counts it as seen.
    ///
    /// # Errors
    ///
    /// If the channel is closed and its last value was seen.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        loop {
            let in_line = self.line.notified();
            // In this order: a value may be set right before the channel closes.
            let closed = self.value.has_changed().is_err();
            if self.value.borrow_and_update().has_changed() {
                return Ok(());
            }
            if closed {
                return Err(RecvError(()));
            }
            in_line.await;
        }
    }

    /// Waits for a value that is `wanted`, returns it and counts it as seen.
    ///
    /// # Errors
    ///
    /// If the channel is closed and its last value is not wanted.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<T, RecvError>
    where
        T: Clone,
    {
        loop {
            if let Some(value) = self.seen_if(&mut wanted) {
                return Ok(value);
            }
            self.changed().await?;
        }
    }
}

impl<T: Clone> Receiver<T> {
    /// Counts the value as seen and returns it, if it is `wanted`.
    fn seen_if(&mut self, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let value = self.value.borrow_and_update();
        wanted(&value).then(|| value.clone())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), line: self.line.clone() }
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), line: Arc::clone(&self.line) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("value", &self.value).finish_non_exhaustive()
    }
}

impl Watch for InOrder {
    type Sender<T: OptionalSend + OptionalSync> = Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(value: T) -> (Sender<T>, Receiver<T>) {
        channel(value)
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<InOrder, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.value.is_closed() {
            return Err(SendError(value));
        }
        drop(self.send_replace(value));
        Ok(())
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        self.send_if_modified(modify)
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn subscribe(&self) -> Receiver<T> {
        self.subscribe()
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<InOrder, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        self.changed().await
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.borrow_and_update()
    }
}
