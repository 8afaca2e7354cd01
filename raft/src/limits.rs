//! Every bound in the system. A queue, buffer or loop whose bound is not here is a bug
//! (invariant 10). Units are part of the names.

use std::time::Duration;

/// Longest key.
pub const KEY_BYTES_MAX: usize = 1 << 10;
/// Longest value.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// Longest time to live: a hundred years.
pub const TTL_MS_MAX: u64 = 100 * 366 * 24 * 3600 * 1000;

/// Most commands in one log entry.
pub const ENTRY_COMMANDS_MAX: usize = 1_024;
/// Largest encoded log entry. A command that does not fit beside others gets an entry of its own.
pub const ENTRY_BYTES_MAX: usize = 2 << 20;
/// Most checks and steps of one transaction.
pub const TRANSACTION_ITEMS_MAX: usize = 1_000;
/// Largest transaction: alone it fills an entry.
pub const TRANSACTION_BYTES_MAX: usize = ENTRY_BYTES_MAX - (1 << 10);
/// Most keys in one page of a list.
pub const PAGE_KEYS_MAX: usize = 1_000;
/// Bytes of keys and values in one page past which it ends, and of JSON that it takes at most.
pub const PAGE_BYTES_MAX: usize = 8 << 20;
/// Most of these bytes that come from one shard: with the last key and value they fit a frame.
pub const STRETCH_BYTES_MAX: usize = 4 << 20;
/// Most keys that a scan of a shard looks at, also where it passes them over.
pub const SCAN_LOOKS_MAX: usize = 8_192;
/// Most items of one request about many keys.
pub const BATCH_ITEMS_MAX: usize = 1_000;
/// Most keys of an import that are written at the same time.
pub const IMPORT_WINDOW_KEYS_MAX: usize = 2_048;
/// Bytes of an import's lines past which no more are written at the same time.
pub const IMPORT_WINDOW_BYTES_MAX: usize = 4 << 20;
/// Longest line of an import: the largest key and value, should each byte take six in JSON.
pub const IMPORT_LINE_BYTES_MAX: usize = 8 << 20;
/// Most bytes of values that one transaction finds. It is written into each: replicas of different
/// versions must agree on it.
pub const TRANSACTION_FOUND_BYTES_MAX: u32 = 2 << 20;
/// Most expired keys that one entry removes, so that no entry stalls the log. It is written into
/// each entry: replicas of different versions must agree on it.
pub const EXPIRED_PER_ENTRY_MAX: u32 = 256;

/// Most commands that a shard has accepted and not yet answered.
pub const PROPOSALS_INFLIGHT_MAX: usize = 8_192;
/// Most bytes of such commands.
pub const PROPOSALS_INFLIGHT_BYTES_MAX: usize = 64 << 20;
/// Longest time that a shard with commands waits for its siblings' commands, so that their entries
/// share a write. Less than a lone write takes.
pub const ROUND_WAIT_MAX: Duration = Duration::from_micros(200);
/// Most times that it looks for them meanwhile.
pub const ROUND_YIELDS_MAX: u32 = 256;
/// Most linearizable reads of a shard that wait for their confirmation.
pub const READS_WAITING_MAX: usize = 8_192;
/// Most requests at a node that wait for a key to change: each has a connection, and others must find one.
pub const KEY_WAITS_MAX: usize = 1_024;
/// Longest such wait.
pub const KEY_WAIT_MAX: Duration = Duration::from_secs(30);

/// Largest frame between nodes, header included.
pub const FRAME_BYTES_MAX: usize = 8 << 20;
/// Most bytes of entries in one AppendEntries request, unless a single entry is larger.
pub const APPEND_BYTES_MAX: usize = 4 << 20;
/// Most frames that wait for their answer on one connection.
pub const FRAMES_INFLIGHT_MAX: usize = 4_096;
/// Most bytes that wait to be sent on one connection.
pub const SEND_QUEUE_BYTES_MAX: usize = 64 << 20;
/// How long a handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// Most accepted peer connections that have not completed their handshake.
pub const HANDSHAKES_INFLIGHT_MAX: usize = 64;
/// Shortest token that clients and peers share: what cannot be guessed.
pub const TOKEN_BYTES_MIN: usize = 16;
/// Longest such token.
pub const TOKEN_BYTES_MAX: usize = 1 << 10;
/// Longest handshake message after its fixed head. It must hold [`BOOTS_KEPT_MAX`] nonces.
pub const HANDSHAKE_BYTES_MAX: usize = 64 << 10;
/// Most accepted peer connections.
pub const CONNECTIONS_MAX: usize = 4 * NODES_MAX + HANDSHAKES_INFLIGHT_MAX;
/// Shortest pause before a peer is dialled again.
pub const REDIAL_MIN: Duration = Duration::from_millis(50);
/// Longest such pause.
pub const REDIAL_MAX: Duration = Duration::from_secs(2);
/// Time between the exchanges of clocks and sequences on a connection.
pub const EXCHANGE_INTERVAL: Duration = Duration::from_secs(1);
/// Silence after which a connection is given up for dead.
pub const PEER_SILENCE_MAX: Duration = Duration::from_secs(5);
/// Longest text in a message between nodes: an address, or a sentence that says what is wrong.
pub const TEXT_BYTES_MAX: usize = 1 << 10;
/// Most AppendEntries requests of one replication stream that wait for their answer.
pub const APPENDS_INFLIGHT_MAX: usize = 64;
/// Most bytes of such requests, unless a single one is larger.
pub const APPENDS_INFLIGHT_BYTES_MAX: usize = 8 << 20;
/// Longest time for which a leader keeps to itself that an entry is committed, in case another one
/// leaves meanwhile and tells the followers.
pub const COMMIT_HOLD: Duration = Duration::from_millis(5);
/// How long a follower may take to store entries before the stream that sent them starts anew.
pub const APPEND_ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Most chunks of one snapshot that wait for their answer.
pub const CHUNKS_INFLIGHT_MAX: usize = 8;
/// How long a peer may take to store a chunk of a snapshot.
pub const CHUNK_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may take to publish and install a snapshot that it has received.
pub const INSTALL_ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Most (boot, nonce) pairs that an identity keeps; the oldest go first.
pub const BOOTS_KEPT_MAX: usize = 4_096;
/// Most nodes in a cluster.
pub const NODES_MAX: usize = 100;
/// Most shards of a cluster that hold keys: all but the meta shard.
pub const SHARDS_MAX: u32 = 256;
/// Such shards of a new cluster, by default.
pub const SHARDS_DEFAULT: u32 = 6;
/// Fewest replicas of a shard: they survive the loss of one.
pub const REPLICAS_MIN: u32 = 3;
/// Replicas of each shard of a new cluster, by default.
pub const REPLICAS_DEFAULT: u32 = 3;

/// How long a node must have been connected without a break before it is preferred as a leader, and
/// how long a leader leads before it looks for a better one: no decision is based on a moment.
pub const LEADER_STABLE_MIN: Duration = Duration::from_secs(5);
/// Time between two looks at who should lead what.
pub const LEADER_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Most entries that a follower may lack and still be asked to lead: it gets them first, and until
/// then nobody can write.
pub const TRANSFER_LAG_ENTRIES_MAX: u64 = 64;
/// Most transfers of one shard within [`TRANSFERS_WINDOW`], those that an operator asks for aside.
pub const TRANSFERS_MAX: usize = 2;
/// The time in which they are counted.
pub const TRANSFERS_WINDOW: Duration = Duration::from_secs(60);
/// How long a leader that an operator chose stays, whatever the preference says.
pub const OPERATOR_CHOICE_STANDS: Duration = Duration::from_secs(600);
/// Most transfers that a node remembers; the oldest go first.
pub const MOVES_KEPT_MAX: usize = 1_024;
/// Transfers of one shard that it remembers.
pub const MOVES_KEPT_PER_SHARD: usize = 4;

/// Most bytes in one write to the log: one batch of queued records.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// Most records that wait for the log's writer.
pub const LOG_QUEUE_MAX: usize = 16_384;
/// Bytes of one log segment, by default.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// Smallest setting of the segment size. A segment must hold its head, the largest batch and the
/// closing batch.
pub const SEGMENT_BYTES_MIN: u64 = 16 << 20;
/// Segments on disk past which shards that pin the oldest are made to snapshot, by default.
pub const SEGMENTS_MAX_DEFAULT: usize = 8;
/// Segments kept for reuse when they are no longer needed; more are deleted. One is the reserve.
pub const SEGMENTS_FREE_MAX: usize = 2;
/// Bytes of a new segment that are filled with zeros between two batches.
pub const SEGMENT_FILL_BYTES: usize = 1 << 20;
/// The part of the log's memory that leaders leave to followers: one in so many.
pub const LOG_FOLLOWER_PART: u64 = 8;
/// The part of the log's bound at which the shard that holds most of it snapshots: one in so many.
pub const LOG_SNAPSHOT_PART: u64 = 3;
/// The part of a segment that a quiet shard's entries may take and still be written again, to
/// free the oldest segment, instead of waiting for a snapshot: one in so many.
pub const LOG_REPLACE_PART: u64 = 16;
/// Bytes of entries since the last purge that a node keeps in memory, over all shards, by default.
pub const LOG_MEMORY_BYTES_DEFAULT: u64 = 192 << 20;

/// Bytes of one chunk of a snapshot's content. Above a quarter of sled's segment a value becomes a
/// file of its own, so stay below.
pub const CHUNK_BYTES: usize = 96 << 10;
/// Bytes of a snapshot written between two pauses.
pub const SNAPSHOT_PACE_BYTES: usize = 1 << 20;
/// Length of such a pause: at most 200 MiB/s are taken from the log.
pub const SNAPSHOT_PACE_PAUSE: Duration = Duration::from_millis(5);
/// Bytes of sled's own cache, for each snapshot that is being written or read. What bounds its
/// memory is the size of a row.
pub const SLED_CACHE_BYTES: u64 = 16 << 20;
/// Bytes of a chunk that sled stores under one key. It keeps some 4,096 of them in memory.
pub const SLED_ROW_BYTES: usize = 4 << 10;
/// Bytes that are copied at once when a snapshot is opened or sealed.
pub const SNAPSHOT_COPY_BYTES: usize = 1 << 20;
/// Snapshots that a shard keeps on disk: the newest and the one to fall back to. A test holds the
/// code to it.
pub const SNAPSHOTS_KEPT: usize = 2;

/// Most askers that wait for a snapshot of a shard.
pub const SNAPSHOT_ASKERS_MAX: usize = 8;

/// How long a node may take to answer a step of founding a cluster.
pub const BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two announcements of a node's new addresses, at first.
pub const ANNOUNCE_RETRY_MIN: Duration = Duration::from_secs(1);
/// Longest such time.
pub const ANNOUNCE_RETRY_MAX: Duration = Duration::from_secs(60);
/// Bytes on their way in one direction of a simulated connection.
pub const SIM_PIPE_BYTES: usize = 256 << 10;
/// Longest piece in which they arrive.
pub const SIM_SEGMENT_BYTES: usize = 16 << 10;
/// Most simulated connections that wait to be accepted.
pub const SIM_BACKLOG_MAX: usize = 256;

/// Longest time that a request may ask for.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// Time for a write that names none.
pub const WRITE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// Time for a read that names none.
pub const READ_TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);

const _: () = assert!(KEY_BYTES_MAX + VALUE_BYTES_MAX < ENTRY_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX < APPEND_BYTES_MAX);
const _: () = assert!(KEY_BYTES_MAX + VALUE_BYTES_MAX < TRANSACTION_BYTES_MAX);
const _: () = assert!(2 * (TRANSACTION_FOUND_BYTES_MAX as usize) < FRAME_BYTES_MAX);
const _: () = assert!(APPEND_BYTES_MAX + ENTRY_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(APPEND_BYTES_MAX < BATCH_BYTES_MAX);
const _: () = assert!(8 * BOOTS_KEPT_MAX + 3 * TEXT_BYTES_MAX < HANDSHAKE_BYTES_MAX);
const _: () = assert!(CHUNK_BYTES < FRAME_BYTES_MAX);
const _: () = assert!(6 * (KEY_BYTES_MAX + VALUE_BYTES_MAX) + 1_024 < IMPORT_LINE_BYTES_MAX);
const _: () = assert!(2 * STRETCH_BYTES_MAX <= PAGE_BYTES_MAX);
const _: () = assert!(
    STRETCH_BYTES_MAX + VALUE_BYTES_MAX + 64 * PAGE_KEYS_MAX + KEY_BYTES_MAX < FRAME_BYTES_MAX
);
const _: () = assert!(2 * TEXT_BYTES_MAX * NODES_MAX < ENTRY_BYTES_MAX / 2);
const _: () = assert!(8 * NODES_MAX * (SHARDS_MAX as usize + 1) < ENTRY_BYTES_MAX / 2);
const _: () = assert!(2 * EXCHANGE_INTERVAL.as_millis() < PEER_SILENCE_MAX.as_millis());
const _: () = assert!(2 * (BATCH_BYTES_MAX as u64) <= SEGMENT_BYTES_MIN);
const _: () = assert!(TRANSFERS_MAX <= MOVES_KEPT_PER_SHARD);
const _: () = assert!(2 * EXCHANGE_INTERVAL.as_millis() < LEADER_STABLE_MIN.as_millis());
const _: () = assert!(0 < EXPIRED_PER_ENTRY_MAX);
const _: () = assert!(CHUNK_BYTES < 128 << 10);
