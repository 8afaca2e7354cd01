//! Many ask the same question, one answer serves all of them.
//!
//! Whoever answers first takes those that wait, and only then begins to find the answer out: who
//! comes meanwhile waits for the next one. So an answer is never older than its question.

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::limits;

/// The asking end.
#[derive(Clone, Debug)]
pub struct Asking<T> {
    queue: mpsc::Sender<oneshot::Sender<T>>,
}

/// The answering end.
#[derive(Debug)]
pub struct Answering<T> {
    queue: mpsc::Receiver<oneshot::Sender<T>>,
}

/// Those that wait for one answer.
#[derive(Debug)]
pub struct Waiting<T>(Vec<oneshot::Sender<T>>);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Too many wait already.
    Overloaded,
    /// Nobody answers any more.
    Closed,
}

/// Returns the two ends. At most [`limits::READS_WAITING_MAX`] wait.
pub fn gather<T>() -> (Asking<T>, Answering<T>) {
    let (sender, queue) = mpsc::channel(limits::READS_WAITING_MAX);
    (Asking { queue: sender }, Answering { queue })
}

/// A question that is asked.
#[derive(Debug)]
pub struct Asked<T>(oneshot::Receiver<T>);

impl<T> Asking<T> {
    /// Asks.
    pub fn ask(&self) -> Result<Asked<T>, Unanswered> {
        let (waiter, answer) = oneshot::channel();
        match self.queue.try_send(waiter) {
            Ok(()) => Ok(Asked(answer)),
            Err(TrySendError::Full(_)) => Err(Unanswered::Overloaded),
            Err(TrySendError::Closed(_)) => Err(Unanswered::Closed),
        }
    }
}

impl<T> Asked<T> {
    /// Waits for an answer that is found after the question was asked.
    pub async fn answer(self) -> Result<T, Unanswered> {
        self.0.await.map_err(|_closed| Unanswered::Closed)
    }
}

impl<T: Clone> Answering<T> {
    /// Waits until somebody asks, and takes all that do. `None`: nobody will.
    pub async fn next(&mut self) -> Option<Waiting<T>> {
        let mut waiters = Vec::new();
        match self.queue.recv_many(&mut waiters, limits::READS_WAITING_MAX).await {
            0 => None,
            _ => Some(Waiting::new(waiters)),
        }
    }

    /// Takes all that ask by now, if there are any.
    pub fn take(&mut self) -> Option<Waiting<T>> {
        let mut waiters = Vec::new();
        while let Ok(waiter) = self.queue.try_recv() {
            waiters.push(waiter);
        }
        Some(Waiting::new(waiters)).filter(|waiting| !waiting.0.is_empty())
    }

    /// Whether nobody asks.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Answers nobody any more.
    pub fn close(&mut self) {
        self.queue.close();
        while self.queue.try_recv().is_ok() {}
    }
}

impl<T: Clone> Waiting<T> {
    /// Leaves those out that have given up.
    fn new(mut waiters: Vec<oneshot::Sender<T>>) -> Self {
        waiters.retain(|waiter| !waiter.is_closed());
        Self(waiters)
    }

    /// Returns how many wait.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Answers all of them.
    pub fn answer(self, answer: &T) {
        for waiter in self.0 {
            // It may have given up.
            waiter.send(answer.clone()).ok();
        }
    }
}
