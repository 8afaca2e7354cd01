//! An operator's wish: have that node lead this shard.
//!
//! Any node takes the wish and passes it to the leader's node, once. The leader refuses what would
//! leave the shard without a leader for a while; a refusal changes nothing.
//!
//! ```text
//!   request   version u8 = 1 | to u32 | time left ms u32                (the group is the frame's)
//!   verdict   version u8 = 1 | 0 done | 1 not here | 2 joint | 3 no voter: count u32, node u32 ..
//!                            | 4 unreachable | 5 lags: entries u64 | 6 not ready: standing u8
//!                            | 7 just started | 8 timed out: leader u32, 0 for none
//! ```

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

use super::super::{Inner, Node};
use crate::limits;
use crate::shard::handover::TransferFailure;
use crate::transport::exchange::{Cause, Standing};
use crate::transport::frame::{Kind, Reason, Refused};
use crate::transport::wire::{Malformed, end};
use crate::words::{GroupId, NodeId, ShardId};

const VERSION: u8 = 1;
/// Longest pause before a leader is looked for again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// How much longer than the deadline the leader's verdict is waited for.
const GRACE: Duration = Duration::from_millis(200);

/// Why leadership did not go where an operator wanted it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// This node belongs to no cluster.
    #[error("this node belongs to no cluster yet")]
    NoCluster,
    /// There is no such shard.
    #[error("there is no shard {shard}")]
    NoShard {
        /// The number that was given.
        shard: ShardId,
    },
    /// There is no such node.
    #[error("there is no node {node}")]
    NoNode {
        /// The number that was given.
        node: NodeId,
    },
    /// The leader refused. Nothing was changed.
    #[error("shard {shard} was not transferred: {why}")]
    Refused {
        /// The shard.
        shard: ShardId,
        /// Why.
        why: Refusal,
    },
    /// Nobody led the shard before the deadline. Nothing was changed.
    #[error("shard {shard} had no leader to transfer from in {waited_ms} ms")]
    NoLeader {
        /// The shard.
        shard: ShardId,
        /// How long was waited.
        waited_ms: u64,
    },
    /// The node was asked to lead, and was not seen to.
    #[error("{node} was asked to lead shard {shard}, and was not seen to in time")]
    TimedOut {
        /// The shard.
        shard: ShardId,
        /// The node that was to lead.
        node: NodeId,
        /// Who leads now, if that is known.
        leader: Option<NodeId>,
    },
}

/// Why a leader keeps its shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The voters are being changed.
    #[error("its voters are being changed")]
    Joint,
    /// The node has no vote in the shard.
    #[error("the node has no vote in it; those that have are {}", list(.voters))]
    NotVoter {
        /// Those that have.
        voters: Vec<NodeId>,
    },
    /// The leader has not heard from the node lately.
    #[error("the leader has not heard from the node lately")]
    Unreachable,
    /// The node's replica lacks too much.
    #[error(
        "the node lacks {entries} entries; at most {} may be missing",
        limits::TRANSFER_LAG_ENTRIES_MAX
    )]
    Lags {
        /// How many entries.
        entries: u64,
    },
    /// The node is about to stop.
    #[error("the node is about to stop")]
    Draining,
    /// The node's disk is full.
    #[error("the node's disk is full")]
    DiskFull,
    /// The node has only just started.
    #[error("the node has only just connected")]
    JustStarted,
}

/// What a node says of a wish that was passed to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) enum Verdict {
    /// The node leads.
    Done,
    /// The shard is not led here, or not surely.
    NotHere,
    /// It stays where it is.
    Refused(Refusal),
    /// The node was asked to lead, and was not seen to.
    TimedOut(Option<NodeId>),
}

fn list(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Node {
    /// Has `to` lead `shard`. Does nothing if it does already.
    ///
    /// The preference leaves it there for [`limits::OPERATOR_CHOICE_STANDS`], or until that leader
    /// goes.
    pub async fn transfer_leader(
        &self,
        shard: ShardId,
        to: NodeId,
        deadline: Instant,
    ) -> Result<(), TransferError> {
        self.inner.transfer_leader(shard, to, deadline).await
    }
}

impl Inner {
    async fn transfer_leader(
        &self,
        shard: ShardId,
        to: NodeId,
        deadline: Instant,
    ) -> Result<(), TransferError> {
        let started = Instant::now();
        self.directory.member().ok_or(TransferError::NoCluster)?;
        let (group, nodes) = self.preference(shard).ok_or(TransferError::NoShard { shard })?;
        if to != self.me() && self.transport().peer(to).is_none() {
            return Err(TransferError::NoNode { node: to });
        }
        // Where there is no replica here, those who have one are asked in turn.
        let mut others = nodes.into_iter().cycle();
        loop {
            let leader = match self.shard_of(group) {
                Some(shard) => shard.leadership().leader.map(|leader| leader.node()),
                None => others.next(),
            };
            let verdict = match leader {
                Some(leader) if leader == self.me() => {
                    self.transfer_here(group, to, deadline).await
                }
                Some(leader) => self.transfer_there(leader, group, to, deadline).await,
                None => Verdict::NotHere,
            };
            match verdict {
                Verdict::Done => return Ok(()),
                Verdict::Refused(why) => return Err(TransferError::Refused { shard, why }),
                Verdict::TimedOut(leader) => {
                    return Err(TransferError::TimedOut { shard, node: to, leader });
                }
                Verdict::NotHere => {}
            }
            let now = Instant::now();
            if deadline <= now {
                let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                return Err(TransferError::NoLeader { shard, waited_ms });
            }
            tokio::time::sleep_until(deadline.min(now + RETRY_INTERVAL)).await;
        }
    }

    /// Serves a wish that a peer passed on: here or not at all.
    pub(in crate::node) async fn transfer_for_peer(
        &self,
        group: GroupId,
        body: Bytes,
    ) -> Result<Bytes, Refused> {
        let (to, left) = decode_request(body)
            .map_err(|error| Refused::new(Reason::Malformed, error.to_string()))?;
        let deadline = Instant::now() + left.min(limits::TIMEOUT_MAX);
        Ok(self.transfer_here(group, to, deadline).await.encode())
    }

    async fn transfer_here(&self, group: GroupId, to: NodeId, deadline: Instant) -> Verdict {
        let Some(shard) = self.shard_of(group).filter(crate::shard::Shard::leads) else {
            return Verdict::NotHere;
        };
        if let Some(refusal) = self.unfit(to) {
            return Verdict::Refused(refusal);
        }
        match self.transfer(&shard, to, Cause::Operator, deadline).await {
            Ok(()) => Verdict::Done,
            Err(TransferFailure::NotLeader | TransferFailure::Halted) => Verdict::NotHere,
            Err(TransferFailure::Joint) => Verdict::Refused(Refusal::Joint),
            Err(TransferFailure::NotVoter { voters, .. }) => {
                Verdict::Refused(Refusal::NotVoter { voters })
            }
            Err(TransferFailure::Unreachable { .. }) => Verdict::Refused(Refusal::Unreachable),
            Err(TransferFailure::Lags { entries, .. }) => {
                Verdict::Refused(Refusal::Lags { entries })
            }
            Err(TransferFailure::TimedOut { leader, .. }) => Verdict::TimedOut(leader),
        }
    }

    async fn transfer_there(
        &self,
        leader: NodeId,
        group: GroupId,
        to: NodeId,
        deadline: Instant,
    ) -> Verdict {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(peer) = self.transport().peer(leader) else { return Verdict::NotHere };
        let asked = peer.request(Kind::Transfer, group, encode_request(to, left));
        let Ok(waiting) = asked else { return Verdict::NotHere };
        match timeout_at(deadline + GRACE, waiting).await {
            // Asked twice it does no harm: who leads already stays.
            Ok(answer) => match answer.map(Verdict::decode) {
                Ok(Ok(verdict)) => verdict,
                Ok(Err(error)) => {
                    tracing::error!(%leader, %error, "a verdict cannot be read");
                    Verdict::NotHere
                }
                Err(_no_answer) => Verdict::NotHere,
            },
            Err(_elapsed) => Verdict::TimedOut(None),
        }
    }

    /// Returns why a node cannot be asked to lead, as far as it can be seen from here.
    fn unfit(&self, node: NodeId) -> Option<Refusal> {
        if node == self.me() {
            return None;
        }
        let view = self.view();
        let Some(seen) = view.nodes.get(&node) else { return Some(Refusal::Unreachable) };
        match seen.standing {
            Standing::Draining => Some(Refusal::Draining),
            Standing::DiskFull => Some(Refusal::DiskFull),
            // For so long after its start it must not campaign.
            Standing::Ready => (seen.connected_for <= self.config.settings.election_max)
                .then_some(Refusal::JustStarted),
        }
    }
}

fn encode_request(to: NodeId, left: Duration) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(VERSION);
    out.put_u32(to.0);
    out.put_u32(u32::try_from(left.as_millis()).unwrap_or(u32::MAX));
    out.freeze()
}

fn decode_request(mut input: Bytes) -> Result<(NodeId, Duration), Malformed> {
    check_version(&mut input)?;
    let to = NodeId(input.try_get_u32()?);
    let left = Duration::from_millis(input.try_get_u32()?.into());
    end(&input)?;
    Ok((to, left))
}

fn check_version(input: &mut Bytes) -> Result<(), Malformed> {
    match input.try_get_u8()? {
        VERSION => Ok(()),
        other => Err(Malformed(format!("a transfer of version {other}"))),
    }
}

impl Verdict {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(VERSION);
        match self {
            Self::Done => out.put_u8(0),
            Self::NotHere => out.put_u8(1),
            Self::Refused(Refusal::Joint) => out.put_u8(2),
            Self::Refused(Refusal::NotVoter { voters }) => {
                out.put_u8(3);
                out.put_u32(u32::try_from(voters.len()).expect("a cluster has few nodes"));
                voters.iter().for_each(|voter| out.put_u32(voter.0));
            }
            Self::Refused(Refusal::Unreachable) => out.put_u8(4),
            Self::Refused(Refusal::Lags { entries }) => {
                out.put_u8(5);
                out.put_u64(*entries);
            }
            Self::Refused(Refusal::Draining) => out.put_slice(&[6, Standing::Draining as u8]),
            Self::Refused(Refusal::DiskFull) => out.put_slice(&[6, Standing::DiskFull as u8]),
            Self::Refused(Refusal::JustStarted) => out.put_u8(7),
            Self::TimedOut(leader) => {
                out.put_u8(8);
                out.put_u32(leader.map_or(0, |leader| leader.0));
            }
        }
        out.freeze()
    }

    pub(super) fn decode(mut input: Bytes) -> Result<Self, Malformed> {
        check_version(&mut input)?;
        let verdict = match input.try_get_u8()? {
            0 => Self::Done,
            1 => Self::NotHere,
            2 => Self::Refused(Refusal::Joint),
            3 => {
                let mut voters = Vec::new();
                for _ in 0..input.try_get_u32()? {
                    voters.push(NodeId(input.try_get_u32()?));
                }
                Self::Refused(Refusal::NotVoter { voters })
            }
            4 => Self::Refused(Refusal::Unreachable),
            5 => Self::Refused(Refusal::Lags { entries: input.try_get_u64()? }),
            6 => match input.try_get_u8()? {
                1 => Self::Refused(Refusal::Draining),
                2 => Self::Refused(Refusal::DiskFull),
                other => return Err(Malformed(format!("a standing of {other}"))),
            },
            7 => Self::Refused(Refusal::JustStarted),
            8 => Self::TimedOut(Some(NodeId(input.try_get_u32()?)).filter(|node| node.0 != 0)),
            other => return Err(Malformed(format!("a verdict of kind {other}"))),
        };
        end(&input)?;
        Ok(verdict)
    }
}
