//! The request that founds a cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::HeaderMap;
use steadfast_cli::api::cluster::InitRequest as Wire;
use steadfast_cli::api::problem::Problem;
use steadfast_raft::limits;
use steadfast_raft::net::Address;
use steadfast_raft::node::api::InitRequest;

use crate::http::body;
use crate::http::problem::refused;

#[cfg(test)]
mod tests;

/// Longest body: a hundred long addresses.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;
/// How long founding may take by default: it dials every node.
pub(super) const TIMEOUT_DEFAULT: Duration = limits::TIMEOUT_MAX;

const NAME_EACH: &str = "name the peer address of each node once: --node a:7401 --node b:7401 \
                         --node c:7401, or {\"nodes\": [\"a:7401\", \"b:7401\", \"c:7401\"]}";
const EXAMPLE: &str = "send {\"nodes\": [\"a:7401\", \"b:7401\", \"c:7401\"]} as application/json";

/// Refuses a body that is not said to be JSON.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), Box<Problem>> {
    body::check_json(headers, EXAMPLE)
}

/// Reads the body.
pub(super) fn parse(bytes: &[u8]) -> Result<InitRequest, Box<Problem>> {
    let wire: Wire = body::parse_json(bytes, EXAMPLE)?;
    let refuse = |detail: String| {
        refused(400, "bad-init", "These nodes cannot be a cluster", detail, NAME_EACH)
    };
    if wire.nodes.is_empty() || limits::NODES_MAX < wire.nodes.len() {
        let detail = format!(
            "{} nodes are listed; a cluster has 3 to {}",
            wire.nodes.len(),
            limits::NODES_MAX
        );
        return Err(refuse(detail));
    }
    if let Some(bad) = wire.nodes.iter().find(|node| !is_address(node)) {
        return Err(refuse(format!("{bad:?} is no HOST:PORT")));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = wire.nodes.iter().find(|node| !seen.insert(node.as_str())) {
        return Err(refuse(format!("{twice} is there twice")));
    }
    let Wire { nodes, shards, replicas } = wire;
    Ok(InitRequest { nodes: nodes.into_iter().map(Address).collect(), shards, replicas })
}

/// Returns whether `text` is a host and a port that can be dialled.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ip = bare.unwrap_or(host).parse::<std::net::IpAddr>().ok();
    let well = match bare {
        Some(_) => ip.is_some(),
        None => {
            !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/:@".contains(c))
        }
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    well && digits
        && matches!(port.parse::<u16>(), Ok(1..))
        && !ip.is_some_and(|ip| ip.is_unspecified())
}
