//! Exports and imports.

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use tokio::time::timeout;

use super::error::deepest;
use super::{ANSWER_GRACE, ANSWER_TIMEOUT, Answer, Call, Client, ClientError};
use super::{push_parameter, read_body};
use crate::api::bulk::{EXPORT_PATH, IMPORT_PATH, ImportAnswer, NDJSON};
use crate::api::header;
use crate::api::key::to_key64;

/// Longest time that a piece of an import may take by itself: the server's longest timeout.
const IMPORT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// An export on its way.
#[derive(Debug)]
pub struct Export {
    response: reqwest::Response,
    endpoint: String,
}

impl Client {
    /// Begins an export of the keys with this prefix, or goes on after a cursor. What comes are lines,
    /// cut anywhere; `timeout` bounds each page and the wait for each piece.
    pub async fn export(&self, prefix: &[u8], cursor: Option<&str>) -> Result<Export, ClientError> {
        let mut target = EXPORT_PATH.to_owned();
        push_parameter(&mut target, "prefix64", &to_key64(prefix));
        if let Some(cursor) = cursor {
            push_parameter(&mut target, "cursor", cursor);
        }
        let call = Call::new(Method::GET, target);
        let mut tried = Vec::new();
        for endpoint in &self.endpoints {
            match self.export_from(endpoint, &call).await {
                Err(ClientError::Unreachable { tried: one }) => tried.extend(one),
                answered => return answered,
            }
        }
        Err(ClientError::Unreachable { tried })
    }

    async fn export_from(&self, endpoint: &str, call: &Call) -> Result<Export, ClientError> {
        let sending = self.request(endpoint, call, self.timeout).send();
        let silent = || silent(endpoint);
        let sent = timeout(self.patience(), sending).await.map_err(|_elapsed| silent())?;
        let response = sent.map_err(|error| ClientError::from_send(endpoint, false, &error))?;
        let endpoint = endpoint.to_owned();
        if response.status() == StatusCode::OK {
            return Ok(Export { response, endpoint });
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = timeout(self.patience(), read_body(response)).await;
        let body = body.map_err(|_elapsed| silent())?;
        let broken =
            |why| ClientError::NoAnswer { endpoint: endpoint.clone(), why, mutates: false };
        let body = body.map_err(broken)?;
        let answer = Answer { endpoint: endpoint.clone(), status, headers, body };
        answer.checked(false).and_then(|_success| {
            let why = format!("answered {status} to an export");
            Err(ClientError::Strange { endpoint, why, mutates: false })
        })
    }

    fn patience(&self) -> std::time::Duration {
        self.timeout.unwrap_or(ANSWER_TIMEOUT) + ANSWER_GRACE
    }

    /// Imports these lines, of which the first has this number. Only the first of all is a manifest.
    ///
    /// An error that [`ClientError::import_lines`] knows of leaves all lines up to that one imported.
    pub async fn import(
        &self,
        lines: Bytes,
        first_line: u64,
        if_absent: bool,
    ) -> Result<ImportAnswer, ClientError> {
        let mut target = IMPORT_PATH.to_owned();
        push_parameter(&mut target, "first_line", &first_line.to_string());
        if if_absent {
            push_parameter(&mut target, "if_absent", "true");
        }
        let call = Call {
            headers: vec![("content-type", NDJSON.to_owned())],
            body: lines,
            patience: IMPORT_TIMEOUT,
            ..Call::new(Method::POST, target)
        };
        self.send(call).await?.json(true)
    }
}

impl Export {
    /// Returns the next piece, or nothing at the end. An end without the end mark is none: the export
    /// was cut.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let waiting = timeout(ANSWER_TIMEOUT, self.response.chunk());
        let chunk = waiting.await.map_err(|_elapsed| silent(&self.endpoint))?;
        chunk.map_err(|error| ClientError::NoAnswer {
            endpoint: self.endpoint.clone(),
            why: deepest(&error),
            mutates: false,
        })
    }
}

impl ClientError {
    /// Returns up to which line an import is certainly done, if a node said so.
    pub fn import_lines(&self) -> Option<u64> {
        match self {
            Self::Problem { headers, .. } => {
                headers.get(header::IMPORT_LINES)?.to_str().ok()?.parse().ok()
            }
            Self::BadEndpoint { .. }
            | Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::Strange { .. } => None,
        }
    }
}

fn silent(endpoint: &str) -> ClientError {
    let why = "no answer in time".to_owned();
    ClientError::NoAnswer { endpoint: endpoint.to_owned(), why, mutates: false }
}
