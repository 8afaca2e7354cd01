//! Operations: an invocation and what became of it, as one thing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::event::{Account, Event, Function, Kind, Mode, Process, Value};
use super::recorder::Answer;

/// A whole history, as operations in the order of their invocations.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What clients did.
    pub operations: Vec<Operation>,
    /// The names of the keys; operations know them by their place here.
    pub keys: Vec<String>,
    /// What the nemesis did, event by event.
    pub faults: Vec<Event>,
    /// What replicas said of their states, event by event.
    pub comparisons: Vec<Event>,
    /// How many events there are.
    pub events: u64,
    /// When the last of them was noted.
    pub last_ns: u64,
    /// How many bytes of an unfinished last line were cut.
    pub cut_bytes: Option<usize>,
    /// Whether its last line is the mark of its end.
    pub ended: bool,
}

/// A key, by its place in [`History::keys`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

/// Something a client did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which client.
    pub process: u64,
    /// What it did.
    pub function: Function,
    /// The key it did it to.
    pub key: Option<KeyId>,
    /// What it was to write.
    pub value: Value,
    /// What it asked for, if it is a read.
    pub mode: Option<Mode>,
    /// How long the key was to live.
    pub ttl_ms: Option<u64>,
    /// The node that was asked.
    pub node: Option<u32>,
    /// The version that a compare-and-swap counts on, if it is told; none is told of a key that is to
    /// be absent.
    pub counts_on: Option<u64>,
    /// What was to be in accounts.
    pub accounts: Vec<Account>,
    /// When it was invoked.
    pub call: Moment,
    /// How it ended.
    pub outcome: Outcome,
}

/// A place in a history, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The place. No two events share one, so it tells what came first where times are equal.
    pub index: u64,
    /// Nanoseconds since the run began.
    pub time_ns: u64,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, before this moment.
    Ok(Moment, Box<Answer>),
    /// It was not done and never will be. If it was a condition that did not hold: what the key is
    /// instead, which is as good as a read.
    Fail(Moment, Box<str>, Option<Box<Answer>>),
    /// It may have been done, or may be at any time since it was invoked: its client stopped
    /// waiting then, or the history ends before it did.
    Open(Option<Moment>, Box<str>),
}

impl Operation {
    /// The answer, if it was done.
    pub fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Ok(_, answer) => Some(answer),
            Outcome::Fail(..) | Outcome::Open(..) => None,
        }
    }

    /// What was answered and when: if it was done, or if its condition was found not to hold.
    pub fn told(&self) -> Option<(Moment, &Answer)> {
        match &self.outcome {
            Outcome::Ok(moment, answer) | Outcome::Fail(moment, _, Some(answer)) => {
                Some((*moment, answer))
            }
            Outcome::Fail(_, _, None) | Outcome::Open(..) => None,
        }
    }

    /// The place by which it took effect, if it did: `u64::MAX` for one that is open.
    pub fn end_index(&self) -> u64 {
        match &self.outcome {
            Outcome::Ok(moment, _) | Outcome::Fail(moment, ..) => moment.index,
            Outcome::Open(..) => u64::MAX,
        }
    }

    /// When its client stopped waiting.
    pub fn end(&self) -> Option<Moment> {
        match &self.outcome {
            Outcome::Ok(moment, _) | Outcome::Fail(moment, ..) => Some(*moment),
            Outcome::Open(moment, _) => *moment,
        }
    }

    /// Why it was not done, or why nobody knows.
    pub fn error(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Ok(..) => None,
            Outcome::Fail(_, error, _) | Outcome::Open(_, error) => Some(error),
        }
    }
}

impl History {
    /// The name of a key.
    pub fn key(&self, KeyId(id): KeyId) -> &str {
        &self.keys[id as usize]
    }
}

/// Events do not make up operations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// A place is left out or taken twice.
    #[error("index {index} where {expected} is due: lines are missing, doubled or out of order")]
    Index {
        /// What it says.
        index: u64,
        /// What it had to say.
        expected: u64,
    },
    /// The clock went back.
    #[error("its time {time_ns} is before that of the line above, {before_ns}")]
    Time {
        /// What it says.
        time_ns: u64,
        /// What the line above says.
        before_ns: u64,
    },
    /// A client does two things at a time.
    #[error("process {process} invokes while its last operation has not ended")]
    Busy {
        /// Which client.
        process: u64,
    },
    /// A client goes on although one of its operations may still take effect.
    #[error("process {process} invokes although an operation of it ended in info")]
    Crashed {
        /// Which client.
        process: u64,
    },
    /// An end without a beginning.
    #[error("process {process} completes what it did not invoke")]
    Idle {
        /// Which client.
        process: u64,
    },
    /// An end of something else than what began.
    #[error("process {process} completes another operation than the one it invoked")]
    Mismatch {
        /// Which client.
        process: u64,
    },
    /// More keys than are counted.
    #[error("more than 2^32 keys")]
    Keys,
}

/// Makes operations of events, one by one.
#[derive(Debug, Default)]
pub struct Pairing {
    history: History,
    ids: BTreeMap<String, KeyId>,
    clients: BTreeMap<u64, Client>,
}

/// What a client is up to.
#[derive(Clone, Copy, Debug)]
enum Client {
    /// It waits for the end of the operation at this place.
    Waits(usize),
    /// Its last operation ended.
    Idle,
    /// Its last operation may never end.
    Crashed,
}

impl Pairing {
    /// Takes the next event.
    pub fn take(&mut self, event: Event) -> Result<(), PairingError> {
        let (expected, before_ns) = (self.history.events, self.history.last_ns);
        if event.index != expected {
            return Err(PairingError::Index { index: event.index, expected });
        }
        if event.time_ns < before_ns {
            return Err(PairingError::Time { time_ns: event.time_ns, before_ns });
        }
        self.history.events += 1;
        self.history.last_ns = event.time_ns;
        self.history.ended = event.function == Function::End;
        match (event.process, event.kind) {
            _ if self.history.ended => {}
            (Process::Nemesis, _) => self.history.faults.push(event),
            (Process::Observer, _) => self.history.comparisons.push(event),
            (Process::Client(process), Kind::Invoke) => self.invoke(process, event)?,
            (Process::Client(process), Kind::Ok | Kind::Fail | Kind::Info) => {
                self.complete(process, event)?;
            }
        }
        Ok(())
    }

    /// Notes that the last line was unfinished.
    pub fn cut(&mut self, bytes: usize) {
        self.history.cut_bytes = Some(bytes);
    }

    /// Returns the operations. Those without an end stay open.
    pub fn finish(self) -> History {
        self.history
    }

    fn invoke(&mut self, process: u64, event: Event) -> Result<(), PairingError> {
        let waits = Client::Waits(self.history.operations.len());
        match self.clients.entry(process) {
            Entry::Vacant(entry) => {
                entry.insert(waits);
            }
            Entry::Occupied(mut entry) => match entry.get() {
                Client::Waits(_) => return Err(PairingError::Busy { process }),
                Client::Crashed => return Err(PairingError::Crashed { process }),
                Client::Idle => *entry.get_mut() = waits,
            },
        }
        let key = event.key.map(|name| self.key(name)).transpose()?;
        self.history.operations.push(Operation {
            process,
            function: event.function,
            key,
            value: event.value,
            mode: event.mode,
            ttl_ms: event.ttl_ms,
            node: event.node,
            counts_on: event.revision,
            accounts: event.accounts,
            call: Moment { index: event.index, time_ns: event.time_ns },
            outcome: Outcome::Open(None, "no end was noted".into()),
        });
        Ok(())
    }

    fn complete(&mut self, process: u64, event: Event) -> Result<(), PairingError> {
        let client = self.clients.get_mut(&process);
        let Some(client) = client else { return Err(PairingError::Idle { process }) };
        let Client::Waits(place) = *client else { return Err(PairingError::Idle { process }) };
        let operation = &mut self.history.operations[place];
        let key = operation.key.map(|KeyId(id)| &self.history.keys[id as usize]);
        if event.function != operation.function
            || event.key.as_ref().is_some_and(|k| Some(k) != key)
        {
            return Err(PairingError::Mismatch { process });
        }
        *client = if event.kind == Kind::Info { Client::Crashed } else { Client::Idle };
        let moment = Moment { index: event.index, time_ns: event.time_ns };
        let error = || event.error.clone().unwrap_or_default().into();
        operation.outcome = match event.kind {
            Kind::Fail => {
                let (error, told) = (error(), event.applied.is_some());
                Outcome::Fail(moment, error, told.then(|| Box::new(answer(event))))
            }
            Kind::Info => Outcome::Open(Some(moment), error()),
            Kind::Ok | Kind::Invoke => Outcome::Ok(moment, Box::new(answer(event))),
        };
        Ok(())
    }

    fn key(&mut self, name: String) -> Result<KeyId, PairingError> {
        if let Some(id) = self.ids.get(&name) {
            return Ok(*id);
        }
        let id = u32::try_from(self.history.keys.len()).ok().ok_or(PairingError::Keys)?;
        self.history.keys.push(name.clone());
        self.ids.insert(name, KeyId(id));
        Ok(KeyId(id))
    }
}

fn answer(event: Event) -> Answer {
    Answer {
        value: event.value,
        mode: event.mode,
        ttl_ms: event.ttl_ms,
        node: event.node,
        shard: event.shard,
        revision: event.revision,
        applied: event.applied,
        term: event.term,
        log_time_ms: event.log_time_ms,
        staleness_ms: event.staleness_ms,
        page: event.page,
        accounts: event.accounts,
    }
}
