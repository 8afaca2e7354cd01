//! `GET /v1/export` and `POST /v1/import`: all keys as lines of JSON, out and in.
//!
//! Both go through the cluster's front door, a bounded piece at a time: an export is a list, page by
//! page, and an import is puts. So neither is a snapshot nor a transaction, and neither stands in the
//! way of other requests.
//!
//! ```text
//!   export   page -> lines -> the client takes them -> next page
//!   import   lines -> window -> puts, all at once -> their answers -> next window
//! ```
//!
//! 1. What an answer, or an error, says is imported is imported: all lines up to the one it names.
//! 2. Of lines beyond that one nothing took effect, or the outcome is `unknown`. No line is written
//!    again by itself: who imports it again may overwrite what others wrote meanwhile.
//! 3. An export ends with its end mark, or was cut.

use axum::extract::Request;
use axum::http::header::ALLOW;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use steadfast_cli::api::bulk::{EXPORT_PATH, IMPORT_PATH};
use steadfast_cli::api::header;
use steadfast_raft::node::Node;

use super::{Draining, problem};

mod export;
mod import;

const IMPORT_LINES: HeaderName = HeaderName::from_static(header::IMPORT_LINES);

/// Whether requests to this path are answered here.
pub(super) fn is_path(path: &str) -> bool {
    path == EXPORT_PATH || path == IMPORT_PATH
}

/// Answers a request for an export, or with an import.
pub(super) async fn serve(node: &Node, draining: &Draining, request: Request) -> Response {
    if request.uri().path() == EXPORT_PATH {
        let exported = export::export(node, draining.clone(), request).await;
        return exported.unwrap_or_else(|problem| refused(problem::response(&problem), "GET"));
    }
    import::import(node, draining.clone(), request).await.unwrap_or_else(|stopped| {
        let mut response = refused(problem::response(&stopped.problem), "POST");
        response.headers_mut().insert(IMPORT_LINES, stopped.lines.into());
        response
    })
}

/// Names the method that is allowed, where that is what is wrong.
fn refused(mut response: Response, method: &'static str) -> Response {
    if response.status() == axum::http::StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    }
    response
}
