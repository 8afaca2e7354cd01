//! What a replica answers to the others.

use bytes::Bytes;
use openraft::Raft;
use openraft::errors::RaftError;
use openraft::raft::AppendEntriesRequest;
use openraft::storage::RaftStateMachine;

use crate::shard::rpc::messages::{Message, decode_request, encode_answer};
use crate::shard::types::Types;
use crate::transport::frame::{Kind, Reason, Refused};
use crate::words::ReplicaId;

/// Answers a request of Raft that needs no more than the replica: vote, pre-vote and transfer leader.
///
/// The first poll reads the request and hands it over, so requests that are polled in the order of
/// their arrival are taken in it.
pub async fn answer<SM>(raft: &Raft<Types, SM>, kind: Kind, body: Bytes) -> Result<Bytes, Refused>
where
    SM: RaftStateMachine<Types>,
{
    match kind {
        Kind::Vote => answered(raft.vote(read(raft, body)?).await),
        Kind::PreVote => answered(raft.pre_vote(read(raft, body)?).await),
        Kind::TransferLeader => {
            let answer = raft.handle_transfer_leader(read(raft, body)?).await;
            answered(answer.map_err(RaftError::Fatal))
        }
        Kind::Append
        | Kind::SnapshotBegin
        | Kind::SnapshotChunk
        | Kind::SnapshotFinish
        | Kind::SnapshotManifest
        | Kind::SnapshotPull
        | Kind::Forward
        | Kind::Confirm
        | Kind::ReadIndex
        | Kind::Transfer
        | Kind::Exchange
        | Kind::Claim
        | Kind::Release
        | Kind::Found => {
            let text = format!("{kind:?} is not for a replica alone");
            Err(Refused::new(Reason::UnknownKind, text))
        }
    }
}

/// Answers an append, if `admit` finds room for its entries. A heartbeat needs none.
pub async fn append<SM, R>(
    raft: &Raft<Types, SM>,
    body: Bytes,
    admit: impl FnOnce(u64) -> Result<R, Refused>,
) -> Result<Bytes, Refused>
where
    SM: RaftStateMachine<Types>,
{
    let bytes = body.len() as u64;
    let request: AppendEntriesRequest<Types> = read(raft, body)?;
    let _room = if request.entries.is_empty() { None } else { Some(admit(bytes)?) };
    answered(raft.append_entries(request).await)
}

/// Refuses a request that is for another replica than the one here: one that is gone.
pub fn check_target(to: ReplicaId, here: ReplicaId) -> Result<(), Refused> {
    if to != here {
        let text = format!("the replica here is {here}, not {to}");
        return Err(Refused::new(Reason::NoReplica, text));
    }
    Ok(())
}

fn read<M: Message, SM>(raft: &Raft<Types, SM>, body: Bytes) -> Result<M, Refused>
where
    SM: RaftStateMachine<Types>,
{
    let (to, message) = decode_request(body)?;
    check_target(to, ReplicaId(*raft.node_id()))?;
    Ok(message)
}

fn answered<M: Message>(answer: Result<M, RaftError<Types>>) -> Result<Bytes, Refused> {
    match answer {
        Ok(message) => Ok(encode_answer(&message)),
        Err(error) => Err(Refused::new(Reason::Halted, error.to_string())),
    }
}
