//! The secret that clients show: `Authorization: Bearer TOKEN`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use reqwest::header::HeaderValue;

/// The environment variable that names the token's file.
pub const TOKEN_FILE_ENV: &str = "STEADFAST_TOKEN_FILE";

/// A secret. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

/// Why there is no token to show.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("the token file {path} cannot be read: {why}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// It holds something that no header can carry.
    #[error("the token file {path} holds no token: one line of visible characters, without spaces")]
    Malformed {
        /// Which file.
        path: String,
    },
}

impl Token {
    /// Reads a token from a file; space around it is not part of it.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|why| TokenError::Unreadable { path: shown.clone(), why })?;
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Malformed { path: shown });
        }
        Ok(Self(text.into()))
    }

    pub(super) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0))
            .expect("a token has visible characters alone");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}
