//! The checks: what a value can be, and what the values can be beside each other.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use steadfast_raft::limits;
use steadfast_raft::net::Address;
use steadfast_raft::node::Settings;
use steadfast_raft::transport::token::Token;

use super::size::{Number, Size};
use super::{Config, ConfigError, HTTP_DEFAULT, Layer, PEER_DEFAULT};

/// Shortest time between heartbeats.
const HEARTBEAT_MS_MIN: u64 = 10;
/// Longest time without a leader: a cluster that waits longer is down for its clients.
const ELECTION_MS_MAX: u64 = 60_000;
/// Fewest segments: the one being written, the one before it, and the reserved one.
const SEGMENTS_MIN: u64 = 3;
/// Most segments.
const SEGMENTS_MAX: u64 = 4_096;

impl Layer {
    /// Fills in the defaults and checks everything.
    pub(super) fn check(self) -> Result<Config, ConfigError> {
        let token = self.token_file.as_deref().map(token).transpose()?.unwrap_or_default();
        let open = token.is_set() || self.insecure.unwrap_or(false);
        let http = listen("http", self.http.as_deref(), HTTP_DEFAULT, open)?;
        let peer = listen("peer", self.peer.as_deref(), PEER_DEFAULT, open)?;
        if http == peer {
            let allowed = "it must differ from http: each needs a port of its own".to_owned();
            return Err(ConfigError::Refused { key: "peer", value: peer.to_string(), allowed });
        }
        let http_advertise = advertise("advertise_http", self.advertise_http.as_deref(), http)?;
        let peer_advertise = advertise("advertise_peer", self.advertise_peer.as_deref(), peer)?;
        let settings = self.settings()?;
        let data = self.data.filter(|path| !path.as_os_str().is_empty());
        let data = data.ok_or(ConfigError::Missing { key: "data" })?;
        Ok(Config { data, http, peer, http_advertise, peer_advertise, token, settings })
    }

    /// Checks the timers, sizes and bounds.
    fn settings(&self) -> Result<Settings, ConfigError> {
        let default = Settings::default();
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let number =
            |set: Option<Number>, default: u64| set.map_or(default, |Number(number)| number);
        let bytes = |set: Option<Size>, default: u64| set.map_or(default, |Size(bytes)| bytes);

        let heartbeat = number(self.heartbeat_ms, ms(default.heartbeat));
        let election_min = number(self.election_ms_min, ms(default.election_min));
        let election_max = number(self.election_ms_max, ms(default.election_max));
        let segment = bytes(self.segment_bytes, default.segment_bytes);
        let segments = number(self.segments_max, default.segments_max as u64);
        let log_memory = bytes(self.log_memory_bytes_max, default.log_memory_bytes_max);

        at_least("heartbeat_ms", heartbeat, HEARTBEAT_MS_MIN, "10 ms")?;
        at_least("election_ms_min", election_min, heartbeat.saturating_mul(3), "3 heartbeats")?;
        at_least(
            "election_ms_max",
            election_max,
            election_min.saturating_add(1),
            "election_ms_min + 1",
        )?;
        at_most("election_ms_max", election_max, ELECTION_MS_MAX, "a minute")?;
        at_least("segment_bytes", segment, limits::SEGMENT_BYTES_MIN, "16MiB")?;
        at_most("segment_bytes", segment, 1 << 30, "1GiB")?;
        at_least(
            "segments_max",
            segments,
            SEGMENTS_MIN,
            "one written, one before it, one reserved",
        )?;
        at_most("segments_max", segments, SEGMENTS_MAX, "4096")?;
        let log_memory_min = 4 * limits::ENTRY_BYTES_MAX as u64;
        at_least("log_memory_bytes_max", log_memory, log_memory_min, "4 of the largest entries")?;
        if let Some(Size(memory)) = self.memory_max {
            at_least("memory_max", memory, 1 << 20, "1MiB, one value")?;
        }
        Ok(Settings {
            heartbeat: Duration::from_millis(heartbeat),
            election_min: Duration::from_millis(election_min),
            election_max: Duration::from_millis(election_max),
            segment_bytes: segment,
            segments_max: usize::try_from(segments).expect("checked against a small bound"),
            log_memory_bytes_max: log_memory,
            memory_bytes_max: self.memory_max.map(|Size(bytes)| bytes),
        })
    }
}

fn at_least(key: &'static str, value: u64, min: u64, why: &str) -> Result<(), ConfigError> {
    if min <= value {
        return Ok(());
    }
    let allowed = format!("it must be at least {min} ({why})");
    Err(ConfigError::Refused { key, value: value.to_string(), allowed })
}

fn at_most(key: &'static str, value: u64, max: u64, why: &str) -> Result<(), ConfigError> {
    if value <= max {
        return Ok(());
    }
    let allowed = format!("it must be at most {max} ({why})");
    Err(ConfigError::Refused { key, value: value.to_string(), allowed })
}

/// Reads an address to listen at.
///
/// Without a token whoever reaches a port may read and write everything; so other machines reach it
/// only if there is one, or the operator says that this is meant: it is `open` then.
fn listen(
    key: &'static str,
    set: Option<&str>,
    default: SocketAddr,
    open: bool,
) -> Result<SocketAddr, ConfigError> {
    let Some(text) = set else { return Ok(default) };
    let refuse = |allowed: &str| ConfigError::Refused {
        key,
        value: text.to_owned(),
        allowed: allowed.to_owned(),
    };
    let named = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let parsed = match named {
        Some(port) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().ok(),
    };
    let address = parsed.ok_or_else(|| {
        refuse("it must be an IP address and a port, such as 127.0.0.1:7301 or [::1]:7301")
    })?;
    if address.port() == 0 {
        return Err(refuse("it must name a port, not 0: others have to find this node"));
    }
    if !address.ip().to_canonical().is_loopback() && !open {
        return Err(refuse(
            "other machines reach this address, and whoever does may read and write everything. \
             Give nodes and clients a secret with --token-file FILE, or use a loopback address \
             such as 127.0.0.1, or add --insecure if everyone who reaches it may do everything",
        ));
    }
    Ok(address)
}

/// Reads the token.
fn token(path: &Path) -> Result<Token, ConfigError> {
    let refuse = |why: String| ConfigError::Refused {
        key: "token_file",
        value: path.display().to_string(),
        allowed: format!(
            "{why}. Make one with `head -c 32 /dev/urandom | base64 > FILE`, the same for all nodes \
             and clients, and let nobody else read it"
        ),
    };
    let text =
        std::fs::read(path).map_err(|error| refuse(format!("it cannot be read: {error}")))?;
    Token::new(&text).map_err(|error| refuse(error.to_string()))
}

/// Reads the address that others are told, by default the one listened at.
fn advertise(
    key: &'static str,
    set: Option<&str>,
    listen: SocketAddr,
) -> Result<Address, ConfigError> {
    let text = set.map_or_else(|| listen.to_string(), str::to_owned);
    let refuse = |allowed: &str| ConfigError::Refused {
        key,
        value: text.clone(),
        allowed: allowed.to_owned(),
    };
    let shape = "it must be HOST:PORT as others reach this node, such as db1.example:7401";
    let (host, port) = text.rsplit_once(':').ok_or_else(|| refuse(shape))?;
    if !matches!(port.parse::<u16>(), Ok(1..)) || port.starts_with('+') {
        return Err(refuse("it must end with a port from 1 to 65535"));
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ip = bare.unwrap_or(host).parse::<std::net::IpAddr>().ok();
    if ip.is_some_and(|ip| ip.to_canonical().is_unspecified()) {
        let flag = key.replace('_', "-");
        return Err(refuse(&format!(
            "others cannot reach that address; say with --{flag} HOST:PORT where they reach this \
             node, by an IP address or a DNS name"
        )));
    }
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let well = if bare.is_some() {
        ip.is_some_and(|ip| ip.is_ipv6())
    } else {
        !host.is_empty() && host.bytes().all(name)
    };
    if well { Ok(Address(text)) } else { Err(refuse(shape)) }
}
