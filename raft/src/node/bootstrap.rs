//! Founding a cluster (D8), so that it can be taken up again wherever it stopped.
//!
//! ```text
//!   init at any listed node                     each listed node
//!     | claims itself, durably
//!     | Claim{cluster, id, nodes}  ------------>  takes exactly one claim, durably,
//!     |                                           opens its replica, which waits
//!     | Found  -------------------> node 1:       initialize, unless it was
//!     | Own{all slots, epoch 1} --> the leader:   applied once, void afterwards
//! ```
//!
//! Every step may be repeated: the same call goes on where an earlier one stopped, and a claim is
//! answered alike however often it comes. If a node refuses, all claims of this call are released,
//! which works only while no Raft state exists.

use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt;
use tokio::time::Instant;

use super::api::{InitAnswer, InitError, InitRequest, Operation, Route};
use super::identity::ClaimError;
use super::{Inner, SHARD};
use crate::command::Command;
use crate::limits;
use crate::net::Address;
use crate::runtime;
use crate::transport::AskError;
use crate::transport::bootstrap::{Claim, Release, Verdict};
use crate::transport::frame::{Kind, Refused};
use crate::words::{ClusterId, Epoch, NodeId, ReplicaId, Slot};

/// Fewest nodes that survive the loss of one.
const NODES_MIN: usize = 3;
/// The version of the first slot map.
const FIRST_EPOCH: Epoch = Epoch(1);

impl Inner {
    /// Founds a cluster, or goes on with founding it.
    pub(super) async fn init(
        self: &Arc<Self>,
        request: InitRequest,
        deadline: Instant,
    ) -> Result<InitAnswer, InitError> {
        let nodes = listed(&request.nodes)?;
        let node = self.own_place(&nodes)?;
        if self.directory.claimed().is_none() {
            self.check_free(&nodes).await?;
        }
        let claim = self.own_claim(node, &nodes)?;
        let cluster = claim.cluster;
        self.claim_others(&claim).await?;
        self.join().await.map_err(InitError::Unavailable)?;
        self.have_founded(&claim).await?;
        let before =
            self.shard(SHARD).is_some_and(|shard| shard.content().state.epoch() != Epoch(0));
        let slots = vec![first_slot()..=last_slot()];
        let own = Operation::Write(Command::Own { slots, epoch: FIRST_EPOCH });
        match self.serve(own, Route::Proxy, deadline).await {
            Ok(_) => Ok(InitAnswer { cluster, founded: !before }),
            Err(error) => Err(InitError::Unavailable(format!(
                "all nodes are claimed for cluster {cluster}, but its shard does not serve yet: \
                 {error}; the same call again goes on from here"
            ))),
        }
    }

    /// Asks every other node whether it is there and free, before anything is changed: a wrong
    /// address on the list must not leave the right ones claimed. Releasing a claim that a node does
    /// not hold changes nothing, and a node that is claimed refuses it.
    async fn check_free(&self, nodes: &[(NodeId, Address)]) -> Result<(), InitError> {
        let nobody = Release { cluster: ClusterId(runtime::random().random()) };
        for (_, address) in nodes.iter().filter(|(_, it)| *it != self.config.peer_advertise) {
            match self.ask(address, Kind::Release, nobody.encode()).await {
                Ok(Verdict::Done) => {}
                Ok(Verdict::Refused(why)) => {
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

    /// Claims this node, durably, before any other is claimed.
    fn own_claim(&self, node: NodeId, nodes: &[(NodeId, Address)]) -> Result<Claim, InitError> {
        if let Some(held) = self.directory.claimed() {
            return self.same_claim(held, nodes);
        }
        let cluster = ClusterId(runtime::random().random());
        let claim = Claim { cluster, node, nodes: nodes.to_vec() };
        match self.directory.claim(&claim) {
            Ok(_) => Ok(claim),
            Err(ClaimError::Taken { held }) => Err(conflict(&held)),
            Err(ClaimError::Io(error)) => Err(self.broken(&error)),
        }
    }

    fn same_claim(&self, held: Claim, nodes: &[(NodeId, Address)]) -> Result<Claim, InitError> {
        if held.nodes == nodes {
            return Ok(held);
        }
        let listed: Vec<String> = held.nodes.iter().map(|(_, it)| it.to_string()).collect();
        Err(InitError::Conflict(format!(
            "this node is {} of cluster {} already, with the nodes {}; nothing was changed; to go \
             on founding that cluster, list exactly these nodes in this order",
            held.node,
            held.cluster,
            listed.join(" ")
        )))
    }

    async fn claim_others(self: &Arc<Self>, claim: &Claim) -> Result<(), InitError> {
        let mut claimed = Vec::new();
        for (node, address) in &claim.nodes {
            if *node == claim.node {
                continue;
            }
            let body = Claim { node: *node, ..claim.clone() }.encode();
            match self.ask(address, Kind::Claim, body).await {
                Ok(Verdict::Done) => claimed.push(address),
                Ok(Verdict::Refused(why)) => {
                    let refused = format!("{address} cannot be {node}: {why}");
                    return Err(self.give_up(claim, &claimed, refused).await);
                }
                Err(error) => {
                    return Err(InitError::Unavailable(format!(
                        "{error}; the nodes claimed so far wait for the same call, which goes on \
                         from here"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Takes all claims back because a node refused its own, and says what that leaves.
    ///
    /// The own claim goes last, and only if all others went: it is what lets the same call release
    /// the rest. Without it a new call would found under another id, and a node that still holds
    /// this claim would refuse it for ever.
    async fn give_up(
        self: &Arc<Self>,
        claim: &Claim,
        claimed: &[&Address],
        refused: String,
    ) -> InitError {
        match self.release_all(claim, claimed).await {
            Ok(()) => InitError::Conflict(format!(
                "{refused}; what was claimed for this cluster was released"
            )),
            Err(why) => InitError::Unavailable(format!(
                "{refused}; and not every claim could be released: {why}; the same call again \
                 tries to release them"
            )),
        }
    }

    async fn release_all(
        self: &Arc<Self>,
        claim: &Claim,
        claimed: &[&Address],
    ) -> Result<(), String> {
        let release = Release { cluster: claim.cluster };
        let mut held = Vec::new();
        for address in claimed {
            match self.ask(address, Kind::Release, release.encode()).await {
                Ok(Verdict::Done) => {}
                Ok(Verdict::Refused(why)) => held.push(format!("{address}: {why}")),
                Err(why) => held.push(why),
            }
        }
        if held.is_empty() { self.release(release).await } else { Err(held.join("; ")) }
    }

    /// Has node 1 create the group.
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
            Verdict::Refused(why) => Err(InitError::Unavailable(format!(
                "{first} at {address} did not found the cluster: {why}; the same call again goes \
                 on from here"
            ))),
        }
    }

    /// Creates the group, unless it exists.
    async fn found(self: &Arc<Self>) -> Verdict {
        let (Some(claim), Some(shard)) = (self.directory.claimed(), self.shard(SHARD)) else {
            return Verdict::Refused("this node belongs to no cluster".into());
        };
        let replicas: Vec<ReplicaId> =
            claim.nodes.iter().map(|(node, _)| ReplicaId::new(*node, 1)).collect();
        match shard.found(&replicas).await {
            Ok(()) => Verdict::Done,
            Err(error) => Verdict::Refused(error.to_string()),
        }
    }

    /// Answers a claim from the node that founds a cluster.
    pub(super) async fn claimed_by_peer(self: &Arc<Self>, body: Bytes) -> Result<Verdict, Refused> {
        let claim = Claim::decode(body)?;
        let listed = claim.nodes.iter().find(|(node, _)| *node == claim.node);
        if listed.is_none_or(|(_, address)| *address != self.config.peer_advertise) {
            return Ok(Verdict::Refused(format!(
                "it is advertised as {}, so the list must have it under that address",
                self.config.peer_advertise
            )));
        }
        match self.directory.claim(&claim) {
            Ok(_) => {}
            Err(ClaimError::Taken { held }) => {
                return Ok(Verdict::Refused(format!("it is {held} already")));
            }
            Err(error @ ClaimError::Io(_)) => {
                self.fail(error.to_string());
                return Ok(Verdict::Refused(error.to_string()));
            }
        }
        Ok(match self.join().await {
            Ok(()) => Verdict::Done,
            Err(why) => Verdict::Refused(why),
        })
    }

    /// Answers a release.
    pub(super) async fn released_by_peer(
        self: &Arc<Self>,
        body: Bytes,
    ) -> Result<Verdict, Refused> {
        let release = Release::decode(body)?;
        Ok(match self.release(release).await {
            Ok(()) => Verdict::Done,
            Err(why) => Verdict::Refused(why),
        })
    }

    /// Answers the request to create the group.
    pub(super) async fn found_for_peer(self: &Arc<Self>, body: Bytes) -> Result<Verdict, Refused> {
        let Release { cluster } = Release::decode(body)?;
        match self.directory.member() {
            Some(member) if member.cluster == cluster => Ok(self.found().await),
            Some(_) | None => Ok(Verdict::Refused("this node is not of that cluster".into())),
        }
    }

    /// Takes this node's claim back, if no Raft state was made under it.
    async fn release(self: &Arc<Self>, Release { cluster }: Release) -> Result<(), String> {
        let mut joined = self.joined.lock().await;
        let founded = "the cluster has been founded; a claim cannot be released any more";
        let is_ours = self.directory.member().is_some_and(|member| member.cluster == cluster);
        if is_ours && self.has_raft_state() {
            return Err(founded.into());
        }
        if is_ours {
            self.leave(&mut joined).await;
        }
        // The replica may have voted, or been given entries, until it had stopped.
        if is_ours && self.has_raft_state() {
            drop(joined);
            self.join().await?;
            return Err(founded.into());
        }
        self.directory.release(cluster).map_err(|error| {
            if let ClaimError::Io(_) = error {
                self.fail(error.to_string());
            }
            error.to_string()
        })
    }

    async fn ask(&self, address: &Address, kind: Kind, body: Bytes) -> Result<Verdict, String> {
        let asked = self.transport().ask(address, kind, body);
        let answer = tokio::time::timeout(limits::BOOTSTRAP_TIMEOUT, asked)
            .await
            .map_err(|_elapsed| format!("{address} did not answer in time"))?
            .map_err(|error: AskError| error.to_string())?;
        Verdict::decode(answer).map_err(|error| format!("{address} answered nonsense: {error}"))
    }

    fn broken(&self, error: &std::io::Error) -> InitError {
        let why = format!("the identity could not be written: {error}");
        self.fail(why.clone());
        InitError::Unavailable(why)
    }
}

fn conflict(held: &str) -> InitError {
    InitError::Conflict(format!("this node is {held} already; nothing was changed"))
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
    }
    Ok((1..).map(NodeId).zip(addresses.iter().cloned()).collect())
}

fn first_slot() -> Slot {
    Slot::new(0).expect("there is a first slot")
}

fn last_slot() -> Slot {
    Slot::new(Slot::COUNT - 1).expect("there is a last slot")
}
