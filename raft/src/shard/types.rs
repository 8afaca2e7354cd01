//! openraft's types with ours filled in, and the way between the two vocabularies.

use std::fmt;

use bytes::Bytes;
use openraft::OptionalSend;
use openraft::RaftTypeConfig;
use openraft::entry::EntryPayload;
use openraft::impls::leader_id_adv::LeaderId;
use openraft::impls::{BoxedErrorSource, EmptyNode, InlineBatch};
use openraft::raft::responder::Responder;
use openraft::vote::RaftLeaderId;

use crate::command::Reply;
use crate::runtime::Runtime;
use crate::words::{LogPosition, ReplicaId, Term, Vote};

/// An encoded [`crate::command::Entry`]. Cheap to clone: openraft clones each entry for every
/// follower and for apply.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedEntry(pub Bytes);

impl fmt::Debug for EncodedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl fmt::Display for EncodedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The replies to the commands of one entry, in order. Empty for entries of Raft's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replies(pub Vec<Reply>);

impl fmt::Display for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} replies)", self.0.len())
    }
}

/// Hands the outcome of a proposal to whoever waits for it.
pub struct OnComplete<T>(pub Box<dyn FnOnce(T) + Send>);

impl<T> fmt::Debug for OnComplete<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnComplete")
    }
}

impl<T: OptionalSend + 'static> Responder<Types, T> for OnComplete<T> {
    fn on_complete(self, outcome: T) {
        (self.0)(outcome);
    }
}

/// openraft's type configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Types;

impl RaftTypeConfig for Types {
    type D = EncodedEntry;
    type R = Replies;
    type NodeId = u64;
    type Node = EmptyNode;
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = EntryPayload<Self::D, Self::NodeId, Self::Node>;
    type Entry = openraft::impls::Entry<<Self::LeaderId as RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = Runtime;
    type Responder<T>
        = OnComplete<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

/// openraft's log id.
pub type RaftLogId = openraft::type_config::alias::LogIdOf<Types>;
/// openraft's vote.
pub type RaftVote = openraft::type_config::alias::VoteOf<Types>;
/// openraft's entry.
pub type RaftEntry = openraft::type_config::alias::EntryOf<Types>;
/// openraft's membership.
pub type RaftMembership = openraft::Membership<u64, EmptyNode>;

/// Returns our name for openraft's log id.
pub fn position(id: &RaftLogId) -> LogPosition {
    LogPosition { term: term(id.committed_leader_id()), index: id.index }
}

/// Returns openraft's name for our log position.
pub fn log_id(position: LogPosition) -> RaftLogId {
    RaftLogId::new(leader_id(position.term), position.index)
}

/// Returns our name for openraft's vote.
pub fn vote(vote: &RaftVote) -> Vote {
    Vote { term: term(&vote.leader_id), committed: vote.committed }
}

/// Returns openraft's name for our vote.
pub fn raft_vote(vote: Vote) -> RaftVote {
    RaftVote { leader_id: leader_id(vote.term), committed: vote.committed }
}

fn term(id: &LeaderId<u64, u64>) -> Term {
    Term { number: id.term, leader: ReplicaId(id.node_id) }
}

fn leader_id(term: Term) -> LeaderId<u64, u64> {
    LeaderId { term: term.number, node_id: term.leader.0 }
}
