//! Clients, over HTTP (D11): one parser and one renderer, and nothing else.
//!
//! ```text
//!   listener   connections: bounded, none of them idle or slow for long
//!   mod        one request: span, counts, panics, the way to its handler
//!   kv/        request -> operation      -> node -> answer -> response; kv/incr counts, kv/txn
//!              takes several keys at once
//!   many/      the same for each of many items
//!   list/      keys in order, a page at a time
//!   bulk/      all keys as lines, out and in
//!   control    founding, looking, probes -> node -> answer -> response
//!   openapi    the interface for programs
//!   head auth query origin body condition ops problem    what they share
//! ```
//!
//! What is pure here is tested alone: a request becomes an operation or a [`Problem`] without a
//! node, and an answer becomes a response without one. A handler is the few lines between.
//!
//! [`Problem`]: steadfast_cli::api::problem::Problem

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use steadfast_cli::api::{header, incr, key, txn};
use steadfast_raft::node::Node;
use tokio::time::Instant;
use tower_service::Service;
use tracing::Instrument;

mod auth;
mod body;
mod bulk;
mod control;
mod head;
mod kv;
mod list;
mod listener;
mod many;
mod metrics;
mod openapi;
mod ops;
mod origin;
mod patience;
mod problem;
mod query;

use listener::Draining;
pub(crate) use listener::Server;
use metrics::Metrics;

/// Routes whose answers are about keys, as metrics name them.
const ABOUT_KEYS: [&str; 5] = ["kv", "incr", "txn", "mget", "batch"];
const SERVER_TIMING: HeaderName = HeaderName::from_static(header::SERVER_TIMING);

/// What answers requests. Cheap to clone.
#[derive(Clone, Debug)]
struct App {
    node: Node,
    metrics: Arc<Metrics>,
    control: Router,
    draining: Draining,
}

impl App {
    fn new(node: Node, draining: Draining) -> Self {
        let metrics = Arc::new(Metrics::new());
        let control =
            control::router(control::Control { node: node.clone(), metrics: Arc::clone(&metrics) });
        Self { node, metrics, control, draining }
    }

    /// Answers one request, whatever happens.
    async fn answer(&self, request: Request) -> Response {
        let started = Instant::now();
        let (method, route) = (request.method().clone(), metrics::route(request.uri().path()));
        let span = tracing::debug_span!(
            "request",
            %method,
            route,
            shard = tracing::field::Empty,
            status = tracing::field::Empty,
            outcome = tracing::field::Empty,
        );
        let handled = AssertUnwindSafe(self.dispatch(request).instrument(span.clone()));
        let mut response = handled.catch_unwind().await.unwrap_or_else(|_| panicked(&method));
        let took = started.elapsed();
        if ABOUT_KEYS.contains(&route) {
            response.headers_mut().insert(SERVER_TIMING, timing(took));
        }
        self.metrics.count(route, &method, response.status(), took);
        record(&span, &method, &response);
        response
    }

    /// Finds the handler. Keys come first and without the router: they are the hot path, and
    /// their path is theirs alone to read.
    async fn dispatch(&self, request: Request) -> Response {
        let allowed = head::check(request.uri(), request.headers())
            .and_then(|()| auth::check(self.node.token(), request.uri().path(), request.headers()));
        if let Err(problem) = allowed {
            return problem::response(&problem);
        }
        let rest = request.uri().path().strip_prefix(key::PATH);
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            if list::is_asked(request.method(), request.uri()) {
                return list::serve(&self.node, request).await;
            }
            return kv::serve(&self.node, &self.draining, request).await;
        }
        if many::is_path(request.uri().path()) {
            return many::serve(&self.node, request).await;
        }
        if bulk::is_path(request.uri().path()) {
            return bulk::serve(&self.node, &self.draining, request).await;
        }
        if request.uri().path() == txn::PATH {
            return kv::serve_txn(&self.node, request).await;
        }
        let rest = request.uri().path().strip_prefix(incr::PATH);
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return kv::serve_incr(&self.node, request).await;
        }
        let Ok(response) = self.control.clone().call(request).await;
        response
    }
}

/// Says how long an answer took, in milliseconds: from its request's head to its own.
fn timing(took: Duration) -> HeaderValue {
    let us = took.as_micros();
    let text = format!("total;dur={}.{:03}", us / 1_000, us % 1_000);
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("letters, digits and a dot")
}

/// Answers for a handler that panicked. The panic itself was printed by the hook.
fn panicked(method: &Method) -> Response {
    problem::response(&problem::internal(mutates(method)))
}

/// Returns whether a request of this method may change something.
fn mutates(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Notes in the request's span what came of it.
fn record(span: &tracing::Span, method: &Method, response: &Response) {
    if span.is_disabled() {
        return;
    }
    let status = response.status().as_u16();
    let outcome = match (status, mutates(method)) {
        (_, false) => "none",
        (200..300, true) => "applied",
        (500 | 504, true) => "unknown",
        (_, true) => "not_applied",
    };
    if let Some(shard) = response.headers().get(header::SHARD).and_then(|shard| shard.to_str().ok())
    {
        span.record("shard", shard);
    }
    span.record("status", status).record("outcome", outcome);
    tracing::debug!(parent: span, "answered");
}

/// Returns a short text as a response.
fn text(text: &'static str) -> Response {
    ([("content-type", "text/plain; charset=utf-8")], Body::from(text)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[test]
    fn a_time_is_told_in_milliseconds_with_three_places() {
        for (us, text) in [(0, "0.000"), (1_234, "1.234"), (30_000_050, "30000.050")] {
            assert_eq!(timing(Duration::from_micros(us)), format!("total;dur={text}"));
        }
    }

    #[tokio::test]
    async fn a_handler_that_panicked_leaves_doubt_about_a_write_and_none_about_a_read() {
        use http_body_util::BodyExt;
        for (method, outcome) in [(Method::PUT, "unknown"), (Method::GET, "not_applied")] {
            let response = panicked(&method);
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            let body = response.into_body().collect().await.expect("a whole body").to_bytes();
            let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(
                (&problem["code"], &problem["outcome"]),
                (&"internal".into(), &outcome.into())
            );
        }
    }
}
