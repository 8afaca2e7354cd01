//! Counting: the number under a key, and a sum in its place.

use bytes::Bytes;

use super::State;
use super::stored::Stored;
use crate::command::increment::{Counted, Increment, Life, Uncounted};
use crate::words::Value;

impl State {
    /// Stores the sum under the key, as part of the mutation that `applied` counts already.
    pub(super) fn store_sum(&mut self, increment: &Increment, sum: i64) -> Counted {
        let before = self.existing(&increment.key);
        let created = before.is_none();
        let kept = before.and_then(Stored::deadline);
        let deadline = match increment.life {
            Life::OfCreated(ttl) if created => Some(self.deadline(ttl)),
            Life::Renewed(ttl) => Some(self.deadline(ttl)),
            Life::Kept | Life::OfCreated(_) => kept,
        };
        let value = Value::try_from(Bytes::from(sum.to_string())).expect("twenty bytes at most");
        self.store(Stored::new(&increment.key, &value, self.applied, deadline));
        Counted { value: sum, created, deadline }
    }

    /// Returns what the number under the key becomes, or why it stays as it is.
    pub(super) fn sum(&self, increment: &Increment) -> Result<i64, Uncounted> {
        let current = match self.existing(&increment.key) {
            None => increment.initial,
            Some(stored) => number(stored.value_bytes()).ok_or(Uncounted::NotANumber)?,
        };
        let sum = current.checked_add(increment.by).ok_or(Uncounted::Overflow { current })?;
        let below = increment.min.is_some_and(|min| sum < min);
        let above = increment.max.is_some_and(|max| max < sum);
        if below || above { Err(Uncounted::PastBound { current }) } else { Ok(sum) }
    }
}

/// Reads a number in its one form.
fn number(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if canonical { str::from_utf8(text).ok()?.parse().ok() } else { None }
}
