//! The client: typed calls over HTTP.
//!
//! It knows several endpoints and takes the next one only where no connection came about, so that
//! nothing was sent. It never sends a request twice: what became of a write that was sent and not
//! answered is unknown, and a second one might undo what others did meanwhile (D7). A redirect (307)
//! is no such answer: the node that sends it has done nothing, so the same request, body and all, goes
//! to the node that it names.
//!
//! ```no_run
//! # async fn example() -> Result<(), steadfast_cli::client::ClientError> {
//! use steadfast_cli::client::Client;
//! use steadfast_cli::client::kv::{Condition, Level};
//!
//! let client = Client::new(&["http://127.0.0.1:7301".to_owned()], None)?.routed();
//! client.put(b"greeting", "hello".into(), None, &Condition::Always).await?;
//! let read = client.get(b"greeting", Level::Linearizable).await?;
//! assert_eq!(read.found.expect("it was just written").value, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! What an error says of a write, [`ClientError::outcome`] tells: `NotApplied` may be tried again,
//! `Unknown` must be read back first. The examples beside this crate show the patterns.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::duration::format_ms;
use crate::api::header;
use crate::api::problem::Problem;

pub mod bulk;
pub mod cluster;
mod curl;
pub mod error;
pub mod incr;
pub mod kv;
pub mod list;
pub mod many;
mod route;
mod spread;
pub mod token;
pub mod txn;

#[cfg(test)]
mod tests;

pub use error::ClientError;

/// Where the nodes of a cluster on this machine listen.
pub const ENDPOINTS_DEFAULT: [&str; 3] =
    ["http://127.0.0.1:7301", "http://127.0.0.1:7302", "http://127.0.0.1:7303"];

/// How long to try to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for an answer to a request that names no timeout. More than the server takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// How much longer than the server to wait: its answer says more than our impatience does.
const ANSWER_GRACE: Duration = Duration::from_secs(1);
/// How long to keep an idle connection: less than the server does, so that no request meets the
/// server's closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Most idle connections to keep to one node.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// Most redirects of one request: leaders may change on the way.
const REDIRECTS_MAX: usize = 3;
/// Longest answer to read. The largest honest one is a value.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Talks to a cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoints: Vec<String>,
    timeout: Option<Duration>,
    /// No node may pass a request on.
    direct: bool,
    /// `None`: requests go to the endpoints, which forward them.
    router: Option<Arc<route::Router>>,
    token: Option<token::Token>,
    curl: Option<Arc<curl::Curl>>,
}

/// One request.
#[derive(Clone, Debug)]
struct Call {
    method: Method,
    /// The path and the query.
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    /// How long to wait for the answer, if the caller names no timeout.
    patience: Duration,
    /// How much longer the node may take because it waits for something.
    waits: Duration,
    /// Whether the server takes the caller's timeout as a parameter.
    takes_timeout: bool,
    /// Whether it could change anything.
    mutates: bool,
}

/// A whole response.
#[derive(Debug)]
struct Answer {
    endpoint: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Client {
    /// Returns a client for these endpoints, each `http://host:port`, tried in this order.
    ///
    /// `timeout` bounds each call; `None` leaves it to the server.
    pub fn new(endpoints: &[String], timeout: Option<Duration>) -> Result<Self, ClientError> {
        let endpoints = endpoints.iter().map(|text| endpoint(text)).collect::<Result<_, _>>()?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .expect("nothing here depends on the environment");
        Ok(Self { http, endpoints, timeout, direct: false, router: None, token: None, curl: None })
    }

    /// Returns a client whose requests about keys no node passes on: one that does not lead refuses
    /// (421), has done nothing, and says who leads. For callers that keep a table of leaders themselves.
    #[must_use]
    pub fn direct(self) -> Self {
        Self { direct: true, ..self }
    }

    /// Returns the same client, which shows this token with each request.
    #[must_use]
    pub fn with_token(self, token: token::Token) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Returns the same client, which tells of each request the `curl` command that does the same. The
    /// token is not in it, but the file that it came from.
    #[must_use]
    pub fn showing_curl(
        self,
        token_file: Option<PathBuf>,
        show: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let curl = curl::Curl { show: Box::new(show), token_file };
        Self { curl: Some(Arc::new(curl)), ..self }
    }

    /// Returns the endpoints, in the order they are tried.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// Sends `call` to the first endpoint that can be connected to.
    async fn send(&self, call: Call) -> Result<Answer, ClientError> {
        let mut tried = Vec::new();
        for endpoint in &self.endpoints {
            match self.send_to(endpoint, &call).await {
                Err(ClientError::Unreachable { tried: one }) => tried.extend(one),
                answered => return answered,
            }
        }
        Err(ClientError::Unreachable { tried })
    }

    /// Sends `call` to this endpoint, and to those that it leads to.
    async fn send_to(&self, endpoint: &str, call: &Call) -> Result<Answer, ClientError> {
        let mut answer = self.send_once(endpoint, call, self.timeout).await?;
        for _ in 0..REDIRECTS_MAX {
            if answer.status != StatusCode::TEMPORARY_REDIRECT {
                break;
            }
            let next = answer.redirected_to()?;
            answer = self.send_once(&next, call, self.timeout).await?;
        }
        answer.checked(call.mutates)
    }

    /// Sends `call` to this endpoint alone. It may take `timeout`, or else what the server allows.
    async fn send_once(
        &self,
        endpoint: &str,
        call: &Call,
        timeout: Option<Duration>,
    ) -> Result<Answer, ClientError> {
        let mutates = call.mutates;
        let patience = timeout.unwrap_or(call.patience) + call.waits + ANSWER_GRACE;
        let sent = self.request(endpoint, call, timeout).timeout(patience).send().await;
        let response = sent.map_err(|error| ClientError::from_send(endpoint, mutates, &error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        tracing::debug!(endpoint, call.target, status = status.as_u16(), "answered");
        let body = read_body(response).await.map_err(|why| ClientError::NoAnswer {
            endpoint: endpoint.to_owned(),
            why,
            mutates,
        })?;
        Ok(Answer { endpoint: endpoint.to_owned(), status, headers, body })
    }

    /// Returns `call` as a request to this endpoint, which may take `timeout`.
    fn request(
        &self,
        endpoint: &str,
        call: &Call,
        timeout: Option<Duration>,
    ) -> reqwest::RequestBuilder {
        let url = format!("{endpoint}{}", call.full_target(timeout));
        let mut request = self.http.request(call.method.clone(), &url);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if self.direct {
            request = request.header(header::ROUTE, "local");
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        if let Some(curl) = &self.curl {
            curl.show(&url, call);
        }
        request.body(call.body.clone())
    }
}

impl Call {
    /// Returns a request without headers and body.
    fn new(method: Method, target: String) -> Self {
        Self {
            mutates: method != Method::GET,
            method,
            target,
            headers: Vec::new(),
            body: Bytes::new(),
            patience: ANSWER_TIMEOUT,
            waits: Duration::ZERO,
            takes_timeout: true,
        }
    }

    /// Returns a request with a JSON body.
    fn post_json(target: String, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("strings and numbers become JSON");
        Self {
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.into(),
            ..Self::new(Method::POST, target)
        }
    }

    /// Returns the same request with one more header.
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Returns the target, with the timeout in its query.
    fn full_target(&self, timeout: Option<Duration>) -> String {
        let mut target = self.target.clone();
        if let Some(timeout) = timeout.filter(|_| self.takes_timeout) {
            let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            push_parameter(&mut target, "timeout", &format_ms(ms));
        }
        target
    }
}

impl Answer {
    /// Returns the endpoint that a redirect names. Its path and query are those that were asked for.
    fn redirected_to(&self) -> Result<String, ClientError> {
        let location = self.headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let authority = location.and_then(|location| location.strip_prefix("http://"));
        let authority = authority.and_then(|rest| rest.split(['/', '?']).next());
        let next = authority.and_then(|authority| endpoint(&format!("http://{authority}")).ok());
        next.ok_or_else(|| ClientError::Strange {
            endpoint: self.endpoint.clone(),
            why: format!("redirected to {location:?}"),
            mutates: false,
        })
    }

    /// Turns everything but a success into an error.
    fn checked(self, mutates: bool) -> Result<Self, ClientError> {
        if self.status.is_success() || self.status == StatusCode::NOT_MODIFIED {
            return Ok(self);
        }
        if self.status == StatusCode::TEMPORARY_REDIRECT {
            let why = format!("redirected for the {}th time", REDIRECTS_MAX + 1);
            return Err(ClientError::Strange { endpoint: self.endpoint, why, mutates: false });
        }
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) => Err(ClientError::Problem {
                endpoint: self.endpoint,
                headers: Box::new(self.headers),
                problem: Box::new(problem),
            }),
            Err(_) => {
                let why = format!("answered {} without saying why", self.status);
                Err(ClientError::Strange { endpoint: self.endpoint, why, mutates })
            }
        }
    }

    /// Reads the body as JSON.
    fn json<T: DeserializeOwned>(&self, mutates: bool) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| ClientError::Strange {
            endpoint: self.endpoint.clone(),
            why: format!("answered something else than expected: {error}"),
            mutates,
        })
    }
}

/// Adds a parameter whose value needs no escaping.
fn push_parameter(target: &mut String, name: &str, value: &str) {
    target.push(if target.contains('?') { '&' } else { '?' });
    target.push_str(name);
    target.push('=');
    target.push_str(value);
}

/// Reads a whole body, up to a bound.
async fn read_body(mut response: reqwest::Response) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error::deepest(&error))? {
        if ANSWER_BYTES_MAX < body.len() + chunk.len() {
            return Err(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Returns `text` as `http://host:port`.
fn endpoint(text: &str) -> Result<String, ClientError> {
    let refuse =
        |why: &str| ClientError::BadEndpoint { text: text.to_owned(), why: why.to_owned() };
    let Some(authority) = text.strip_prefix("http://") else {
        return Err(refuse("it must begin with http://"));
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
        return Err(refuse("it must be http://host:port and nothing more"));
    }
    let parsed = reqwest::Url::parse(&format!("http://{authority}"));
    parsed.map_err(|error| refuse(&error.to_string()))?;
    Ok(format!("http://{authority}"))
}
