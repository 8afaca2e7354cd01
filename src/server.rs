//! A node's life: read the settings, open, serve, stop.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};
use steadfast_raft::clock::SystemClock;
use steadfast_raft::disk::RealDisk;
use steadfast_raft::mutant::{self, Mutant};
use steadfast_raft::net::{Address, TcpNet};
use steadfast_raft::node::{Node, NodeConfig, Seams};
use steadfast_raft::runtime::with_seed;
use steadfast_raft::snapshot::SledSnapshots;
use tokio::net::TcpListener;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::Instant;

use crate::config::{Config, Flags};
use crate::http::Server;

/// How long a graceful stop takes at most. What runs services kills after 10 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(7);
/// The part of it that requests in progress have.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(6);
/// The part of that in which connections that stand idle may still send a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long work on blocking threads may go on after that.
const BLOCKING_TIMEOUT: Duration = Duration::from_millis(500);

/// Runs a node until it is told to stop, or must.
pub(crate) fn run(flags: Flags) -> anyhow::Result<()> {
    if let Some(parent) = flags.parent {
        die_with(parent)?;
    }
    become_a_mutant()?;
    let config = Config::load(flags, std::env::vars_os())?;
    take_all_files();
    prepare(&config.data)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the system gives no event queue")?;
    let seed = getrandom::u64().context("the system gives no randomness")?;
    let ended = runtime.block_on(with_seed(seed, serve(config)));
    runtime.shutdown_timeout(BLOCKING_TIMEOUT);
    ended
}

/// Makes this process break the promise that the environment names, in a build made for that.
fn become_a_mutant() -> Result<(), mutant::Refused> {
    let Some(mutant) = Mutant::chosen()? else { return Ok(()) };
    tracing::warn!(
        mutant = mutant.name(),
        "THIS NODE IS BROKEN ON PURPOSE and lies about its data: {}; unset {} for one that does not",
        mutant.lie(),
        mutant::ENV
    );
    Ok(())
}

/// Has the system kill this process when the one that started it dies. It could not do more for
/// itself if it stood still; and the log is made for `kill -9`.
fn die_with(parent: i32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .context("the system does not end this process with its parent")?;
    // It may have died before that.
    if getppid().map(Pid::as_raw_nonzero).map(i32::from) != Some(parent) {
        bail!("process {parent}, for which this node was to run, is gone");
    }
    Ok(())
}

/// Raises the number of files that this process may have open as far as the system lets it: many
/// systems begin with fewer than there may be connections. Where that fails, connections beyond wait.
fn take_all_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, ?limit, "the number of open files cannot be raised");
    }
}

/// Makes the data directory, but not the one above it: that one is missing when a disk is not
/// mounted, and a node must not start empty beside its data.
fn prepare(data: &Path) -> anyhow::Result<()> {
    match std::fs::create_dir(data) {
        Ok(()) => tracing::info!(data = %data.display(), "made the data directory"),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            let shown = data.display();
            return Err(error).with_context(|| {
                format!(
                    "the data directory {shown} is missing and cannot be made; nothing was \
                     started. Is its disk mounted? Make the directory above it, or give another \
                     with --data"
                )
            });
        }
    }
    if !data.is_dir() {
        bail!("{} is no directory; give another with --data", data.display());
    }
    Ok(())
}

/// Opens the node and serves it.
async fn serve(config: Config) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let http = config.http;
    let listener = TcpListener::bind(http).await.with_context(|| {
        format!("cannot listen for clients at {http}; choose another address with --http")
    })?;
    let data = config.data.clone();
    let node = Node::start(node_config(config), seams(&data)?)
        .await
        .with_context(|| format!("the node on {} did not start", data.display()))?;
    let server = Server::start(listener, node.clone());
    tracing::info!(%http, data = %data.display(), "serving");
    tokio::select! {
        why = node.failed() => bail!("this node must not go on and has stopped: {why}"),
        name = stop.next() => tracing::info!("{name}: stopping"),
    }
    tokio::select! {
        () = shutdown(server, &node) => Ok(()),
        name = stop.next() => bail!("{name} again: stopped at once, leadership not handed over"),
    }
}

/// Stops: no new connections, leadership handed over, requests answered. Only then does the node
/// stop: until then it forwards those requests to whoever leads.
async fn shutdown(server: Server, node: &Node) {
    let started = Instant::now();
    let (idle_until, drained) = (started + IDLE_TIMEOUT, started + DRAIN_TIMEOUT);
    tokio::join!(server.shutdown(idle_until, drained), node.hand_over(drained));
    node.shutdown(started + STOP_TIMEOUT).await;
    tracing::info!("stopped");
}

fn node_config(config: Config) -> NodeConfig {
    NodeConfig {
        data: config.data,
        peer_listen: Address(config.peer.to_string()),
        peer_advertise: config.peer_advertise,
        token: config.token,
        http_advertise: format!("http://{}", config.http_advertise),
        settings: config.settings,
    }
}

/// The real doors to the outside.
fn seams(data: &Path) -> anyhow::Result<Seams> {
    let snapshots = SledSnapshots::open(&data.join("snapshots")).with_context(|| {
        format!(
            "the data directory {} cannot be used for snapshots; no data was changed; see that \
                 this user may write there, or give another with --data",
            data.display()
        )
    })?;
    Ok(Seams {
        clock: Arc::new(SystemClock),
        disk: Arc::new(RealDisk),
        net: Arc::new(TcpNet),
        snapshots: Arc::new(snapshots),
    })
}

/// The signals that ask a process to stop.
struct Stop {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("the system lets no signal be handled");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
