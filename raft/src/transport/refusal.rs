//! Why an end closes a connection, or never opens it.
//!
//! On the wire: `code u8 | text`. A code that this version does not know is read as
//! [`Code::Other`], so that a newer node can still say its sentence.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::wire::{Malformed, put_text, take_text};

/// Why an end does not talk to the other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// Why, for programs.
    pub code: Code,
    /// Why and what to do, for people.
    pub text: String,
}

/// Why an end does not talk to the other. The numbers are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// For a reason that this version does not know.
    Other = 0,
    /// The bytes are not ours.
    Garbage = 1,
    /// The versions do not match.
    Version = 2,
    /// The clusters differ, or one end belongs to none.
    WrongCluster = 3,
    /// The address belongs to another node than the one dialled.
    WrongNode = 4,
    /// The node is not in the cluster's list.
    Stranger = 5,
    /// A later start of the same directory is known.
    OldBoot = 6,
    /// The log ends before what it is known to have had.
    LostLog = 7,
    /// Another directory than this goes by the same identity.
    CopiedDirectory = 8,
    /// The node has lived in another directory.
    OtherDirectory = 9,
    /// Nothing was heard for too long.
    Silent = 10,
    /// A newer connection took this one's place.
    Replaced = 11,
    /// The ends do not know the same token.
    Token = 12,
}

impl Code {
    const ALL: [Self; 13] = [
        Self::Other,
        Self::Garbage,
        Self::Version,
        Self::WrongCluster,
        Self::WrongNode,
        Self::Stranger,
        Self::OldBoot,
        Self::LostLog,
        Self::CopiedDirectory,
        Self::OtherDirectory,
        Self::Silent,
        Self::Replaced,
        Self::Token,
    ];
}

impl Refusal {
    /// Makes a refusal.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// Whether a node that is told so must stop: its directory is not what it was, and voting
    /// from it could break a promise (invariant 8).
    pub fn stops(&self) -> bool {
        matches!(
            self.code,
            Code::OldBoot | Code::LostLog | Code::CopiedDirectory | Code::OtherDirectory
        )
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut body = BytesMut::new();
        body.put_u8(self.code as u8);
        put_text(&mut body, &self.text);
        body.freeze()
    }

    pub(super) fn decode(mut body: Bytes) -> Result<Self, Malformed> {
        let tag = body.try_get_u8()?;
        let code = Code::ALL.into_iter().find(|code| *code as u8 == tag).unwrap_or(Code::Other);
        Ok(Self { code, text: take_text(&mut body)? })
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::new(Code::Garbage, malformed.to_string())
    }
}
