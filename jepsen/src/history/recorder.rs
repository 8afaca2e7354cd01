//! Writes a history while it happens.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::{Account, Event, Function, Kind, Mode, Page, Process, Replica, Term, Value};
use crate::stopwatch::Stopwatch;

/// Writes a history, one line an event. All clients share one.
///
/// Place and time are given under one lock, so the order of the lines is the order of the times.
/// What an operation is in between is for the caller to keep: it calls [`Recorder::invoke`] before
/// it sends the first byte, and [`Recorder::complete`] after it read the last.
///
/// A line that cannot be written does not stop the clients: from then on nothing is written, and
/// [`Recorder::finish`] says so.
#[derive(Debug)]
pub struct Recorder {
    began: Stopwatch,
    file: Mutex<Lines<BufWriter<File>>>,
}

#[derive(Debug)]
struct Lines<W: Write> {
    out: W,
    count: u64,
    failed: Option<io::Error>,
}

/// What a client is about to do.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which client: a number that is not used again after an operation that ended in `info`.
    pub process: u64,
    /// What it does.
    pub function: Function,
    /// The key it does it to.
    pub key: Option<String>,
    /// What it writes.
    pub value: Value,
    /// What a read asks for.
    pub mode: Option<Mode>,
    /// How long the key is to live.
    pub ttl_ms: Option<u64>,
    /// The node it asks.
    pub node: Option<u32>,
    /// The version that it counts on.
    pub counts_on: Option<u64>,
    /// What is to be in accounts.
    pub accounts: Vec<Account>,
}

/// How an operation ended.
#[derive(Clone, Debug)]
pub enum End {
    /// It was done.
    Ok(Answer),
    /// It was certainly not done, and never will be: why.
    Fail(String),
    /// The same, for its condition does not hold: why, and what the key is instead.
    Refused(String, Answer),
    /// It may have been done, or may be yet: why.
    Info(String),
}

/// What the answer says. `value` is what was read, or what was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What was read, or what was written.
    pub value: Value,
    /// What the answer promises, if it is one to a read.
    pub mode: Option<Mode>,
    /// How long the key still lives.
    pub ttl_ms: Option<u64>,
    /// The node whose state answered.
    pub node: Option<u32>,
    /// The key's shard.
    pub shard: Option<u32>,
    /// The version of the key that was read, or that was made; of a delete that found nothing, none.
    pub revision: Option<u64>,
    /// The shard's count of mutations as of the answer.
    pub applied: Option<u64>,
    /// The term of the answer.
    pub term: Option<Term>,
    /// The shard's own clock as of the answer, in Unix milliseconds.
    pub log_time_ms: Option<u64>,
    /// How old the answer is at most, in milliseconds, as it says itself.
    pub staleness_ms: Option<u64>,
    /// What a page of a list says beside its keys.
    pub page: Option<Page>,
    /// What is in accounts that were read.
    pub accounts: Vec<Account>,
}

/// An operation that has begun, and is to be completed.
#[must_use = "complete it, or leave it open on purpose: then its process must not be used again"]
#[derive(Debug)]
pub struct Begun(Call);

impl Recorder {
    /// Begins a history in a new file. Its time begins now.
    pub fn create(path: &Path) -> io::Result<Self> {
        let out = BufWriter::with_capacity(1 << 16, File::create_new(path)?);
        let file = Mutex::new(Lines { out, count: 0, failed: None });
        Ok(Self { began: Stopwatch::start(), file })
    }

    /// Notes that an operation begins. To be called before its first byte is sent.
    pub fn invoke(&self, call: Call) -> Begun {
        let event = begun(&call, Kind::Invoke, call.value.clone());
        let (node, mode, ttl_ms, revision) = (call.node, call.mode, call.ttl_ms, call.counts_on);
        let accounts = call.accounts.clone();
        self.append(Event { node, mode, ttl_ms, revision, accounts, ..event });
        Begun(call)
    }

    /// Notes how an operation ended. To be called once the last byte of its answer was read.
    pub fn complete(&self, Begun(call): Begun, end: End) {
        let event = match end {
            End::Ok(answer) => answered(begun(&call, Kind::Ok, answer.value.clone()), &answer),
            End::Refused(error, answer) => {
                let event = begun(&call, Kind::Fail, call.value.clone());
                Event { error: Some(error), ..answered(event, &answer) }
            }
            End::Fail(error) => {
                Event { error: Some(error), ..begun(&call, Kind::Fail, call.value.clone()) }
            }
            End::Info(error) => {
                Event { error: Some(error), ..begun(&call, Kind::Info, call.value.clone()) }
            }
        };
        self.append(event);
    }

    /// Notes what was broken or repaired, and hands all lines so far to the operating system.
    pub fn nemesis(&self, kind: Kind, function: Function, fault: serde_json::Value) {
        let event = blank(Process::Nemesis, kind, function);
        self.append(Event { fault: Some(fault), ..event });
        self.lines().flush();
    }

    /// Notes what the replicas of a shard said of their state.
    pub fn compare(&self, shard: u32, replicas: Vec<Replica>) {
        let event = blank(Process::Observer, Kind::Info, Function::Compare);
        self.append(Event { shard: Some(shard), replicas: Some(replicas), ..event });
    }

    /// Marks the end.
    pub fn end(&self) {
        self.append(blank(Process::Observer, Kind::Info, Function::End));
    }

    /// Notes an event: place and time are set here.
    pub fn append(&self, event: Event) {
        let mut lines = self.lines();
        // Under the lock, so that the order of the lines is that of the times.
        let time_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        lines.append(Event { time_ns, ..event });
    }

    /// Writes what is left and returns the count of lines, or why the history is incomplete.
    pub fn finish(&self) -> io::Result<u64> {
        let mut lines = self.lines();
        lines.flush();
        match lines.failed.take() {
            None => Ok(lines.count),
            Some(error) => Err(error),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines<BufWriter<File>>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write> Lines<W> {
    fn append(&mut self, event: Event) {
        let event = Event { index: self.count, ..event };
        self.attempt(|out| {
            serde_json::to_writer(&mut *out, &event)?;
            out.write_all(b"\n")
        });
        self.count += 1;
    }

    fn flush(&mut self) {
        self.attempt(W::flush);
    }

    /// Does it, unless something failed before: a history with a hole would be worse than a short
    /// one.
    fn attempt(&mut self, work: impl FnOnce(&mut W) -> io::Result<()>) {
        if self.failed.is_none() {
            self.failed = work(&mut self.out).err();
        }
    }
}

fn blank(process: Process, kind: Kind, function: Function) -> Event {
    Event {
        index: 0,
        time_ns: 0,
        process,
        kind,
        function,
        key: None,
        value: Value::Null,
        mode: None,
        ttl_ms: None,
        node: None,
        shard: None,
        revision: None,
        applied: None,
        term: None,
        log_time_ms: None,
        staleness_ms: None,
        error: None,
        fault: None,
        replicas: None,
        page: None,
        accounts: Vec::new(),
    }
}

fn answered(event: Event, answer: &Answer) -> Event {
    Event {
        mode: answer.mode,
        ttl_ms: answer.ttl_ms,
        node: answer.node,
        shard: answer.shard,
        revision: answer.revision,
        applied: answer.applied,
        term: answer.term,
        log_time_ms: answer.log_time_ms,
        staleness_ms: answer.staleness_ms,
        page: answer.page.clone(),
        accounts: answer.accounts.clone(),
        ..event
    }
}

fn begun(call: &Call, kind: Kind, value: Value) -> Event {
    let event = blank(Process::Client(call.process), kind, call.function);
    Event { key: call.key.clone(), value, ..event }
}
