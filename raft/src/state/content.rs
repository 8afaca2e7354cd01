//! The state as a stream of bytes: what snapshots hold, and what replicas are compared by.
//!
//! ```text
//!   header    version u8 = 2 | now u64 | applied u64 | epoch u64 | slots | meta | keys u64
//!   each key, ascending
//!             revision u64 | option deadline u64 | key | value
//!
//!   slots, option, key, value: as in entries; meta: the cluster's map; integers big-endian
//! ```
//!
//! Version 1 had no map and is still read: the map is then empty.
//!
//! Nothing else is in the stream, for nothing else is independent: the index of deadlines and the
//! count of bytes follow from the keys. Keys past their deadline are in it until an entry removes
//! them, on all replicas the same one. So equal states have equal streams, and the other way round
//! (invariant 3 of the design).
//!
//! The stream is cut into chunks without regard to what it says: a long value spans several.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3;

use super::State;
use super::meta::Meta;
use super::stored::Stored;
use super::tree;
use crate::command::codec::DecodeError;
use crate::command::codec::fields::{
    get_key, get_option, get_slots, get_value, put_key_bytes, put_option, put_slots,
    put_value_bytes,
};
use crate::limits::CHUNK_BYTES;
use crate::words::{Epoch, LogTime, Revision};

/// The version that is written.
const CONTENT_VERSION: u8 = 2;
/// The version before the cluster's map.
const CONTENT_VERSION_MAPLESS: u8 = 1;

impl State {
    /// Returns the content stream, in chunks of [`CHUNK_BYTES`]; the last may be shorter.
    pub fn chunks(&self) -> impl Iterator<Item = Bytes> {
        let mut buffer = BytesMut::with_capacity(2 * CHUNK_BYTES);
        buffer.put_u8(CONTENT_VERSION);
        buffer.put_u64(self.now.0);
        buffer.put_u64(self.applied.0);
        buffer.put_u64(self.epoch.0);
        put_slots(&mut buffer, &self.slots);
        self.meta.put(&mut buffer);
        buffer.put_u64(self.keys());
        Chunks { buffer, keys: self.stored.iter() }
    }

    /// Returns xxh3-128 of the content stream.
    pub fn hash(&self) -> u128 {
        let mut hash = Xxh3::new();
        self.chunks().for_each(|chunk| hash.update(&chunk));
        hash.digest128()
    }
}

/// The chunks of a state's content stream.
struct Chunks<'a> {
    /// What the next chunk begins with. At most a chunk and one key with its value.
    buffer: BytesMut,
    keys: tree::Iter<'a>,
}

impl Iterator for Chunks<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while self.buffer.len() < CHUNK_BYTES {
            let Some(stored) = self.keys.next() else { break };
            self.buffer.put_u64(stored.revision().0);
            put_option(&mut self.buffer, stored.deadline().map(|deadline| deadline.0));
            put_key_bytes(&mut self.buffer, stored.key());
            put_value_bytes(&mut self.buffer, stored.value_bytes());
        }
        let len = self.buffer.len().min(CHUNK_BYTES);
        (0 < len).then(|| self.buffer.split_to(len).freeze())
    }
}

/// Rebuilds a state from its content stream.
#[derive(Debug, Default)]
pub struct Loader {
    /// What has come of the next part of the stream. At most a chunk and the header, or a chunk and
    /// one key with its value.
    buffer: BytesMut,
    state: State,
    /// How many keys are still to come. `None` before the header.
    keys_left: Option<u64>,
}

/// Why a content stream is not that of a state. Another snapshot may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Its bytes are malformed.
    #[error("the content cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    /// A key does not follow the one before it.
    #[error("the keys of the content are out of order")]
    Disorder,
    /// A key claims a revision that the shard had not reached.
    #[error("a key of the content has revision {found}, yet only {applied} mutations were applied")]
    FromTheFuture {
        /// The key's revision.
        found: Revision,
        /// The count of mutations in the header.
        applied: Revision,
    },
}

impl Loader {
    /// Takes the next bytes of the stream, however it was cut.
    ///
    /// After an error the loader is of no use.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.buffer.extend_from_slice(bytes);
        while !self.buffer.is_empty() {
            match self.take_one() {
                Err(LoadError::Malformed(DecodeError::Truncated)) => return Ok(()),
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// Returns the state, if the stream was complete.
    pub fn finish(self) -> Result<State, LoadError> {
        match self.keys_left {
            Some(0) => Ok(self.state),
            Some(_) | None => Err(DecodeError::Truncated.into()),
        }
    }

    /// Takes the header or one key off the buffer. Truncated: nothing was taken, more must come.
    fn take_one(&mut self) -> Result<(), LoadError> {
        let mut input = &self.buffer[..];
        match self.keys_left {
            None => {
                let (state, keys) = get_header(&mut input)?;
                self.state = state;
                self.keys_left = Some(keys);
            }
            Some(0) => return Err(DecodeError::Trailing { bytes: input.len() }.into()),
            Some(left) => {
                self.state.load(get_stored(&mut input)?)?;
                self.keys_left = Some(left - 1);
            }
        }
        let taken = self.buffer.len() - input.len();
        self.buffer.advance(taken);
        Ok(())
    }
}

impl State {
    /// Stores the next key of a content stream.
    fn load(&mut self, stored: Stored) -> Result<(), LoadError> {
        let (found, applied) = (stored.revision(), self.applied);
        if applied < found {
            return Err(LoadError::FromTheFuture { found, applied });
        }
        if self.stored.last().is_some_and(|last| stored.key() <= last.key()) {
            return Err(LoadError::Disorder);
        }
        self.store(stored);
        Ok(())
    }
}

/// Takes the header off the front of `input`: the state without its keys, and their number.
fn get_header(input: &mut &[u8]) -> Result<(State, u64), DecodeError> {
    let version = input.try_get_u8()?;
    if version != CONTENT_VERSION_MAPLESS && version != CONTENT_VERSION {
        return Err(DecodeError::UnknownVersion { found: version, known: CONTENT_VERSION });
    }
    let mut state = State {
        now: LogTime(input.try_get_u64()?),
        applied: Revision(input.try_get_u64()?),
        epoch: Epoch(input.try_get_u64()?),
        slots: get_slots(input)?.into(),
        ..State::default()
    };
    if version == CONTENT_VERSION {
        state.meta = Meta::get(input)?.into();
    }
    Ok((state, input.try_get_u64()?))
}

/// Takes a key and what is stored under it off the front of `input`, as copies. The value comes
/// last, so that it is copied only once it is there as a whole.
fn get_stored(input: &mut &[u8]) -> Result<Stored, DecodeError> {
    let revision = Revision(input.try_get_u64()?);
    let deadline = get_option(input)?.map(LogTime);
    let key = get_key(input)?;
    let value = get_value(input)?;
    Ok(Stored::new(&key, &value, revision, deadline))
}
