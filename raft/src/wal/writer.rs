//! The writer: drains the queue, writes one batch, syncs it, calls back.

use std::fmt;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Done;
use super::item::Item;
use super::record::Record;
use super::tail::Tail;
use crate::limits;
use crate::mutant::Mutant;
use crate::runtime::watch;
use crate::words::GroupId;

/// Owns the files of a log. Runs as a thread in production and as a task in simulation, until the
/// log is closed or its last handle is dropped; then it writes and syncs what is queued, and a
/// marker.
pub struct Writer {
    tail: Tail,
    queue: mpsc::Receiver<Item>,
    /// An item that did not go with the last batch.
    held: Option<Item>,
    records: Vec<Record>,
    /// Bytes that are written and still count as queued, until the room is measured without them.
    written_bytes: usize,
    waiting: Vec<Done>,
    pressure: watch::Sender<Vec<GroupId>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("sequence", &self.tail.sequence).finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn new(
        tail: Tail,
        queue: mpsc::Receiver<Item>,
        pressure: watch::Sender<Vec<GroupId>>,
    ) -> Self {
        let (records, waiting) = (Vec::new(), Vec::new());
        Self { tail, queue, held: None, records, written_bytes: 0, waiting, pressure }
    }

    /// Runs in a thread of its own. A write or sync that fails aborts the process: nobody knows
    /// what is on disk then, and to try again would only pretend to (invariant 9).
    ///
    /// # Panics
    ///
    /// If the system has no thread to give.
    pub fn run_thread(self) -> JoinHandle<()> {
        let run = || match self.run() {
            Ok(()) => tracing::info!("the log is closed"),
            Err(error) => {
                tracing::error!(
                    %error,
                    "the log cannot be written; what was not acknowledged may be lost; aborting: \
                     check the disk, then start again"
                );
                std::process::abort();
            }
        };
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(run).expect("the system has a thread for the log")
    }

    fn run(mut self) -> io::Result<()> {
        loop {
            let item = match self.ready()? {
                Some(item) => item,
                None => match self.queue.blocking_recv() {
                    Some(item) => item,
                    None => return self.finish(),
                },
            };
            self.write(item)?;
            self.settle()?;
        }
    }

    /// Runs as a task. `sync_latency` passes between each write that is synced and its sync, so
    /// that a simulated crash can fall between.
    ///
    /// # Errors
    ///
    /// If a write or sync fails: the simulated node dies of it. No callback runs after that.
    pub async fn run_task(mut self, sync_latency: impl Fn() -> Duration) -> io::Result<()> {
        loop {
            let item = match self.ready()? {
                Some(item) => item,
                None => match self.queue.recv().await {
                    Some(item) => item,
                    None => return self.finish(),
                },
            };
            self.write(item)?;
            if !self.waiting.is_empty() {
                tokio::time::sleep(sync_latency()).await;
            }
            self.settle()?;
        }
    }

    /// Returns the next item, if there is one. While there is none, prepares the reserve.
    fn ready(&mut self) -> io::Result<Option<Item>> {
        loop {
            if let Some(item) = self.held.take() {
                return Ok(Some(item));
            }
            if let Ok(item) = self.queue.try_recv() {
                return Ok(Some(item));
            }
            if !self.tail.segments.prepare()? {
                self.tail.measure()?;
                return Ok(None);
            }
        }
    }

    /// Does what `item` says: writes it, together with the records queued behind it.
    fn write(&mut self, item: Item) -> io::Result<()> {
        match item {
            Item::Record(record, done) => {
                self.written_bytes = self.gather(record, done);
                self.tail.write(&self.records)?;
                self.records.clear();
            }
            Item::Recall(group, range, answer) => {
                // Nobody waits for an answer any more if the shard is gone.
                drop(answer.send(self.tail.recall(group, range)));
            }
            Item::Measure => {}
            Item::Close => self.queue.close(),
        }
        Ok(())
    }

    /// Takes records off the queue while they fit into one batch. Returns their bytes.
    fn gather(&mut self, record: Record, done: Option<Done>) -> usize {
        let bytes_max = self.tail.batch_bytes_max();
        let mut bytes = record.bytes();
        self.records.push(record);
        self.waiting.extend(done);
        while let Ok(item) = self.queue.try_recv() {
            match item {
                Item::Record(record, done) if bytes + record.bytes() <= bytes_max => {
                    bytes += record.bytes();
                    self.records.push(record);
                    self.waiting.extend(done);
                }
                Item::Record(..) | Item::Recall(..) | Item::Measure | Item::Close => {
                    self.held = Some(item);
                    break;
                }
            }
        }
        bytes
    }

    /// Syncs if anybody waits for it, calls back, and publishes where the log stands.
    ///
    /// Segments that are no longer needed wait for a sync, too (invariant 4): at the bound nobody
    /// may append, so nobody else would ever ask for one.
    fn settle(&mut self) -> io::Result<()> {
        if Mutant::AckBeforeFsync.is_on() {
            self.waiting.drain(..).for_each(|done| done());
            if 32 <= self.tail.sequence.0 - self.tail.synced.0 {
                self.tail.sync()?;
            }
        } else if !self.waiting.is_empty() || self.tail.retains() {
            self.tail.sync()?;
            self.waiting.drain(..).for_each(|done| done());
            if self.held.is_none() && self.queue.is_empty() {
                self.tail.mark()?;
            }
        }
        self.keep_up()?;
        self.tail.measure()?;
        self.tail.gauges.dequeued(std::mem::take(&mut self.written_bytes));
        let pressed = self.tail.pressed();
        self.pressure.send_if_modified(|before| {
            let differs = *before != pressed;
            *before = pressed;
            differs
        });
        Ok(())
    }

    /// Prepares the next segment twice as fast as this one is written, so that it is ready in time
    /// and the reserve is more than a promise of the disk.
    fn keep_up(&mut self) -> io::Result<()> {
        let parts = 1 + 2 * self.written_bytes / limits::SEGMENT_FILL_BYTES;
        for _ in 0..parts {
            if !self.tail.segments.prepare()? {
                break;
            }
        }
        Ok(())
    }

    /// Ends the log for this time: all is durable, and a marker says so.
    fn finish(mut self) -> io::Result<()> {
        self.tail.sync()?;
        self.tail.mark()?;
        self.tail.sync()
    }
}
