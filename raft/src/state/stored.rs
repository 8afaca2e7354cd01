//! What is stored under a key, the key included: one piece of memory, shared by those who hold it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::words::{Key, LogTime, Revision, Value};

/// A key with all that is stored under it. A clone is the same piece of memory.
///
/// ```text
///   0       2          10                            key length + 10 or 18
///   | head  | revision | deadline, if head says so | key | value |
/// ```
///
/// `head` is the length of the key, and [`HAS_DEADLINE`]. One allocation instead of three, and 16
/// bytes to point to it instead of 88, is what makes many small keys fit.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored(pub(super) Arc<[u8]>);

/// In the head: the key has a deadline.
const HAS_DEADLINE: u16 = 1 << 15;
/// Bytes in front of the deadline or the key.
const FIXED_BYTES: usize = 10;
const DEADLINE_BYTES: usize = 8;

impl Stored {
    pub(super) fn new(
        key: &Key,
        value: &Value,
        revision: Revision,
        deadline: Option<LogTime>,
    ) -> Self {
        let (key, value) = (key.as_bytes(), value.as_bytes());
        let flag = if deadline.is_some() { HAS_DEADLINE } else { 0 };
        let head = flag | u16::try_from(key.len()).expect("a key is within its bound");
        let deadline = deadline.map(|deadline| deadline.0.to_be_bytes());
        let deadline = deadline.as_ref().map_or(&[][..], <[u8; DEADLINE_BYTES]>::as_slice);
        let parts = [&head.to_be_bytes()[..], &revision.0.to_be_bytes(), deadline, key, value];
        let len = parts.iter().map(|part| part.len()).sum();
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
        let mut rest = Arc::get_mut(&mut bytes).expect("nobody else has it yet");
        for part in parts {
            let (place, behind) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        }
        Self(bytes)
    }

    /// Returns the bytes of the key.
    pub fn key(&self) -> &[u8] {
        &self.0[self.key_start()..self.value_start()]
    }

    /// Returns the bytes of the value.
    pub fn value_bytes(&self) -> &[u8] {
        &self.0[self.value_start()..]
    }

    /// Returns the value. Its bytes are not copied: it holds on to them.
    pub fn value(&self) -> Value {
        let bytes = Bytes::from_owner(ValueOf(self.clone()));
        Value::try_from(bytes).expect("what was a value is one")
    }

    /// Returns the shard's count of mutations right after the put that wrote it.
    pub fn revision(&self) -> Revision {
        Revision(self.number(2))
    }

    /// Returns the time from which on the key does not exist.
    pub fn deadline(&self) -> Option<LogTime> {
        self.has_deadline().then(|| LogTime(self.number(FIXED_BYTES)))
    }

    pub(super) fn exists_at(&self, now: LogTime) -> bool {
        self.deadline().is_none_or(|deadline| now < deadline)
    }

    fn head(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    fn has_deadline(&self) -> bool {
        self.head() & HAS_DEADLINE != 0
    }

    fn key_start(&self) -> usize {
        if self.has_deadline() { FIXED_BYTES + DEADLINE_BYTES } else { FIXED_BYTES }
    }

    fn value_start(&self) -> usize {
        self.key_start() + usize::from(self.head() & !HAS_DEADLINE)
    }

    fn number(&self, at: usize) -> u64 {
        let bytes = self.0[at..].first_chunk();
        u64::from_be_bytes(*bytes.expect("it was made with all its parts"))
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("key", &self.key().escape_ascii().to_string())
            .field("value", &self.value())
            .field("revision", &self.revision())
            .field("deadline", &self.deadline())
            .finish()
    }
}

/// The value of what is stored, as its own owner.
struct ValueOf(Stored);

impl AsRef<[u8]> for ValueOf {
    fn as_ref(&self) -> &[u8] {
        self.0.value_bytes()
    }
}
