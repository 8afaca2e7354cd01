//! Everything that is not about a key: founding a cluster, looking at it, and probes.
//!
//! Whatever looks is answered from what this node knows by itself, without a majority: that is
//! when people look.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use steadfast_cli::api::cluster::Version;
use steadfast_cli::api::problem::Problem;
use steadfast_raft::node::Node;
use steadfast_raft::words::ShardId;
use tokio::time::Instant;

use super::metrics::Metrics;
use super::problem::{init_error, refused, response, unready};
use super::query::{Name, Query};
use super::{body, origin, text};

mod init;
mod limits;
mod shards;
mod view;

/// What these handlers need. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Control {
    pub(super) node: Node,
    pub(super) metrics: Arc<Metrics>,
}

/// The routes that are not about a key.
pub(super) fn router(control: Control) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .route("/v1/version", get(version))
        .route("/v1/limits", get(limits))
        .route("/v1/routing", get(routing))
        .route("/v1/cluster", get(cluster))
        .route("/v1/cluster/init", post(init))
        .route("/v1/shards/{id}/hash", get(hash))
        .route("/v1/shards/{id}/transfer-leader", post(transfer_leader))
        .route("/v1/shards/{id}/snapshot", post(snapshot))
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(control)
}

/// Says that the process runs and handles requests. It depends on nothing else: no restart would
/// bring a majority back.
async fn livez(uri: Uri) -> Response {
    rendered(no_parameters(&uri).map(|()| text("alive\n")))
}

/// Says whether requests should be sent here.
async fn readyz(State(control): State<Control>, uri: Uri) -> Response {
    rendered(no_parameters(&uri).and_then(|()| match control.node.unready() {
        None => Ok(text("ready\n")),
        Some(why) => Err(unready(why)),
    }))
}

async fn metrics(State(control): State<Control>, uri: Uri) -> Response {
    rendered(no_parameters(&uri).map(|()| {
        let body = control.metrics.expose(&control.node.metrics());
        ([("content-type", super::metrics::CONTENT_TYPE)], body).into_response()
    }))
}

async fn version(uri: Uri) -> Response {
    let version = Version { version: env!("CARGO_PKG_VERSION").to_owned(), api: "v1".to_owned() };
    rendered(no_parameters(&uri).map(|()| json(StatusCode::OK, &version)))
}

async fn openapi(uri: Uri) -> Response {
    rendered(no_parameters(&uri).map(|()| {
        let body = Body::from(super::openapi::document());
        ([("content-type", "application/json")], body).into_response()
    }))
}

async fn limits(State(control): State<Control>, uri: Uri) -> Response {
    let limits = limits::of(control.node.settings());
    rendered(no_parameters(&uri).map(|()| json(StatusCode::OK, &limits)))
}

async fn routing(State(control): State<Control>, uri: Uri) -> Response {
    rendered(no_parameters(&uri).map(|()| {
        let routing = view::of_routing(&control.node.routing());
        json(StatusCode::OK, &routing)
    }))
}

async fn cluster(State(control): State<Control>, uri: Uri) -> Response {
    rendered(no_parameters(&uri).map(|()| {
        let view = view::of_status(&control.node.status(), control.node.unready());
        json(StatusCode::OK, &view)
    }))
}

/// Shows the hash of the replica here, for whoever compares replicas.
async fn hash(State(control): State<Control>, uri: Uri) -> Response {
    let shard = match no_parameters(&uri).and_then(|()| shard_in(uri.path())) {
        Ok(shard) => shard,
        Err(problem) => return response(&problem),
    };
    match control.node.hash(shard).await {
        Some(hash) => json(StatusCode::OK, &view::of_hash(hash)),
        None => response(&no_such_shard(&format!("this node has no replica of shard {}", shard.0))),
    }
}

async fn transfer_leader(State(control): State<Control>, request: Request) -> Response {
    rendered(shards::transfer_leader(&control.node, request).await)
}

async fn snapshot(State(control): State<Control>, request: Request) -> Response {
    rendered(shards::snapshot(&control.node, request).await)
}

async fn init(State(control): State<Control>, request: Request) -> Response {
    rendered(found(&control.node, request).await)
}

/// Founds a cluster.
async fn found(node: &Node, request: Request) -> Result<Response, Box<Problem>> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    origin::check(&head.headers)?;
    init::check_type(&head.headers)?;
    let query = Query::parse(&head.uri, &[Name::Timeout])?;
    let deadline = started + query.timeout(init::TIMEOUT_DEFAULT)?;
    body::check_length(&head.headers, init::BODY_BYTES_MAX)?;
    let asked = init::parse(&body::read(body, init::BODY_BYTES_MAX, deadline).await?)?;
    let answer = node.init(asked, deadline).await.map_err(|error| init_error(&error))?;
    let status = if answer.founded { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &view::of_init(&answer)))
}

async fn no_such_route(uri: Uri) -> Response {
    let detail = format!("there is nothing at {}", uri.path());
    let hint = "keys are at /v1/kv/KEY; see also /v1/cluster, /v1/routing, /v1/limits, /v1/version, \
         /openapi.json, /livez, /readyz, /metrics";
    response(&refused(404, "no-such-route", "There is nothing here", detail, hint))
}

/// The router adds the methods that are allowed.
async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let detail = format!("{method} cannot be done to {}", uri.path());
    let hint = "the Allow header names the methods that can";
    response(&refused(405, "method-not-allowed", "Wrong method", detail, hint))
}

/// Returns the shard that `/v1/shards/{id}/...` names.
fn shard_in(path: &str) -> Result<ShardId, Box<Problem>> {
    let id = path.split('/').nth(3).unwrap_or("");
    let number = id.parse().ok().filter(|_| id.bytes().all(|byte| byte.is_ascii_digit()));
    number.map(ShardId).ok_or_else(|| no_such_shard(&format!("{id:?} is no shard's number")))
}

fn no_such_shard(detail: &str) -> Box<Problem> {
    refused(404, "no-such-shard", "There is no such shard here", detail, "see GET /v1/cluster")
}

fn no_parameters(uri: &Uri) -> Result<(), Box<Problem>> {
    Query::parse(uri, &[]).map(drop)
}

fn rendered(result: Result<Response, Box<Problem>>) -> Response {
    result.unwrap_or_else(|problem| response(&problem))
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("the wire types have only strings and numbers");
    let headers = [("content-type", "application/json"), ("cache-control", "no-store")];
    (status, headers, Body::from(body)).into_response()
}
