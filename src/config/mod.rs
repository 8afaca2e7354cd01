//! The settings of a node: one struct, read once and checked once.
//!
//! ```text
//!   flags  >  environment (STEADFAST_...)  >  file (--config)  >  defaults
//! ```
//!
//! All three sources fill the same [`Layer`], so a setting has one name and one meaning:
//! `--memory-max 512MiB`, `STEADFAST_MEMORY_MAX=512MiB`, `memory_max = "512MiB"`. A key that is
//! not known is refused: a misspelt bound must not be a missing bound.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use steadfast_raft::net::Address;
use steadfast_raft::node::Settings;
use steadfast_raft::transport::token::Token;

mod check;
mod keys;
mod layer;
mod size;

#[cfg(test)]
mod tests;

pub(crate) use keys::misspelt;
pub(crate) use layer::{Flags, HELP, Layer};

/// Where clients are served, by default.
const HTTP_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7301);
/// Where peers are served, by default.
const PEER_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7401);

/// The settings of a node, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Where to listen for clients.
    pub(crate) http: SocketAddr,
    /// Where to listen for peers.
    pub(crate) peer: SocketAddr,
    /// Where clients reach this node.
    pub(crate) http_advertise: Address,
    /// Where peers reach this node.
    pub(crate) peer_advertise: Address,
    /// What clients and the other nodes must know.
    pub(crate) token: Token,
    /// Timers, sizes and bounds.
    pub(crate) settings: Settings,
}

/// Why a node's settings cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("the settings file {} cannot be read: {why}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// A source is not in order: a syntax, a key or a type.
    #[error("{origin}: {why}")]
    Malformed {
        /// Which source.
        origin: String,
        /// What is wrong.
        why: String,
    },
    /// A setting without default is not set.
    #[error(
        "{key} is not set: give --{key}, STEADFAST_{}, or {key} in the settings file",
        key.to_uppercase()
    )]
    Missing {
        /// Which one.
        key: &'static str,
    },
    /// A setting has a value that it cannot have.
    #[error("{key} = {value}: {allowed}")]
    Refused {
        /// Which one.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it can be.
        allowed: String,
    },
}

impl Config {
    /// Puts the settings together and checks them.
    ///
    /// `environment` holds the variables of the process.
    pub(crate) fn load(
        flags: Flags,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let (from_environment, named) = Layer::from_environment(environment)?;
        let from_file = match flags.config.or(named) {
            Some(path) => Layer::from_file(&path)?,
            None => Layer::default(),
        };
        flags.layer.over(from_environment).over(from_file).check()
    }
}
