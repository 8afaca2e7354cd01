//! The network between nodes that all run at loopback: a proxy in front of each node's peer port.
//!
//! ```text
//!   n1 --dials--> [proxy of n2] --> n2        n2 tells its peers that it is where its proxy is
//! ```
//!
//! Who dials is in the first bytes of a connection (below), whose layout is for ever
//! (`raft/src/transport/handshake.rs`). A connection carries bytes both ways, so each way is a link
//! of its own. Where a link is cut its bytes wait, as bytes that nobody acknowledges do: once it is
//! healed they arrive, in order. Those that waited are counted, which is the evidence.
//!
//! ```text
//!   0        8         10     11        12        28     32   36       40
//!   | magic  | version | what | purpose | cluster | from | to | length | rest |
//! ```

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Link;

#[cfg(test)]
mod tests;

/// What every connection between peers begins with.
const MAGIC: &[u8; 8] = b"steadfst";
const HEAD_BYTES: usize = 40;
/// Where the head says who dials.
const FROM: std::ops::Range<usize> = 28..32;
/// What is passed on at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// What proxies know of the network.
#[derive(Debug)]
struct Network {
    cut: watch::Sender<BTreeSet<Link>>,
    /// Bytes that met a cut.
    held: AtomicU64,
}

/// The proxies of all nodes. They end when dropped.
#[derive(Debug)]
pub(super) struct Proxies {
    network: Arc<Network>,
    tasks: JoinSet<()>,
}

impl Default for Proxies {
    fn default() -> Self {
        let network = Network { cut: watch::Sender::default(), held: AtomicU64::new(0) };
        Self { network: Arc::new(network), tasks: JoinSet::new() }
    }
}

impl Proxies {
    /// Puts a proxy, which listens already, in front of the peer port of a node.
    pub(super) fn add(&mut self, listener: TcpListener, node: u32, peer: SocketAddr) {
        let network = Arc::clone(&self.network);
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    biased;
                    Some(_) = connections.join_next() => {}
                    accepted = listener.accept() => {
                        // A connection that is gone before it was taken is none.
                        if let Ok((stream, _)) = accepted {
                            let network = Arc::clone(&network);
                            connections.spawn(async move {
                                // Its ends see that it ended; nobody else needs to know.
                                drop(carry(stream, node, peer, &network).await);
                            });
                        }
                    }
                }
            }
        });
    }

    /// Holds what one node sends to another.
    pub(super) fn cut(&self, link: Link) {
        self.network.cut.send_modify(|cut| {
            cut.insert(link);
        });
    }

    /// Lets it pass again.
    pub(super) fn heal(&self, link: Link) {
        self.network.cut.send_modify(|cut| {
            cut.remove(&link);
        });
    }

    /// Returns how many bytes met a cut so far.
    pub(super) fn held(&self) -> u64 {
        self.network.held.load(Ordering::Relaxed)
    }
}

impl Network {
    /// Waits until the link is whole. Bytes that wait are counted once.
    async fn pass(&self, link: Link, bytes: usize) {
        let mut cut = self.cut.subscribe();
        if cut.borrow().contains(&link) {
            self.held.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        // It fails only if the network is gone, and we hold it.
        drop(cut.wait_for(|cut| !cut.contains(&link)).await);
    }
}

/// Carries one connection to its end.
async fn carry(
    mut near: TcpStream,
    node: u32,
    peer: SocketAddr,
    network: &Network,
) -> io::Result<()> {
    let mut head = [0; HEAD_BYTES];
    near.read_exact(&mut head).await?;
    let from = dialler(&head).ok_or(io::ErrorKind::InvalidData)?;
    let there = Link { from, to: node };
    let back = Link { from: node, to: from };
    network.pass(there, HEAD_BYTES).await;
    let mut far = TcpStream::connect(peer).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    far.write_all(&head).await?;
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    // An end that breaks breaks both ways, as it does without a proxy.
    tokio::try_join!(
        pump(near_in, far_out, there, network),
        pump(far_in, near_out, back, network)
    )?;
    Ok(())
}

/// Passes on the bytes of one link.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    link: Link,
    network: &Network,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut chunk).await?;
        network.pass(link, read).await;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..read]).await?;
    }
}

/// Returns who dials: 0 is a node of no cluster. `None`: it is no peer.
fn dialler(head: &[u8; HEAD_BYTES]) -> Option<u32> {
    let from = head[FROM].try_into().expect("it has four bytes");
    head.starts_with(MAGIC).then(|| u32::from_be_bytes(from))
}
