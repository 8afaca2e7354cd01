//! The secret that clients and the nodes of a cluster share, and how two ends prove to each other
//! that they know it.
//!
//! ```text
//!   dialler                              acceptor
//!   hello    ---------------------------->
//!            <---------------------------- challenge: a nonce
//!   proof: a nonce of its own, and a MAC ->
//!            <---------------------------- hello, or a refusal
//!            <---------------------------- seal: a MAC
//! ```
//!
//! A MAC is HMAC-SHA-256, by the token, of all that was said so far on this connection, and of which
//! end says it. So a proof is good for one connection, one end and what that end said of itself; the
//! token itself is never sent. The dialler proves itself first: a stranger learns nothing of the
//! acceptor. Nodes without a token go through the same steps with an empty one.
//!
//! What this does not do: it neither hides nor protects what follows. Whoever can change packets on
//! their way can take over a connection whose ends have proved themselves.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::handshake::Message;
use super::refusal::{Code, Refusal};
use crate::limits;
use crate::net::Nonce;

/// Bytes of a MAC.
pub(super) const MAC_BYTES: usize = 32;

/// A secret. The default is none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token(Arc<[u8]>);

/// Why a text cannot be a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It has too few or too many bytes.
    #[error(
        "a token has {} to {} bytes, and this has {bytes}",
        limits::TOKEN_BYTES_MIN,
        limits::TOKEN_BYTES_MAX
    )]
    Length {
        /// How many it has.
        bytes: usize,
    },
    /// It has a byte that no HTTP header can carry.
    #[error("a token has only visible ASCII characters, no spaces")]
    Bytes,
}

impl Token {
    /// Makes a token of what a file holds; space around it is not part of it.
    pub fn new(text: &[u8]) -> Result<Self, BadToken> {
        let text = text.trim_ascii();
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err(BadToken::Bytes);
        }
        match text.len() {
            limits::TOKEN_BYTES_MIN..=limits::TOKEN_BYTES_MAX => Ok(Self(text.into())),
            bytes => Err(BadToken::Length { bytes }),
        }
    }

    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether `presented` is this token. How long that takes tells nothing but the length.
    pub fn is(&self, presented: &[u8]) -> bool {
        self.0.ct_eq(presented).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "Token(secret)" } else { "Token(none)" })
    }
}

/// Which end a MAC is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Dialler,
    Acceptor,
}

/// What was said so far on a connection, keyed with the token.
pub(super) struct Transcript(Hmac<Sha256>);

impl Transcript {
    pub(super) fn new(token: &Token) -> Self {
        Self(Hmac::new_from_slice(&token.0).expect("HMAC takes keys of any length"))
    }

    /// Adds a message. Its meaning is what counts, so the bytes are those that this end would write.
    pub(super) fn add(&mut self, message: &Message) {
        self.0.update(&message.encode());
    }

    /// Returns the proof of the dialler, with its nonce.
    pub(super) fn prove(&mut self, nonce: Nonce) -> Message {
        let mac = self.clone_with(&nonce, End::Dialler).finalize().into_bytes().into();
        Message::Proof { nonce, mac }
    }

    /// Returns the seal of the acceptor.
    pub(super) fn seal(&self) -> Message {
        Message::Seal(self.clone_with(&[], End::Acceptor).finalize().into_bytes().into())
    }

    /// Checks the MAC of `end`.
    pub(super) fn check(
        &self,
        end: End,
        nonce: &[u8],
        mac: &[u8; MAC_BYTES],
    ) -> Result<(), Refusal> {
        self.clone_with(nonce, end).verify_slice(mac).map_err(|_differs| {
            let text = "the tokens of these two nodes differ, or one of them has none; start all \
                        nodes of the cluster with the same --token-file";
            Refusal::new(Code::Token, text)
        })
    }

    fn clone_with(&self, nonce: &[u8], end: End) -> Hmac<Sha256> {
        let label: &[u8] = match end {
            End::Dialler => b"dialler",
            End::Acceptor => b"acceptor",
        };
        self.0.clone().chain_update(nonce).chain_update(label)
    }
}

/// Takes exactly as many bytes as an array has.
pub(super) fn array<const N: usize>(bytes: &mut Bytes) -> Result<[u8; N], super::wire::Malformed> {
    let taken = super::wire::take(bytes, N)?;
    Ok(taken[..].try_into().expect("as many were taken"))
}
