//! Founding a cluster (D8), so that it can be taken up again wherever it stopped.
//!
//! ```text
//!   init at any listed node                     each listed node
//!     | claims itself, durably
//!     | Claim{cluster, id, nodes,
//!     |       shards, replicas}  -------------->  takes exactly one claim, durably,
//!     |                                           opens its replica of shard 0, which waits
//!     | Found  -------------------> node 1:       initialize shard 0, unless it was
//!     | Bootstrap{map} -----------> its leader:   applied once, void afterwards
//!     | waits until its map has    follow it:     the other shards, see `founding`
//!     | every shard active
//! ```
//!
//! Every step may be repeated: the same call goes on where an earlier one stopped, and a claim is
//! answered alike however often it comes. If a node refuses, every other listed node is asked to
//! release its claim, which works only while no Raft state exists. How nodes answer is in
//! [`super::claims`].

use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt;
use tokio::time::Instant;

use super::Inner;
use super::api::{InitAnswer, InitError, InitRequest};
use super::claims::Turn;
use super::identity::ClaimError;
use crate::limits;
use crate::net::Address;
use crate::runtime;
use crate::transport::AskError;
use crate::transport::bootstrap::{Claim, Release, Verdict};
use crate::transport::frame::Kind;
use crate::words::{ClusterId, NodeId};

/// Fewest nodes that survive the loss of one.
const NODES_MIN: usize = 3;

impl Inner {
    /// Founds a cluster, or goes on with founding it.
    pub(super) async fn init(
        self: &Arc<Self>,
        request: InitRequest,
        deadline: Instant,
    ) -> Result<InitAnswer, InitError> {
        let nodes = listed(&request.nodes)?;
        check_numbers(&request)?;
        let node = self.own_place(&nodes)?;
        let turn = self.own_turn(deadline).await?;
        self.check_sound().map_err(|refused| InitError::Unavailable(refused.text))?;
        let InitRequest { shards, replicas, .. } = request;
        let cluster = ClusterId(runtime::random().random());
        let asked = Claim { cluster, node, nodes, shards, replicas };
        let claim = match self.directory.claimed() {
            Some(held) => same_claim(held, asked)?,
            None => self.first_claim(asked).await?,
        };
        // Once there is a map all nodes are claimed and the meta shard leads the way. Nobody needs
        // to be asked again, and one that is down or was replaced is no obstacle.
        let founded =
            !self.table().is_known() && self.found_cluster(&claim, turn, deadline).await?;
        self.all_active(deadline).await.map_err(|why| unfinished(&claim, &why))?;
        Ok(InitAnswer { cluster: claim.cluster, founded })
    }

    /// Waits until no other call founds, and nothing is released, through this node. Two at once
    /// would claim and release the same nodes by turns.
    async fn own_turn(&self, deadline: Instant) -> Result<Turn, InitError> {
        let turn = Arc::clone(&self.founding).lock_owned();
        tokio::time::timeout_at(deadline, turn).await.map_err(|_elapsed| {
            InitError::Unavailable(
                "another call founds a cluster through this node and has not ended; this one \
                 changed nothing; the same call again waits for it"
                    .into(),
            )
        })
    }

    /// Claims this node for a new cluster, once all others are known to be there and free.
    async fn first_claim(&self, claim: Claim) -> Result<Claim, InitError> {
        if let Some(why) = self.led_astray().await {
            return Err(InitError::BadRequest(format!("{why}; nothing was changed")));
        }
        self.check_free(&claim).await?;
        self.own_claim(claim)
    }

    /// Takes all steps from a claim to the first map. Returns whether this call wrote it.
    async fn found_cluster(
        self: &Arc<Self>,
        claim: &Claim,
        turn: Turn,
        deadline: Instant,
    ) -> Result<bool, InitError> {
        match self.claim_others(claim).await {
            Ok(()) => {}
            Err(Unclaimed::Refused(why)) => return Err(self.give_up(claim, turn, &why).await),
            Err(Unclaimed::Unknown(why)) => {
                return Err(InitError::Unavailable(format!(
                    "{why}; the nodes claimed so far wait for the same call, which goes on from here"
                )));
            }
        }
        self.join().await.map_err(InitError::Unavailable)?;
        self.have_founded(claim).await?;
        self.write_map(claim, deadline).await.map_err(|why| unfinished(claim, &why))
    }

    /// Says why peers that dial this node's address would find another, if it is so. An address
    /// that only this node cannot reach, as behind some routers, is taken to be right.
    pub(super) async fn led_astray(&self) -> Option<String> {
        let address = &self.config.peer_advertise;
        let meeting = self.transport().meet(address);
        let met = tokio::time::timeout(limits::BOOTSTRAP_TIMEOUT, meeting).await.ok()?.ok()?;
        (met.directory != self.directory.present().directory).then(|| {
            format!(
                "this node is advertised to its peers as {address}, but another node answers \
                 there; give each an address of its own with --advertise-peer"
            )
        })
    }

    /// Asks every other node whether it is there and free, before anything is changed: a wrong
    /// address on the list must not leave the right ones claimed. Releasing a claim that a node does
    /// not hold changes nothing, and a node that is claimed refuses it.
    async fn check_free(&self, claim: &Claim) -> Result<(), InitError> {
        let nobody = Release { cluster: ClusterId(runtime::random().random()) };
        for (_, address) in others(claim) {
            match self.ask(address, Kind::Release, nobody.encode()).await {
                Ok(Verdict::Done) => {}
                Ok(Verdict::Taken(why) | Verdict::Refused(why)) => {
                    return Err(InitError::Conflict(format!(
                        "{address} is not free: {why}; nothing was changed"
                    )));
                }
                Err(why) => {
                    return Err(InitError::Unavailable(format!(
                        "{why}; nothing was changed: start that node, or correct the list"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Returns the id that the list gives this node.
    fn own_place(&self, nodes: &[(NodeId, Address)]) -> Result<NodeId, InitError> {
        let me = &self.config.peer_advertise;
        let own = nodes.iter().find(|(_, address)| address == me);
        own.map(|(node, _)| *node).ok_or_else(|| {
            InitError::BadRequest(format!(
                "this node is not on the list: its peers reach it at {me}; nothing was changed; \
                 list that address, or send the call to a listed node"
            ))
        })
    }

    /// Claims this node, durably, before any other is claimed. Returns the claim that it holds.
    fn own_claim(&self, claim: Claim) -> Result<Claim, InitError> {
        if let Some(held) = self.directory.claimed() {
            return same_claim(held, claim);
        }
        match self.directory.claim(&claim) {
            Ok(_) => Ok(claim),
            Err(error @ ClaimError::Taken { .. }) => {
                Err(InitError::Conflict(format!("{error}; nothing was changed")))
            }
            Err(error @ ClaimError::Io(_)) => {
                self.fail(error.to_string());
                Err(InitError::Unavailable(error.to_string()))
            }
        }
    }

    async fn claim_others(&self, claim: &Claim) -> Result<(), Unclaimed> {
        for (node, address) in others(claim) {
            let body = Claim { node: *node, ..claim.clone() }.encode();
            match self.ask(address, Kind::Claim, body).await {
                Ok(Verdict::Done) => {}
                Ok(Verdict::Taken(why) | Verdict::Refused(why)) => {
                    return Err(Unclaimed::Refused(format!("{address} cannot be {node}: {why}")));
                }
                Err(why) => return Err(Unclaimed::Unknown(why)),
            }
        }
        Ok(())
    }

    /// Takes all claims back because a node refused its own, and says what that leaves.
    ///
    /// Every other node is asked, for an earlier call may have claimed what this one did not come
    /// to. The own claim goes last, and only if none can be left: it is what lets the same call
    /// release the rest. Without it a new call would found under another id, and a node that still
    /// holds this claim would refuse it for ever.
    async fn give_up(self: &Arc<Self>, claim: &Claim, turn: Turn, refused: &str) -> InitError {
        let release = Release { cluster: claim.cluster };
        let mut held = Vec::new();
        for (_, address) in others(claim) {
            match self.ask(address, Kind::Release, release.encode()).await {
                Ok(Verdict::Done | Verdict::Taken(_)) => {}
                Ok(Verdict::Refused(why)) => held.push(format!("{address}: {why}")),
                Err(why) => held.push(why),
            }
        }
        if held.is_empty()
            && let Err(why) = self.release(claim.cluster, turn).await
        {
            held.push(why.to_string());
        }
        if held.is_empty() {
            return InitError::Conflict(format!(
                "{refused}; what was claimed for this cluster was released"
            ));
        }
        InitError::Unavailable(format!(
            "{refused}; and not every claim could be released: {}; the same call again tries to \
             release them, once all listed nodes can be reached",
            held.join("; ")
        ))
    }

    /// Has node 1 create the meta shard's group.
    async fn have_founded(self: &Arc<Self>, claim: &Claim) -> Result<(), InitError> {
        let (first, address) = &claim.nodes[0];
        let verdict = if *first == claim.node {
            self.found().await
        } else {
            match self.ask(address, Kind::Found, Release { cluster: claim.cluster }.encode()).await
            {
                Ok(verdict) => verdict,
                Err(error) => Verdict::Refused(error.to_string()),
            }
        };
        match verdict {
            Verdict::Done => Ok(()),
            Verdict::Taken(why) | Verdict::Refused(why) => Err(InitError::Unavailable(format!(
                "{first} at {address} did not found the cluster: {why}; the same call again goes \
                 on from here"
            ))),
        }
    }

    async fn ask(&self, address: &Address, kind: Kind, body: Bytes) -> Result<Verdict, String> {
        let asked = self.transport().ask(address, kind, body);
        let answer = tokio::time::timeout(limits::BOOTSTRAP_TIMEOUT, asked)
            .await
            .map_err(|_elapsed| format!("{address} did not answer in time"))?
            .map_err(|error: AskError| error.to_string())?;
        Verdict::decode(answer).map_err(|error| format!("{address} answered nonsense: {error}"))
    }
}

/// Why a node is not claimed.
enum Unclaimed {
    /// It refused.
    Refused(String),
    /// It did not answer, or could not tell: it may be claimed.
    Unknown(String),
}

fn unfinished(claim: &Claim, why: &str) -> InitError {
    let cluster = claim.cluster;
    InitError::Unavailable(format!(
        "all nodes are claimed for cluster {cluster}, but not all of its shards serve yet: {why}; \
         the same call again goes on from here"
    ))
}

/// Returns all nodes of a claim but the one that it claims.
fn others(claim: &Claim) -> impl Iterator<Item = &(NodeId, Address)> {
    claim.nodes.iter().filter(|(node, _)| *node != claim.node)
}

/// Returns the claim held if it is for the same cluster as the one asked for.
fn same_claim(held: Claim, asked: Claim) -> Result<Claim, InitError> {
    let asked = Claim { cluster: held.cluster, ..asked };
    if held == asked {
        return Ok(held);
    }
    let listed: Vec<String> = held.nodes.iter().map(|(_, it)| it.to_string()).collect();
    Err(InitError::Conflict(format!(
        "this node is {} of cluster {} already, with {} shards, {} replicas of each and the nodes \
         {}; nothing was changed; to go on founding that cluster, ask for the same numbers and \
         list exactly these nodes in this order",
        held.node,
        held.cluster,
        held.shards,
        held.replicas,
        listed.join(" ")
    )))
}

/// Gives the listed nodes their ids, in order.
fn listed(addresses: &[Address]) -> Result<Vec<(NodeId, Address)>, InitError> {
    let bad = |why: String| Err(InitError::BadRequest(format!("{why}; nothing was changed")));
    if addresses.len() < NODES_MIN || limits::NODES_MAX < addresses.len() {
        let count = addresses.len();
        return bad(format!(
            "a cluster has {NODES_MIN} to {} nodes, and {count} are listed; list the peer address \
             of each",
            limits::NODES_MAX
        ));
    }
    for (index, address) in addresses.iter().enumerate() {
        if addresses[..index].contains(address) {
            return bad(format!("{address} is listed twice"));
        }
        if limits::TEXT_BYTES_MAX < address.0.len() {
            let most = limits::TEXT_BYTES_MAX;
            return bad(format!("an address has more than {most} bytes"));
        }
    }
    Ok((1..).map(NodeId).zip(addresses.iter().cloned()).collect())
}

/// Refuses numbers that no cluster of these nodes can have.
fn check_numbers(request: &InitRequest) -> Result<(), InitError> {
    let InitRequest { nodes, shards, replicas } = request;
    let bad = |why: String| Err(InitError::BadRequest(format!("{why}; nothing was changed")));
    if !(1..=limits::SHARDS_MAX).contains(shards) {
        let most = limits::SHARDS_MAX;
        return bad(format!("a cluster has 1 to {most} shards, and {shards} are asked for"));
    }
    if *replicas < limits::REPLICAS_MIN || replicas.is_multiple_of(2) {
        let least = limits::REPLICAS_MIN;
        return bad(format!(
            "{replicas} replicas are asked for; it must be an odd number from {least} on, for an \
             even one survives no more failures than the next lower odd one"
        ));
    }
    if nodes.len() < *replicas as usize {
        let count = nodes.len();
        return bad(format!("{replicas} replicas need as many nodes, and {count} are listed"));
    }
    Ok(())
}
