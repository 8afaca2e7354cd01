//! What clients do, and what they make of the answers.
//!
//! | Workload | Clients | It claims |
//! |---|---|---|
//! | `register` | read in all three modes, write, compare-and-swap and delete a few keys at a time | each key is one register: linearizable, or as fresh as the mode promises |
//! | `cas` | compare-and-swap few keys by versions that are often old, and read, write and delete them | the same, and what a refusal shows is true |
//! | `ttl` | write keys for 50 ms to 5 s, or for good, and read them in all three modes | a key expires by log time: not earlier, not later, and for ever |
//! | `bank` | move money between accounts of one slot, and read all of them at once | no money is made or lost, and each reading is of one state |
//! | `set` | add elements, each a key of its own, and list them; at the end all through every node | an element that was acknowledged is in the set, one that certainly failed is not |
//!
//! Values come from one counter, so each says which write it is of. Clients wait for one answer
//! before they ask again, and are many: some ask any node, some stick to one, some go to the leader by a
//! table of their own and are refused where that is wrong. A process whose
//! operation is in doubt does nothing more: its client goes on under a new number.
//!
//! ```text
//!   answer     what an answer means: ok, fail or info
//!   session    one client
//!   keys       which keys they use
//!   register, cas, ttl, set, bank    what sessions do
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use steadfast_cli::client::kv::Condition;
use steadfast_cli::client::token::Token;
use steadfast_cli::client::{Client, ClientError};
use tokio::task::JoinSet;

use crate::history::{Mode, Recorder};

pub mod answer;
mod bank;
mod cas;
mod keys;
mod register;
pub mod session;
mod set;
mod ttl;

use keys::Keys;
use session::Session;

/// How long one final read may take, and all of them.
const FINAL_TIMEOUT: Duration = Duration::from_secs(5);
const FINAL_ATTEMPTS: usize = 6;
/// Clients of a node that read in the end.
const FINAL_READERS: usize = 8;

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Reads, writes, swaps and deletes of a few keys.
    Register,
    /// Swaps of few keys by their versions, which many want.
    Cas,
    /// Keys that are written for a while.
    Ttl,
    /// Elements that are added, and must stay.
    Set,
    /// Money that is moved between accounts, several keys at once.
    Bank,
}

/// A node that clients ask.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its id.
    pub id: u32,
    /// Where it serves clients.
    pub endpoint: String,
}

/// How many operations ended how.
#[derive(Debug, Default)]
pub struct Counts {
    /// Done.
    pub ok: AtomicU64,
    /// Certainly not done.
    pub fail: AtomicU64,
    /// Nobody knows.
    pub info: AtomicU64,
}

/// What all clients of a run share.
#[derive(Debug)]
pub struct Shared {
    /// Where everything is noted.
    pub recorder: Arc<Recorder>,
    /// Whom they ask.
    pub nodes: Vec<Target>,
    /// How it is going.
    pub counts: Counts,
    seed: u64,
    /// What all keys of the run begin with.
    prefix: String,
    /// What nodes want to see, if they want anything.
    token: Option<Token>,
    stop: AtomicBool,
    processes: AtomicU64,
    values: AtomicU64,
    keys: Keys,
}

impl Shared {
    /// Returns what the clients of a run share. It writes to keys that begin with `prefix`.
    pub fn new(
        recorder: Arc<Recorder>,
        nodes: Vec<Target>,
        prefix: String,
        seed: u64,
        keys: Keys,
    ) -> Self {
        Self {
            recorder,
            nodes,
            counts: Counts::default(),
            seed,
            prefix,
            token: None,
            stop: AtomicBool::new(false),
            processes: AtomicU64::new(0),
            values: AtomicU64::new(1),
            keys,
        }
    }

    /// Returns the same, of nodes that want this token.
    #[must_use]
    pub fn with_token(self, token: Option<Token>) -> Self {
        Self { token, ..self }
    }

    fn next_process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    fn next_value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn key(&self, number: u64) -> String {
        self.keys.name(&self.prefix, number)
    }
}

/// Returns a client of these nodes that shows the token, if there is one.
pub fn client(
    endpoints: &[String],
    timeout: Option<Duration>,
    token: Option<&Token>,
) -> Result<Client, ClientError> {
    let client = Client::new(endpoints, timeout)?;
    Ok(token.map_or(client.clone(), |token| client.with_token(token.clone())))
}

impl Workload {
    /// Returns the keys of a run with so many shards.
    pub fn keys(self, shards: u32) -> Keys {
        match self {
            Self::Register => Keys::new(shards, shards.saturating_mul(2), 1000),
            // Many clients for one key.
            Self::Cas => Keys::new(shards, shards, 1000),
            // Time between two writes of a key; and one of unknown outcome spoils what comes after.
            Self::Ttl => Keys::new(shards, shards.saturating_mul(10), 150),
            Self::Set => Keys::new(shards, 1, 1),
            Self::Bank => Keys::new(shards, shards, 2000),
        }
    }

    /// Returns the modes that its clients read in.
    pub fn modes(self) -> &'static [Mode] {
        match self {
            Self::Register | Self::Cas | Self::Ttl => {
                &[Mode::Linearizable, Mode::Lease, Mode::Stale]
            }
            Self::Set | Self::Bank => &[Mode::Linearizable],
        }
    }

    /// Returns what it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Cas => "cas",
            Self::Ttl => "ttl",
            Self::Set => "set",
            Self::Bank => "bank",
        }
    }

    /// Starts so many clients.
    pub fn start(self, shared: &Arc<Shared>, concurrency: usize) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for number in 0..concurrency {
            let session = Session::new(shared, number);
            match self {
                Self::Register => clients.spawn(register::run(session)),
                Self::Cas => clients.spawn(cas::run(session)),
                Self::Ttl => clients.spawn(ttl::run(session)),
                Self::Set => clients.spawn(set::run(session)),
                Self::Bank => clients.spawn(bank::run(session)),
            };
        }
        clients
    }

    /// Has all clients end once they have their answers.
    pub async fn finish(shared: &Shared, clients: JoinSet<()>) {
        shared.stop.store(true, Ordering::Relaxed);
        clients.join_all().await;
    }

    /// Reads every key through every node.
    pub async fn read_all(self, shared: &Arc<Shared>) {
        match self {
            Self::Register | Self::Cas => keys::read_all(shared).await,
            Self::Ttl => ttl::read_all(shared).await,
            Self::Set => set::read_all(shared).await,
            Self::Bank => bank::read_all(shared).await,
        }
    }

    /// Removes every key, as far as nodes answer: somebody else's cluster is left as it was.
    ///
    /// That is no part of the history.
    pub async fn clean(self, shared: &Shared, client: &Client) {
        let keys = match self {
            Self::Register | Self::Cas | Self::Ttl | Self::Bank => shared.keys.used(),
            Self::Set => shared.values.load(Ordering::Relaxed),
        };
        for key in (0..keys).map(|number| shared.key(number)) {
            let keys = if self == Self::Bank { bank::accounts(&key) } else { vec![key] };
            for key in keys {
                // What is left is named like the run, and harmless.
                drop(client.delete(key.as_bytes(), &Condition::Always).await);
            }
        }
    }
}
