//! A network in one process, for simulations: seeded, on tokio's time, and as bad as it is told
//! to be.
//!
//! ```text
//!   SimNet of host a ---+
//!   SimNet of host b ---+--- Fabric: who listens, who is connected, which links are cut
//!   SimNet of host c ---+
//! ```
//!
//! A connection is two pipes. Each segment takes a random latency, and arrives after those before
//! it. A cut link holds what is on its way; if it stays cut for 15 s the connections that
//! have bytes to bring break. New connections over a cut link hang, and then time out.
//! Of acknowledgements nothing is modelled: a link that is cut one way holds that way only.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};

use super::{Address, Listener, Net, Nonce, Stream};
use crate::limits::SIM_BACKLOG_MAX;

mod pipe;

#[cfg(test)]
mod tests;

use pipe::{Pipe, PipeReader, PipeWriter};

/// The network as a whole. Cheap to clone; all clones are one fabric.
#[derive(Clone)]
pub struct Fabric(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Told when a link was healed.
    healed: Notify,
}

struct State {
    random: StdRng,
    latency_min: Duration,
    latency_max: Duration,
    listeners: BTreeMap<String, mpsc::Sender<(Stream, String)>>,
    /// Links that are cut, from one host to another, and since when.
    cuts: BTreeMap<(String, String), Instant>,
    /// Links on which segments take longer, and by how much.
    slow: BTreeMap<(String, String), Duration>,
    /// Both pipes of each connection that is not over.
    connections: Vec<[Arc<Pipe>; 2]>,
    next_port: u16,
}

/// The network as one host sees it.
#[derive(Clone, Debug)]
pub struct SimNet {
    fabric: Fabric,
    host: String,
}

#[derive(Debug)]
struct SimListener {
    address: Address,
    incoming: mpsc::Receiver<(Stream, String)>,
}

impl fmt::Debug for Fabric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fabric")
    }
}

impl Fabric {
    /// Returns a network without faults, whose chances come from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: StdRng::seed_from_u64(seed),
            latency_min: Duration::from_millis(1),
            latency_max: Duration::from_millis(3),
            listeners: BTreeMap::new(),
            cuts: BTreeMap::new(),
            slow: BTreeMap::new(),
            connections: Vec::new(),
            next_port: 49_152,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), healed: Notify::new() }))
    }

    /// Returns the network as the host of this name sees it.
    pub fn host(&self, name: &str) -> SimNet {
        SimNet { fabric: self.clone(), host: name.into() }
    }

    /// Sets the bounds between which the latency of each segment is drawn.
    pub fn set_latency(&self, min: Duration, max: Duration) {
        let mut state = self.state();
        (state.latency_min, state.latency_max) = (min, max);
    }

    /// Has the segments that are sent from now on take longer by `delay` on the link from one host
    /// to another, in that direction.
    pub fn slow(&self, from: &str, to: &str, delay: Duration) {
        self.state().slow.insert((from.into(), to.into()), delay);
    }

    /// Cuts the link from one host to another, in that direction.
    pub fn cut(&self, from: &str, to: &str) {
        self.state().cuts.entry((from.into(), to.into())).or_insert_with(Instant::now);
        self.wake();
    }

    /// Cuts the link between two hosts, in both directions.
    pub fn partition(&self, one: &str, other: &str) {
        self.cut(one, other);
        self.cut(other, one);
    }

    /// Heals the link from one host to another, in that direction.
    pub fn heal(&self, from: &str, to: &str) {
        self.state().cuts.remove(&(from.into(), to.into()));
        self.wake();
    }

    /// Heals all links.
    pub fn heal_all(&self) {
        self.state().cuts.clear();
        self.wake();
    }

    /// Takes a host's listeners and connections away at once, as when its process is killed. It
    /// may listen and connect again.
    pub fn crash(&self, host: &str) {
        self.state().listeners.retain(|address, _| host_of(address) != host);
        self.reset_connections(|one, other| one == host || other == host);
    }

    /// Breaks the connections between two hosts. They may connect again.
    pub fn reset(&self, one: &str, other: &str) {
        self.reset_connections(|from, to| (from, to) == (one, other) || (from, to) == (other, one));
    }

    fn reset_connections(&self, which: impl Fn(&str, &str) -> bool) {
        let of = |pipes: &&[Arc<Pipe>; 2]| which(&pipes[0].from, &pipes[0].to);
        let connections: Vec<_> = self.state().connections.iter().filter(of).cloned().collect();
        connections.iter().flatten().for_each(|pipe| pipe.reset());
    }

    /// Breaks the connection that this pipe is part of.
    fn give_up(&self, pipe: &Arc<Pipe>) {
        let of = |pipes: &&[Arc<Pipe>; 2]| pipes.iter().any(|one| Arc::ptr_eq(one, pipe));
        let connection = self.state().connections.iter().find(of).cloned();
        connection.iter().flatten().for_each(|pipe| pipe.reset());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no step under this lock panics")
    }

    fn wake(&self) {
        let connections = self.state().connections.clone();
        connections.iter().flatten().for_each(|pipe| pipe.wake());
        self.0.healed.notify_waiters();
    }

    /// Draws the latency of a segment.
    fn latency(&self, from: &str, to: &str) -> Duration {
        let mut state = self.state();
        let (min, max) = (state.latency_min, state.latency_max);
        let delay = state.slow.get(&(from.into(), to.into())).copied().unwrap_or_default();
        state.random.random_range(min..=max) + delay
    }

    fn patience(&self) -> Duration {
        pipe::PATIENCE
    }

    fn cut_since(&self, from: &str, to: &str) -> Option<Instant> {
        self.state().cuts.get(&(from.into(), to.into())).copied()
    }

    fn is_cut(&self, one: &str, other: &str) -> bool {
        self.cut_since(one, other).or(self.cut_since(other, one)).is_some()
    }

    /// Makes a connection, and returns the ends of the dialler and of the acceptor.
    fn pipes(&self, dialler: &str, acceptor: &str) -> (Stream, Stream) {
        let (there, back) = (Pipe::new(dialler, acceptor), Pipe::new(acceptor, dialler));
        let mut state = self.state();
        state.connections.retain(|pipes| !pipes.iter().all(|pipe| pipe.is_over()));
        state.connections.push([Arc::clone(&there), Arc::clone(&back)]);
        drop(state);
        (self.stream(&back, &there), self.stream(&there, &back))
    }

    fn stream(&self, read: &Arc<Pipe>, write: &Arc<Pipe>) -> Stream {
        let writer = PipeWriter { pipe: Arc::clone(write), fabric: self.clone() };
        let reader = PipeReader::new(Arc::clone(read), self.clone());
        Stream { reader: Box::new(reader), writer: Box::new(writer) }
    }

    async fn wait_for_link(&self, one: &str, other: &str) {
        loop {
            let healed = self.0.healed.notified();
            tokio::pin!(healed);
            healed.as_mut().enable();
            if !self.is_cut(one, other) {
                return;
            }
            healed.await;
        }
    }
}

impl Net for SimNet {
    fn nonce(&self) -> io::Result<Nonce> {
        Ok(self.fabric.state().random.random())
    }

    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Stream>> {
        async {
            let to = host_of(&address.0);
            let linked = timeout(pipe::PATIENCE, self.fabric.wait_for_link(&self.host, to)).await;
            linked.map_err(|_late| io::Error::from(io::ErrorKind::TimedOut))?;
            let there = self.fabric.latency(&self.host, to);
            sleep(there + self.fabric.latency(to, &self.host)).await;
            let listener = self.fabric.state().listeners.get(&address.0).cloned();
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let listener = listener.ok_or_else(refused)?;
            let (ours, theirs) = self.fabric.pipes(&self.host, to);
            let sent = listener.try_send((theirs, self.host.clone()));
            sent.map(|()| ours).map_err(|_gone| refused())
        }
        .boxed()
    }

    fn listen<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        let listening = self.fabric.listen(&self.host, address);
        Box::pin(std::future::ready(listening))
    }
}

impl Fabric {
    fn listen(&self, host: &str, address: &Address) -> io::Result<Box<dyn Listener>> {
        if host_of(&address.0) != host {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let mut state = self.state();
        let address = if address.0.ends_with(":0") {
            state.next_port += 1;
            Address(format!("{host}:{}", state.next_port))
        } else {
            address.clone()
        };
        if state.listeners.get(&address.0).is_some_and(|listener| !listener.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, incoming) = mpsc::channel(SIM_BACKLOG_MAX);
        state.listeners.insert(address.0.clone(), sender);
        Ok(Box::new(SimListener { address, incoming }))
    }
}

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Stream, String)>> {
        async {
            let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
            self.incoming.recv().await.ok_or_else(gone)
        }
        .boxed()
    }

    fn address(&self) -> Address {
        self.address.clone()
    }
}

/// Returns the host of an address.
fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _port)| host)
}
