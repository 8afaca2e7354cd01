//! Counts and times of requests, beside the node's own metrics.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use steadfast_cli::api::{bulk, incr, key, many, txn};

#[cfg(test)]
mod tests;

/// The media type of the exposition.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The line that ends an exposition, and must stand there once.
const END: &str = "# EOF\n";

/// What a request is counted under. Each label has few values, whatever clients send.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    route: &'static str,
    method: &'static str,
}

/// What an answer is counted under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    method: &'static str,
    status: u16,
}

/// The metrics of the server.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    seconds: Family<Asked, Histogram>,
    /// Open connections of clients.
    pub(super) connections: Gauge,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("steadfast_http");
        let requests = Family::default();
        let seconds = Family::new_with_constructor(latencies as fn() -> Histogram);
        let connections = Gauge::default();
        registry.register("requests", "Requests answered", requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time from a request's head to its answer's",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register("connections", "Open connections of clients", connections.clone());
        Self { registry, requests, seconds, connections }
    }

    /// Counts one request.
    pub(super) fn count(
        &self,
        route: &'static str,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let method = label(method);
        self.requests.get_or_create(&Answered { route, method, status: status.as_u16() }).inc();
        self.seconds.get_or_create(&Asked { route, method }).observe(took.as_secs_f64());
    }

    /// Returns the node's metrics and these as one exposition.
    pub(super) fn expose(&self, node: &str) -> String {
        let mut text = node.strip_suffix(END).unwrap_or(node).to_owned();
        encode(&mut text, &self.registry).expect("a string takes all that is written to it");
        text
    }
}

/// Returns the buckets of latencies: from 50 us, doubling, to 13 s.
fn latencies() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 19))
}

/// Returns what the requests to `path` are counted under.
pub(super) fn route(path: &str) -> &'static str {
    const NODE: [&str; 7] = [
        "/livez",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/v1/version",
        "/v1/limits",
        "/v1/routing",
    ];
    if path.starts_with(key::PATH) {
        "kv"
    } else if path.starts_with(incr::PATH) {
        "incr"
    } else if path == many::MGET_PATH {
        "mget"
    } else if path == many::BATCH_PATH {
        "batch"
    } else if path == bulk::EXPORT_PATH {
        "export"
    } else if path == bulk::IMPORT_PATH {
        "import"
    } else if path == txn::PATH {
        "txn"
    } else if path.starts_with("/v1/cluster") || path.starts_with("/v1/shards") {
        "cluster"
    } else if NODE.contains(&path) {
        "node"
    } else {
        "none"
    }
}

fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::POST => "POST",
        _ => "other",
    }
}
