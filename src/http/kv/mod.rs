//! `/v1/kv/{key}` and `/v1/kv?key64=`: one key, one value.

use axum::extract::Request;
use axum::http::header::ALLOW;
use axum::response::Response;
use steadfast_cli::api::problem::Problem;
use steadfast_raft::command::Command;
use steadfast_raft::limits;
use steadfast_raft::node::Node;
use steadfast_raft::node::api::RequestError;
use steadfast_raft::words::Value;
use tokio::time::Instant;

use super::problem::{Wanted, request_error};
use super::{body, problem};

mod answer;
mod condition;
mod request;
mod target;

use request::{Asked, Operation};

/// Answers a request about a key.
pub(super) async fn serve(node: &Node, request: Request) -> Response {
    match carry_out(node, request).await {
        Ok(response) => response,
        Err(problem) => {
            let mut response = problem::response(&problem);
            if problem.status == 405 {
                response.headers_mut().insert(ALLOW, request::METHODS);
            }
            response
        }
    }
}

async fn carry_out(node: &Node, request: Request) -> Result<Response, Box<Problem>> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let asked = Asked::parse(&head.method, &head.uri, &head.headers)?;
    let Asked { operation, timeout, route } = asked;
    let (node, deadline) = (node.via(route), started + timeout);
    let unanswered = |error, wanted| match error {
        RequestError::Elsewhere(elsewhere) => Ok(answer::elsewhere(&elsewhere, route, &head.uri)),
        other @ (RequestError::NotApplied(_) | RequestError::Unknown(_)) => {
            Err(request_error(&other, wanted, &node.status()))
        }
    };
    let command = match operation {
        Operation::Get { key, consistency, known } => {
            return match node.get(key, consistency, deadline).await {
                Ok(read) => Ok(answer::read(read, known)),
                Err(error) => unanswered(error, Wanted::Read),
            };
        }
        Operation::Put { key, ttl, condition } => {
            let bytes = body::read(body, limits::VALUE_BYTES_MAX, deadline).await?;
            let value = Value::try_from(bytes).expect("the body was read up to this bound");
            Command::Put { key, value, ttl, condition }
        }
        Operation::Delete { key, condition } => Command::Delete { key, condition },
    };
    match node.write(command, deadline).await {
        Ok(written) => Ok(answer::written(&written)),
        Err(error) => unanswered(error, Wanted::Write),
    }
}
