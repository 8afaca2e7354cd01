//! Calls about one key.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};

use super::{Answer, Call, Client, ClientError, push_parameter};
use crate::api::duration::format_ms;
use crate::api::problem::code;
use crate::api::{header, key};

/// What a read found, and where the answer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The value and its version, if there is such a key.
    pub found: Option<Found>,
    /// Where the answer comes from.
    pub facts: Facts,
}

/// A value and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub value: Bytes,
    /// The version, for conditions. Opaque; it includes its quotes.
    pub etag: String,
    /// The version, as a number that only grows.
    pub revision: u64,
    /// What is left of its time to live, in milliseconds.
    pub expires_in_ms: Option<u64>,
}

/// Where an answer comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The shard of the key.
    pub shard: u32,
    /// The node whose state answered.
    pub node: u32,
    /// The shard's leader, as that node knows it.
    pub leader: Option<u32>,
    /// The term it leads in: `term.node`.
    pub term: String,
    /// The shard's count of mutations as of the answer.
    pub applied: u64,
    /// The shard's own clock as of the answer, in Unix milliseconds.
    pub log_time_ms: u64,
    /// What the answer promises.
    pub consistency: String,
    /// How old the answer is at most, in milliseconds, if it is a stale one.
    pub staleness_ms: Option<u64>,
    /// The version of the slot map.
    pub map_epoch: u64,
}

/// What a key is, by the word of a node that refused a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Its version; `None`: there is no such key.
    pub revision: Option<u64>,
    /// Where the answer comes from.
    pub facts: Facts,
}

/// What a read asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// The answer reflects every write that was acknowledged before the read began.
    #[default]
    Linearizable,
    /// The same, as long as the clocks of two nodes run at nearly the same rate.
    Lease,
    /// The answer may miss the latest writes, and says how old it is at most.
    Stale {
        /// It must not be older than this.
        max_staleness_ms: Option<u64>,
        /// It must reflect so many mutations of the key's shard: the `applied` of an earlier answer's
        /// facts. It waits for them, within its time.
        min_revision: Option<u64>,
    },
}

/// What must hold for a key before it is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// There is no such key.
    Absent,
    /// The key has this ETag.
    EtagIs(String),
}

/// A value that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whether there was no such key before.
    pub created: bool,
    /// The new version, for conditions.
    pub etag: String,
    /// The new version, as a number.
    pub revision: u64,
    /// What is left of its time to live, in milliseconds.
    pub expires_in_ms: Option<u64>,
    /// Where the answer comes from.
    pub facts: Facts,
}

/// A key that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Whether it was there before.
    pub existed: bool,
    /// A number higher than any version that the key had.
    pub revision: u64,
    /// Where the answer comes from.
    pub facts: Facts,
}

impl Client {
    /// Reads `key`.
    pub async fn get(&self, key: &[u8], level: Level) -> Result<Read, ClientError> {
        let mut target = key::target(key);
        level.push_parameters(&mut target);
        let call = Call::new(Method::GET, target);
        // Any replica gives a stale answer.
        let sent = match level {
            Level::Stale { .. } => self.send(call).await,
            Level::Linearizable | Level::Lease => self.send_about(key, call).await,
        };
        as_read(sent)
    }

    /// Reads `key` once it has another version than this, at most `wait` from now. `None`: it had none.
    pub async fn get_changed(
        &self,
        key: &[u8],
        etag: &str,
        wait: Duration,
    ) -> Result<Option<Read>, ClientError> {
        let mut target = key::target(key);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        push_parameter(&mut target, "wait", &format_ms(wait_ms));
        let call = Call { waits: wait, ..Call::new(Method::GET, target) };
        // Any node that has a replica hears of a change.
        let sent = self.send(call.with("if-none-match", etag)).await;
        if sent.as_ref().is_ok_and(|answer| answer.status == StatusCode::NOT_MODIFIED) {
            return Ok(None);
        }
        as_read(sent).map(Some)
    }

    /// Stores `value` under `key`. It lives for `ttl_ms`, or for ever.
    pub async fn put(
        &self,
        key: &[u8],
        value: Bytes,
        ttl_ms: Option<u64>,
        condition: &Condition,
    ) -> Result<Stored, ClientError> {
        let mut target = key::target(key);
        if let Some(ttl_ms) = ttl_ms {
            push_parameter(&mut target, "ttl", &format_ms(ttl_ms));
        }
        let call =
            Call { headers: condition.headers(), body: value, ..Call::new(Method::PUT, target) };
        let answer = self.send_about(key, call).await?;
        Ok(Stored {
            created: answer.status == StatusCode::CREATED,
            etag: text(&answer.headers, "etag").unwrap_or_default(),
            revision: answer.revision(true)?,
            expires_in_ms: answer.expires_in_ms(),
            facts: Facts::of(&answer.headers),
        })
    }

    /// Removes `key`.
    pub async fn delete(&self, key: &[u8], condition: &Condition) -> Result<Deleted, ClientError> {
        let call =
            Call { headers: condition.headers(), ..Call::new(Method::DELETE, key::target(key)) };
        let answer = self.send_about(key, call).await?;
        Ok(Deleted {
            existed: text(&answer.headers, header::EXISTED).as_deref() == Some("true"),
            revision: answer.revision(true)?,
            facts: Facts::of(&answer.headers),
        })
    }
}

/// Returns an answer to a read. That there is no such key is one, too.
fn as_read(sent: Result<Answer, ClientError>) -> Result<Read, ClientError> {
    match sent {
        Ok(answer) => {
            let value = answer.body.clone();
            let etag = text(&answer.headers, "etag").unwrap_or_default();
            let (revision, expires_in_ms) = (answer.revision(false)?, answer.expires_in_ms());
            let found = Some(Found { value, etag, revision, expires_in_ms });
            Ok(Read { found, facts: Facts::of(&answer.headers) })
        }
        Err(ClientError::Problem { problem, headers, .. })
            if problem.code == code::KEY_NOT_FOUND =>
        {
            Ok(Read { found: None, facts: Facts::of(&headers) })
        }
        Err(error) => Err(error),
    }
}

impl ClientError {
    /// Returns what the key is, if that is why a condition was refused.
    pub fn current(&self) -> Option<Current> {
        match self {
            Self::Problem { problem, headers, .. } if problem.code == code::PRECONDITION_FAILED => {
                let revision = number(headers, header::REVISION);
                Some(Current { revision, facts: Facts::of(headers) })
            }
            Self::Problem { .. }
            | Self::BadEndpoint { .. }
            | Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::Strange { .. } => None,
        }
    }
}

impl Level {
    /// Adds what asks for it to a target.
    pub(super) fn push_parameters(self, target: &mut String) {
        let name = match self {
            Self::Linearizable => "linearizable",
            Self::Lease => "lease",
            Self::Stale { .. } => "stale",
        };
        push_parameter(target, "consistency", name);
        if let Self::Stale { max_staleness_ms: Some(ms), .. } = self {
            push_parameter(target, "max_staleness", &format_ms(ms));
        }
        if let Self::Stale { min_revision: Some(revision), .. } = self {
            push_parameter(target, "min_revision", &revision.to_string());
        }
    }
}

impl Condition {
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Always => vec![],
            Self::Absent => vec![("if-none-match", "*".to_owned())],
            Self::EtagIs(etag) => vec![("if-match", etag.clone())],
        }
    }
}

impl Answer {
    /// Returns the revision, without which a success is none of a steadfast node.
    fn revision(&self, mutates: bool) -> Result<u64, ClientError> {
        number(&self.headers, header::REVISION).ok_or_else(|| ClientError::Strange {
            endpoint: self.endpoint.clone(),
            why: format!("answered without {}", header::REVISION),
            mutates,
        })
    }

    fn expires_in_ms(&self) -> Option<u64> {
        number(&self.headers, header::EXPIRES_IN)
    }
}

impl Facts {
    /// Reads them from the headers of an answer.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            shard: number(headers, header::SHARD).unwrap_or_default(),
            node: number(headers, header::NODE).unwrap_or_default(),
            leader: number(headers, header::LEADER),
            term: text(headers, header::TERM).unwrap_or_default(),
            applied: number(headers, header::APPLIED).unwrap_or_default(),
            log_time_ms: number(headers, header::LOG_TIME).unwrap_or_default(),
            consistency: text(headers, header::CONSISTENCY).unwrap_or_default(),
            staleness_ms: number(headers, header::STALENESS_MS),
            map_epoch: number(headers, header::MAP_EPOCH).unwrap_or_default(),
        }
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}
