//! Where the nodes of a run live: their processes, their network and their disks.
//!
//! ```text
//!             netns (root on Linux)                 local (anybody)
//!   network   a namespace a node, on a bridge       loopback, a proxy between peers
//!   cut       a rule that loses packets             a proxy that holds bytes
//!   disk      an ext4 of its own a node             a folder
//!
//!   node       the product's program: started, paused, killed
//!   bridge, proxy, disk, shutdown    the rows above
//!   damage     bits and ends of a node's files
//!   ledger     what is made outside of the run's folder, written down first
//!   probe      what of it can be done here
//!   pid, tool, trace    processes and programs of the system
//! ```
//!
//! However a run ends, nothing of it stays. Nodes die with the harness (`--parent`); the rest is in
//! the ledger, which the end of the run undoes, or the start of the next one.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;

mod bridge;
pub mod damage;
pub mod disk;
pub mod ledger;
pub mod node;
pub mod pid;
pub mod probe;
mod proxy;
mod shutdown;
pub mod tool;
pub mod trace;

#[cfg(test)]
mod tests;

use bridge::Bridge;
use disk::Disk;
use ledger::Ledger;
use node::{Node, Place};
use proxy::Proxies;
use tool::{IP, LOSETUP, MKFS, MOUNT, NSENTER, TC, Tool, ToolError, UMOUNT};

/// The ports of a node that has an address of its own.
const HTTP_PORT: u16 = 7301;
const PEER_PORT: u16 = 7401;
/// Ports of nodes at loopback: below those that the system gives to connections, so that nobody
/// takes a node's port while the node is down.
const PORTS: std::ops::Range<u16> = 12_000..32_000;
/// What an environment with namespaces cannot do without.
pub const NEEDED: [Tool; 7] = [IP, TC, NSENTER, MKFS, MOUNT, UMOUNT, LOSETUP];

/// Where nodes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Namespaces and disks of their own. Takes root.
    Netns,
    /// Loopback and folders.
    Local,
}

/// One direction between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Link {
    /// Who sends.
    pub from: u32,
    /// To whom.
    pub to: u32,
}

/// What to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where nodes live.
    pub kind: Kind,
    /// How many.
    pub nodes: u32,
    /// The run's folder, absolute.
    pub folder: PathBuf,
    /// The program of the nodes.
    pub program: PathBuf,
    /// Variables of the nodes' environment.
    pub environment: Vec<(String, String)>,
    /// Seconds between two commits of a disk's journal; `None`: as the system does.
    pub commit_s: Option<u32>,
}

/// Why an environment could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// A tool could not.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// Something else could not.
    #[error("{0}")]
    Other(String),
}

impl EnvError {
    fn new(what: &str) -> Self {
        Self::Other(what.to_owned())
    }
}

/// Returns an error that says what could not be done, and why.
fn cannot(what: &str, why: impl std::fmt::Display) -> EnvError {
    EnvError::Other(format!("{what}: {why}"))
}

/// Nodes, and what they stand on.
#[derive(Debug)]
pub struct Env {
    /// The nodes, by id from 1.
    pub nodes: Vec<Node>,
    /// Their disks, if they have some.
    pub disks: Vec<Disk>,
    network: Network,
    ledger: Option<Ledger>,
}

#[derive(Debug)]
enum Network {
    Bridge(Bridge),
    Proxies(Proxies),
}

/// Heals what earlier runs left behind. Returns whose it was.
pub fn heal() -> Result<Vec<String>, EnvError> {
    let (healed, left) = ledger::heal(Path::new(ledger::FOLDER));
    if left.is_empty() { Ok(healed) } else { Err(stays(&left)) }
}

impl Env {
    /// Makes all that nodes stand on. They do not run yet.
    pub async fn make(plan: &Plan) -> Result<Self, EnvError> {
        match plan.kind {
            Kind::Netns => Self::make_netns(plan).await,
            Kind::Local => Self::make_local(plan).await,
        }
    }

    async fn make_netns(plan: &Plan) -> Result<Self, EnvError> {
        for tool in NEEDED {
            tool.path()?;
        }
        // Unique on this machine among runs that live, and short: names of links are.
        let name = format!("sj{:x}", std::process::id());
        let mut ledger = Ledger::begin(Path::new(ledger::FOLDER), &name)
            .map_err(|error| cannot(&format!("{} cannot be written", ledger::FOLDER), error))?;
        match Self::furnish(plan, &name, &mut ledger).await {
            Ok((network, disks, nodes)) => Ok(Self { nodes, disks, network, ledger: Some(ledger) }),
            Err(error) => match ledger.undo() {
                left if left.is_empty() => Err(error),
                left => Err(cannot(&error.to_string(), stays(&left))),
            },
        }
    }

    async fn furnish(
        plan: &Plan,
        name: &str,
        ledger: &mut Ledger,
    ) -> Result<(Network, Vec<Disk>, Vec<Node>), EnvError> {
        let bridge = Bridge::make(name, plan.nodes, ledger).await?;
        let (mut disks, mut nodes) = (Vec::new(), Vec::new());
        for id in 1..=plan.nodes {
            let disk = Disk::make(&plan.folder, id, plan.commit_s, ledger).await?;
            let address = bridge.address(id);
            let space = format!("--net=/run/netns/{}", bridge.namespace(id));
            nodes.push(Node::new(Place {
                id,
                http: (address, HTTP_PORT).into(),
                peer: (address, PEER_PORT).into(),
                advertise_peer: (address, PEER_PORT).into(),
                data: disk.at.join("data"),
                log: plan.log(id),
                prefix: vec![NSENTER.path()?.into(), space.into()],
                program: plan.program.clone(),
                environment: plan.environment.clone(),
            }));
            disks.push(disk);
        }
        Ok((Network::Bridge(bridge), disks, nodes))
    }

    async fn make_local(plan: &Plan) -> Result<Self, EnvError> {
        let mut proxies = Proxies::default();
        let mut nodes = Vec::new();
        // Ports are held until all are chosen, so that they differ.
        let mut chosen = Vec::new();
        for _ in 0..plan.nodes {
            let (http, peer, proxy) = (listen().await?, listen().await?, listen().await?);
            chosen.push((http, peer, proxy));
        }
        for (id, (http, peer, proxy)) in (1..).zip(chosen) {
            let address = |listener: &TcpListener| {
                listener.local_addr().map_err(|error| cannot("a port has no number", error))
            };
            let (http, peer, advertise_peer) = (address(&http)?, address(&peer)?, address(&proxy)?);
            proxies.add(proxy, id, peer);
            nodes.push(Node::new(Place {
                id,
                http,
                peer,
                advertise_peer,
                data: plan.folder.join(format!("n{id}")),
                log: plan.log(id),
                prefix: Vec::new(),
                program: plan.program.clone(),
                environment: plan.environment.clone(),
            }));
        }
        Ok(Self { nodes, disks: Vec::new(), network: Network::Proxies(proxies), ledger: None })
    }

    /// Loses what is sent over these links.
    pub async fn cut(&self, links: &[Link]) -> Result<(), EnvError> {
        for &link in links {
            match &self.network {
                Network::Bridge(bridge) => bridge.cut(link).await?,
                Network::Proxies(proxies) => proxies.cut(link),
            }
        }
        Ok(())
    }

    /// Loses it no more. Returns how many packets were lost.
    pub async fn heal(&self, links: &[Link]) -> Result<u64, EnvError> {
        let mut lost = 0;
        for &link in links {
            match &self.network {
                Network::Bridge(bridge) => lost += bridge.heal(link).await?,
                Network::Proxies(proxies) => proxies.heal(link),
            }
        }
        Ok(lost)
    }

    /// Returns how many bytes met a cut so far, if the network holds rather than loses.
    pub fn held(&self) -> Option<u64> {
        match &self.network {
            Network::Bridge(_) => None,
            Network::Proxies(proxies) => Some(proxies.held()),
        }
    }

    /// Writes down a process that is not a node, before it can outlive the run.
    pub fn note(&mut self, process: pid::Process) -> Result<(), EnvError> {
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        let noted = ledger.note(&ledger::Made::Process(process));
        noted.map_err(|error| cannot("the ledger cannot be written", error))
    }

    /// Removes all of it. `keep`: leave the disks' files, unmounted, for somebody to look at.
    pub fn remove(mut self, keep: bool) -> Result<(), EnvError> {
        self.clear()?;
        if !keep {
            for disk in &self.disks {
                let shown = disk.at.display();
                disk.remove().map_err(|error| cannot(&format!("{shown} stays"), error))?;
            }
            for node in self.nodes.iter().filter(|_| self.disks.is_empty()) {
                // Faults keep copies of it beside it.
                for kept in ["", "founded", "before"] {
                    let data = node.place.data.with_extension(kept);
                    if data.exists() {
                        fs::remove_dir_all(&data)
                            .map_err(|error| cannot(&format!("{} stays", data.display()), error))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), EnvError> {
        for node in &mut self.nodes {
            node.kill();
        }
        let Some(ledger) = self.ledger.take() else { return Ok(()) };
        let left = ledger.undo();
        if left.is_empty() { Ok(()) } else { Err(stays(&left)) }
    }
}

impl Drop for Env {
    /// For runs that end early. What stays is healed by the next one.
    fn drop(&mut self) {
        if self.clear().is_ok() {
            self.disks.iter().for_each(|disk| drop(disk.remove()));
        }
    }
}

impl Plan {
    fn log(&self, id: u32) -> PathBuf {
        self.folder.join(format!("n{id}.log"))
    }
}

/// Listens at a port of [`PORTS`] that is free.
async fn listen() -> Result<TcpListener, EnvError> {
    let address = loopback(std::process::id());
    for port in PORTS {
        if let Ok(listener) = TcpListener::bind((address, port)).await {
            return Ok(listener);
        }
    }
    Err(EnvError::Other(format!("no port of {address} is free")))
}

/// Returns the address of a run's own at loopback: no other that lives takes the port of a node of
/// it while the node is down. A process id has 22 bits.
fn loopback(pid: u32) -> Ipv4Addr {
    let [_, high, middle, low] = pid.to_be_bytes();
    Ipv4Addr::new(127, 64 | (high & 63), middle, low)
}

fn stays(left: &[String]) -> EnvError {
    cannot("something stays behind; remove it by hand", left.join("; "))
}
