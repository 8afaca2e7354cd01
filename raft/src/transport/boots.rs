//! The starts of a node on its data directory, as a chain that a copy cannot continue unnoticed.
//!
//! Each start adds a pair of its number and a random nonce. Of two directories that were once one,
//! each draws nonces of its own, so from the first start apart their lists differ for ever. A
//! hash runs over all pairs, also those that are no longer kept:
//!
//! ```text
//! hash(0) = directory id
//! hash(n) = xxh3-128(hash(n-1) | boot | nonce)        all big-endian
//! ```

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_128;

use super::wire::Malformed;
use crate::limits::BOOTS_KEPT_MAX;
use crate::words::{Boot, DirectoryId};

/// One start of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Its number.
    pub boot: Boot,
    /// Drawn at random for it.
    pub nonce: u64,
}

/// The starts of a node: the last [`BOOTS_KEPT_MAX`], and the hash of those before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boots {
    /// The chain's hash before the first pair kept.
    base: u128,
    /// Ascending by one, never empty.
    kept: VecDeque<Start>,
}

/// What a list of starts says of one pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is in the list.
    Same,
    /// The list has another nonce for that number.
    Other,
    /// The list ends before it.
    Later,
    /// It is older than all pairs kept, so nothing can be said.
    Forgotten,
}

impl Boots {
    /// Returns the list after the first start in `directory`.
    pub fn first(directory: DirectoryId, nonce: u64) -> Self {
        Self { base: directory.0, kept: VecDeque::from([Start { boot: Boot(1), nonce }]) }
    }

    /// Adds the next start.
    pub fn add(&mut self, nonce: u64) {
        let boot = Boot(self.last().boot.0 + 1);
        self.kept.push_back(Start { boot, nonce });
        while BOOTS_KEPT_MAX < self.kept.len() {
            let oldest = self.kept.pop_front().expect("the list is not empty");
            self.base = link(self.base, oldest);
        }
    }

    /// Returns the last start.
    pub fn last(&self) -> Start {
        *self.kept.back().expect("a list of starts has at least one")
    }

    /// Returns the hash over all starts.
    pub fn hash(&self) -> u128 {
        self.kept.iter().fold(self.base, |hash, start| link(hash, *start))
    }

    /// Looks a pair up.
    pub fn find(&self, start: Start) -> Found {
        if self.last().boot < start.boot {
            return Found::Later;
        }
        match self.kept.iter().find(|kept| kept.boot == start.boot) {
            None => Found::Forgotten,
            Some(kept) if kept.nonce == start.nonce => Found::Same,
            Some(_) => Found::Other,
        }
    }

    /// Writes `base u128 | first boot u64 | count u16 | nonce u64 ...`.
    pub fn put(&self, buffer: &mut BytesMut) {
        buffer.put_u128(self.base);
        buffer.put_u64(self.kept[0].boot.0);
        buffer.put_u16(u16::try_from(self.kept.len()).expect("the bound fits into 16 bits"));
        for start in &self.kept {
            buffer.put_u64(start.nonce);
        }
    }

    /// Reads what [`Boots::put`] wrote.
    pub fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        let base = bytes.try_get_u128()?;
        let first = bytes.try_get_u64()?;
        let count = u64::from(bytes.try_get_u16()?);
        if count == 0 || (BOOTS_KEPT_MAX as u64) < count || first == 0 {
            return Err(Malformed(format!("a list of {count} starts from {first}")));
        }
        if first.checked_add(count).is_none() {
            return Err(Malformed::new("starts past the last number"));
        }
        let mut kept = VecDeque::new();
        for boot in first..first + count {
            kept.push_back(Start { boot: Boot(boot), nonce: bytes.try_get_u64()? });
        }
        Ok(Self { base, kept })
    }
}

fn link(hash: u128, start: Start) -> u128 {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&hash.to_be_bytes());
    bytes[16..24].copy_from_slice(&start.boot.0.to_be_bytes());
    bytes[24..].copy_from_slice(&start.nonce.to_be_bytes());
    xxh3_128(&bytes)
}
