//! One line of a history.

use serde::{Deserialize, Serialize};

/// One line of a history. Flat, because a long history has millions of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Event {
    /// Its place in the history, from 0.
    pub index: u64,
    /// When it was noted, in nanoseconds since the run began, by one monotonic clock.
    #[serde(rename = "time")]
    pub time_ns: u64,
    /// Who does it.
    pub process: Process,
    /// Which part of an operation it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What is done.
    #[serde(rename = "f")]
    pub function: Function,
    /// The key it is done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is written or was read.
    #[serde(default)]
    pub value: Value,
    /// What a read asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How long the key is to live, in milliseconds; of an answer, how long it still lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// The node that was asked, on an `invoke`; the node whose state answered, on an `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// The key's shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u32>,
    /// The version of the key that was read, or that was made; of a delete that found nothing, none.
    /// On an `invoke`: the version that a compare-and-swap counts on. On a `fail`: that which the key
    /// has, as the refusal shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The shard's count of mutations as of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// The term of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<Term>,
    /// The shard's own clock as of the answer, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_time_ms: Option<u64>,
    /// How old the answer is at most, in milliseconds, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staleness_ms: Option<u64>,
    /// Why it is a `fail` or an `info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Of a fault: an object with its `name` and its `step` in the schedule, which its heal repeats, the
    /// `nodes` that it hit, and once that is known whether it `bit`, with the `evidence` of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<serde_json::Value>,
    /// Of a comparison: the replicas of the shard that were asked, at about the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Vec<Replica>>,
    /// Of a page of a list: what else it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// Accounts of a bank: on the `invoke` of a transfer what is to be in them, on an answer what was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
}

/// What a page of a list says beside its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Whether there is another after it.
    pub more: bool,
    /// The shards that it comes from, each with its count of mutations as of the page.
    pub shards: Vec<(u32, u64)>,
}

/// An account of a bank, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Which of the bank's, from 0.
    pub account: u32,
    /// What is in it. It is never less than nothing, unless something is wrong.
    pub balance: i64,
    /// The transfer that left it so: its value.
    pub by: u64,
    /// The version: the one that it has, or that a transfer counts on; 0: no such key.
    pub revision: u64,
}

/// What a replica said of its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The node that keeps it.
    pub node: u32,
    /// The last entry that it has applied, and the term of that: `None` if it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<(u64, Term)>,
    /// The hash of its state as of that entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// Who does something: a client that does one thing at a time, whoever breaks things, or whoever
/// looks at replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// A client. Its number is not used again after an operation that ended in `info`.
    Client(u64),
    /// Whoever breaks things.
    Nemesis,
    /// Whoever looks at replicas.
    Observer,
}

/// Which part of an operation an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Its beginning.
    Invoke,
    /// Its end: it was done.
    Ok,
    /// Its end: it was certainly not done, and never will be.
    Fail,
    /// The end of its waiting: it may have been done, or may be done at any time from now.
    Info,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// Reads a key; the value is null if there is no such key.
    Read,
    /// Stores a value.
    Write,
    /// Stores the second value of a pair if the key still holds the first, decided by its version. A
    /// null instead of the first: if there is no such key.
    Cas,
    /// Removes a key.
    Delete,
    /// Adds an element to the set: a key of its own.
    Add,
    /// Reads the whole set, key by key; the elements are in no order.
    ReadAll,
    /// Reads a page of the set by a list, from after the element that it is asked with; the elements are
    /// in the order of the list.
    List,
    /// Moves money between accounts of a bank, its key, if they are of the versions that it counts on. Its
    /// value is its number.
    Transfer,
    /// Reads all accounts of a bank, its key, at once.
    Balances,
    /// Breaks something, until [`Function::Heal`].
    Fault,
    /// Repairs what was broken.
    Heal,
    /// Asks the replicas of a shard for the hash of their state.
    Compare,
    /// Marks the end of a history: nothing comes after it, so one without it was cut.
    End,
}

/// What is written or was read. Values are unique in a run, so that each says which write it is of.
///
/// A pair and a list of two look alike in JSON: an [`Event`] is read by what it does, a value on its
/// own is a list unless it holds a null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// Nothing: there is no such key.
    #[default]
    Null,
    /// One value.
    One(u64),
    /// Of a compare-and-swap: what was there, and what is to be there.
    Pair(Option<u64>, u64),
    /// All elements of a set.
    Many(Vec<u64>),
}

/// The term of an answer: `5.2` is term 5, led by node 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// The term.
    pub number: u64,
    /// The node that leads in it.
    pub node: u32,
}

/// What a read asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It reflects every write that was acknowledged before it began.
    Linearizable,
    /// The same, as long as the clocks of two nodes run at nearly the same rate.
    Lease,
    /// It may be old, and says how old at most.
    Stale,
}
