//! What openraft's errors say about a write. One table, without a wildcard: an upgrade that adds a
//! variant fails to compile until someone decides whether it may have taken effect (D1, D7).

use openraft::errors::{ChangeMembershipError, ClientWriteError, Fatal, ForwardReason};

use super::types::Types;

/// What became of an entry that was handed to openraft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It was never appended: route it anew, or say that it was not applied.
    NotAppended(ForwardReason),
    /// It was appended, and nobody here knows what became of it.
    Unknown,
    /// The replica stopped; what it held may have been appended.
    Halted(String),
}

/// Judges the error of a client write.
pub fn of_write(error: &ClientWriteError<Types>) -> Lost {
    match error {
        ClientWriteError::ForwardToLeader(forward) => Lost::NotAppended(forward.reason),
        ClientWriteError::LogEntryDiscarded(_) => Lost::Unknown,
        ClientWriteError::PreconditionFailed(_) => Lost::NotAppended(ForwardReason::NotLeader),
        ClientWriteError::ChangeMembershipError(error) => of_membership(error),
    }
}

/// Judges a failure of the whole replica. It says nothing of the entry in its hands.
pub fn of_fatal(fatal: &Fatal<Types>) -> Lost {
    match fatal {
        Fatal::StorageError(error) => Lost::Halted(error.to_string()),
        Fatal::Panicked => Lost::Halted("the replica panicked".into()),
        Fatal::Stopped => Lost::Halted("the replica was stopped".into()),
    }
}

/// Membership errors answer membership changes; each of them is raised before an entry is appended.
fn of_membership<CLID, NID>(error: &ChangeMembershipError<CLID, NID>) -> Lost
where
    CLID: openraft::vote::RaftCommittedLeaderId,
    NID: openraft::NodeId,
{
    match error {
        ChangeMembershipError::InProgress(_)
        | ChangeMembershipError::EmptyMembership(_)
        | ChangeMembershipError::LearnerNotFound(_)
        | ChangeMembershipError::UnsupportedMembershipTransition(_)
        | ChangeMembershipError::UncommittedLeaderLog(_)
        | ChangeMembershipError::NodeMetadataChanged(_) => {
            Lost::NotAppended(ForwardReason::NotLeader)
        }
    }
}
