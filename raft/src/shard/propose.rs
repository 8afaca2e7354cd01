//! The way of a command into the log: admitted, batched, proposed, answered.
//!
//! ```text
//!   submit --> queue --> turn --> [ one entry: many commands ] --> openraft --> apply --> each its
//!   (bounded)                     at most one in flight                                  reply
//! ```
//!
//! While an entry is in flight, the commands that arrive gather for the next one; then the shard
//! waits for its turn, which it shares with the node's other shards ([`Pacer`]). So a lone client
//! waits for nobody, and sixty-four clients share one entry, one write and one fsync. Commands go
//! into entries, and entries into the log, in the order of submission (D17).
//!
//! A command whose client gave up is dropped while it is in the queue, and then it was certainly
//! not applied; once it is part of an entry its fate is unknown until the reply comes. The two are
//! told apart by [`Ticket`], which exactly one side takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::ClientWriteResult;
use openraft::{Raft, ServerState};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::counts::Counting;
use super::machine::Machine;
use super::outcome::{self, Lost};
use super::pacer::Pacer;
use super::time::ShardTime;
use super::types::{self, EncodedEntry, OnComplete, Types, position};
use crate::command::{Command, Entry, Reply, codec};
use crate::limits;
use crate::mutant::Mutant;
use crate::wal::Room;
use crate::words::{LogTime, Term};

/// Decides who owns a queued command: its client, who may still withdraw it, or the log.
#[derive(Clone, Debug, Default)]
pub struct Ticket(Arc<AtomicBool>);

impl Ticket {
    /// Takes the command. Returns whether nobody had before.
    pub fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// A command that was carried out.
#[derive(Clone, Debug)]
pub struct Done {
    /// What the state answered.
    pub reply: Reply,
    /// The term that the entry was proposed in.
    pub term: Term,
}

/// Whom a reply goes to.
type Client = oneshot::Sender<Result<Done, Lost>>;

/// A queued command.
#[derive(Debug)]
struct Proposal {
    command: Command,
    bytes: usize,
    ticket: Ticket,
    /// Held until the fate of the command is known.
    room: Room,
    reply: Client,
}

/// A command on its way.
#[derive(Debug)]
pub struct Submitted {
    /// Withdraws the command, if taken before the log takes it.
    pub ticket: Ticket,
    /// Its reply. Closed if the replica stopped.
    pub reply: oneshot::Receiver<Result<Done, Lost>>,
}

/// The bound that a command met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Too many commands.
    Count,
    /// Too many bytes of commands.
    Bytes,
}

/// The commands that are queued or part of an entry whose fate is unknown.
#[derive(Debug, Default)]
struct Held {
    bytes: AtomicUsize,
    none: Notify,
}

impl Held {
    /// Takes `bytes` more, unless that passes the bound.
    fn take(&self, bytes: usize) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if limits::PROPOSALS_INFLIGHT_BYTES_MAX < before + bytes {
            self.release(bytes);
            return false;
        }
        true
    }

    fn release(&self, bytes: usize) {
        if self.bytes.fetch_sub(bytes, Ordering::Relaxed) == bytes {
            self.none.notify_waiters();
        }
    }

    async fn none(&self) {
        loop {
            let mut none = std::pin::pin!(self.none.notified());
            none.as_mut().enable();
            if self.bytes.load(Ordering::Relaxed) == 0 {
                return;
            }
            none.await;
        }
    }
}

/// The submitting end of the queue.
#[derive(Clone, Debug)]
pub struct Proposer {
    queue: mpsc::Sender<Proposal>,
    held: Arc<Held>,
    tick: Arc<Notify>,
    pacer: Pacer,
}

/// The proposing end of the queue.
#[derive(Debug)]
pub struct ProposeLoop {
    raft: Raft<Types, Machine>,
    time: Arc<ShardTime>,
    queue: mpsc::Receiver<Proposal>,
    held: Arc<Held>,
    tick: Arc<Notify>,
    counts: Arc<Counting>,
    pacer: Pacer,
    /// A command that did not fit into the last entry.
    left_over: Option<Proposal>,
}

/// Returns the two ends of a queue into `raft`.
pub fn queue(
    raft: Raft<Types, Machine>,
    time: Arc<ShardTime>,
    counts: Arc<Counting>,
    pacer: Pacer,
) -> (Proposer, ProposeLoop) {
    let (sender, queue) = mpsc::channel(limits::PROPOSALS_INFLIGHT_MAX);
    let (held, tick) = (Arc::<Held>::default(), Arc::new(Notify::new()));
    let proposer = Proposer {
        queue: sender,
        held: Arc::clone(&held),
        tick: Arc::clone(&tick),
        pacer: pacer.clone(),
    };
    let proposing = ProposeLoop { raft, time, queue, held, tick, counts, pacer, left_over: None };
    (proposer, proposing)
}

impl Proposer {
    /// Queues a command that the log has room for, unless a bound is met.
    pub fn submit(&self, command: Command, room: Room) -> Result<Submitted, Overload> {
        let bytes = codec::command_bytes(&command);
        if !self.held.take(bytes) {
            return Err(Overload::Bytes);
        }
        let (sender, reply) = oneshot::channel();
        let ticket = Ticket::default();
        let ticket_here = ticket.clone();
        let proposal = Proposal { command, bytes, ticket: ticket_here, room, reply: sender };
        self.pacer.queued();
        if self.queue.try_send(proposal).is_err() {
            self.pacer.dequeued(1);
            self.held.release(bytes);
            return Err(Overload::Count);
        }
        Ok(Submitted { ticket, reply })
    }

    /// Asks for an entry that moves the state's time on. Calls before it is made share it.
    pub fn tick(&self) {
        self.tick.notify_one();
    }

    /// Waits until the fate of every command that was submitted is known.
    pub async fn settled(&self) {
        self.held.none().await;
    }
}

impl ProposeLoop {
    /// Proposes until every [`Proposer`] is gone.
    pub async fn run(mut self) {
        while let Some(batch) = self.gather().await {
            match self.stamp() {
                Some(stamp) => self.propose(stamp, batch).await,
                None => self.refuse(batch),
            }
        }
    }

    /// Waits for work and for the turn to propose it, and takes what one entry can hold of it. An
    /// empty batch is a tick; `None` is the end.
    async fn gather(&mut self) -> Option<Vec<Proposal>> {
        loop {
            if self.left_over.is_none() {
                tokio::select! {
                    biased;
                    first = self.queue.recv() => self.left_over = Some(first?),
                    () = self.tick.notified() => return Some(self.fill()),
                }
            }
            self.pacer.turn().await;
            let batch = self.fill();
            if !batch.is_empty() {
                return Some(batch);
            }
        }
    }

    /// Takes queued commands, but for those withdrawn, up to the bounds of one entry.
    fn fill(&mut self) -> Vec<Proposal> {
        let mut batch = Vec::new();
        let (mut bytes, mut dequeued) = (codec::ENTRY_HEADER_BYTES, 0);
        while let Some(next) = self.left_over.take().or_else(|| self.queue.try_recv().ok()) {
            let full = batch.len() == limits::ENTRY_COMMANDS_MAX
                || (!batch.is_empty() && limits::ENTRY_BYTES_MAX < bytes + next.bytes);
            if full {
                self.left_over = Some(next);
                break;
            }
            dequeued += 1;
            // Nobody waits where the client went away: it takes its command with it.
            if !next.reply.is_closed() && next.ticket.take() {
                bytes += next.bytes;
                batch.push(next);
            } else {
                self.held.release(next.bytes);
            }
        }
        self.pacer.dequeued(dequeued);
        batch
    }

    /// Hands one entry to openraft and waits until its fate is known.
    async fn propose(&self, stamp: LogTime, batch: Vec<Proposal>) {
        let mut commands = Vec::with_capacity(batch.len());
        let mut replies = Vec::with_capacity(batch.len());
        let mut rooms = Vec::with_capacity(batch.len());
        let mut bytes = 0;
        for proposal in batch {
            bytes += proposal.bytes;
            commands.push(proposal.command);
            replies.push(proposal.reply);
            rooms.push(proposal.room);
        }
        self.counts.proposed(commands.len());
        let entry = Entry { stamp, expired_max: limits::EXPIRED_PER_ENTRY_MAX, commands };
        // Of clients alone: without a map there would be no cluster to lie.
        let of_client = |it: &Command| !matches!(it, Command::Own { .. } | Command::Meta(_));
        if Mutant::AckBeforeQuorum.is_on() && entry.commands.iter().any(of_client) {
            replies = self.answer_early(&entry, replies).await;
        }
        let (done, finished) = oneshot::channel::<()>();
        let held = Arc::clone(&self.held);
        let (counts, proposed) = (Arc::clone(&self.counts), Instant::now());
        let responder = OnComplete(Box::new(move |result: ClientWriteResult<Types>| {
            if result.is_ok() {
                counts.applied(proposed.elapsed());
            }
            answer(replies, result);
            held.release(bytes);
            drop(done);
        }));
        let write = self.raft.write(EncodedEntry(codec::encode(&entry))).responder(responder);
        let handed_over = match self.raft.as_leader() {
            // A deposed leader must not inject a time of its own.
            Ok(leader) => write.with_leader(leader.to_committed_leader_id()).await,
            Err(_not_leader) => write.await,
        };
        if let Err(fatal) = handed_over {
            // The responder went with the entry, so every client learns that the reply is lost.
            tracing::error!(error = ?outcome::of_fatal(&fatal), "the replica stopped");
        }
        // Closed, never sent: by the responder, or with it where the replica stopped.
        drop(finished.await);
        drop(rooms);
    }

    /// Answers before the entry is proposed, as a mutant does, by what it will most likely come to.
    /// Returns clients that are not there, for the answer that comes later.
    async fn answer_early(&self, entry: &Entry, clients: Vec<Client>) -> Vec<Client> {
        let foretold = self.raft.with_state_machine(|machine: &mut Machine| {
            let state = machine.replica.read().state.clone();
            Box::pin(std::future::ready(state))
        });
        let Ok(mut state) = foretold.await else { return clients };
        let term = types::vote(&self.raft.metrics().borrow_watched().vote).term;
        let nobody = clients.iter().map(|_| oneshot::channel().0).collect();
        for (client, reply) in clients.into_iter().zip(state.apply(entry)) {
            drop(client.send(Ok(Done { reply, term })));
        }
        nobody
    }

    /// Returns the time for the next entry, if this replica leads and knows the time.
    fn stamp(&self) -> Option<LogTime> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.state != ServerState::Leader {
            return None;
        }
        self.time.stamp(&super::leadership::voters(&metrics))
    }

    /// Gives commands back that were never part of an entry.
    fn refuse(&self, batch: Vec<Proposal>) {
        for proposal in batch {
            self.held.release(proposal.bytes);
            let lost = Lost::NotAppended(openraft::errors::ForwardReason::NotLeader);
            // The client may have gone.
            drop(proposal.reply.send(Err(lost)));
        }
    }
}

/// What is still queued when the shard stops is lost to its clients, and no round waits for it.
impl Drop for ProposeLoop {
    fn drop(&mut self) {
        self.queue.close();
        let mut dequeued = usize::from(self.left_over.is_some());
        while self.queue.try_recv().is_ok() {
            dequeued += 1;
        }
        self.pacer.dequeued(dequeued);
    }
}

/// Gives each command its own reply, or all of them the same bad news.
fn answer(clients: Vec<Client>, result: ClientWriteResult<Types>) {
    match result {
        Ok(response) => {
            let term = position(&response.log_id).term;
            let replies = response.data.0;
            assert_eq!(clients.len(), replies.len(), "one reply for each command");
            for (client, reply) in clients.into_iter().zip(replies) {
                drop(client.send(Ok(Done { reply, term })));
            }
        }
        Err(error) => {
            let lost = outcome::of_write(&error);
            for client in clients {
                drop(client.send(Err(lost.clone())));
            }
        }
    }
}
