//! Byte streams between nodes (seam). Framing, handshakes and reconnects stand above it, so that
//! simulations run them too.

use std::fmt;
use std::io;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

pub mod sim;
pub mod tcp;

pub use sim::SimNet;
pub use tcp::TcpNet;

/// Where a node listens for its peers: `host:port`, resolved anew at each connect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub String);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number that is used once. Nobody else can guess it before it is sent.
pub type Nonce = [u8; 32];

/// Connects to and accepts byte streams.
pub trait Net: fmt::Debug + Send + Sync + 'static {
    /// Draws a nonce for a handshake: from the system, or from the seed of a simulation.
    fn nonce(&self) -> io::Result<Nonce>;
    /// Connects to `address`.
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Stream>>;
    /// Listens at `address`. Port 0 takes a free one.
    fn listen<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;
}

/// Accepts byte streams.
pub trait Listener: fmt::Debug + Send {
    /// Waits for the next stream. The second value says where it comes from, for people.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Stream, String)>>;
    /// Returns where it really listens.
    fn address(&self) -> Address;
}

/// The two directions of a connection. Dropping both closes it.
pub struct Stream {
    /// What the other end sends.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What this end sends.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}
