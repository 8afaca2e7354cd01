use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::kv::{Condition, Level};

use super::*;
use crate::api::problem::Outcome;
use crate::exit::Exit;

mod route;
mod spread;

/// What a node does with each connection: it reads one request, answers so, and closes.
const SILENCE: &str = "";
const STORED: &str = "HTTP/1.1 201 Created\r\netag: \"7\"\r\nsteadfast-revision: 7\r\n\
    steadfast-shard: 1\r\nsteadfast-node: 2\r\nsteadfast-leader: 2\r\nsteadfast-term: 5.2\r\n\
    steadfast-applied: 7\r\ncontent-length: 0\r\n\r\n";

/// A node made of one answer.
struct Node {
    endpoint: String,
    requests: Arc<AtomicUsize>,
    last: Arc<Mutex<String>>,
    /// Ends when it is dropped.
    _serving: JoinSet<()>,
}

async fn node(answer: &'static str) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    node_at(listener, move |_request| answer.to_owned())
}

/// A node that answers each request as `answer` says.
fn node_at(listener: TcpListener, answer: impl Fn(&str) -> String + Send + 'static) -> Node {
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let last = Arc::new(Mutex::default());
    let seen = Arc::clone(&last);
    let serve = async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut buffer = vec![0; 4_096];
            let read = stream.read(&mut buffer).await.expect("a request");
            assert!(read > 0);
            count.fetch_add(1, Ordering::Relaxed);
            let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
            let answer = answer(&request);
            *seen.lock().expect("no panic") = request;
            stream.write_all(answer.as_bytes()).await.expect("it listens");
        }
    };
    let mut serving = JoinSet::new();
    serving.spawn(serve);
    Node { endpoint, requests, last, _serving: serving }
}

impl Node {
    /// Returns the last request, as it came.
    fn last(&self) -> String {
        self.last.lock().expect("no panic").clone()
    }
}

/// Returns an endpoint at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

fn client(endpoints: &[&str]) -> Client {
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| (*endpoint).to_owned()).collect();
    Client::new(&endpoints, None).expect("good endpoints")
}

async fn put(client: &Client) -> Result<kv::Stored, ClientError> {
    client.put(b"k", Bytes::from_static(b"v"), None, &Condition::Always).await
}

fn problem(status: &str, code: &str, outcome: &str) -> &'static str {
    let body = format!(
        "{{\"code\":\"{code}\",\"title\":\"T\",\"status\":{},\"detail\":\"d\",\
         \"outcome\":\"{outcome}\",\"retry\":\"never\"}}",
        &status[..3]
    );
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    String::leak(text)
}

#[tokio::test]
async fn an_endpoint_that_refuses_the_connection_is_passed_over() {
    let (down, up) = (nobody().await, node(STORED).await);
    let stored = put(&client(&[&down, &up.endpoint])).await.expect("the second one answers");
    assert!(stored.created);
    assert_eq!((stored.etag.as_str(), stored.revision), ("\"7\"", 7));
    assert_eq!((stored.facts.leader, stored.facts.term.as_str()), (Some(2), "5.2"));
}

#[tokio::test]
async fn a_write_that_was_sent_is_never_sent_again() {
    let (silent, other) = (node(SILENCE).await, node(STORED).await);
    let client = client(&[&silent.endpoint, &other.endpoint]);
    let error = put(&client).await;
    let error = error.expect_err("no answer");
    assert_eq!((error.outcome(), error.exit()), (Outcome::Unknown, Exit::OutcomeUnknown));
    assert_eq!(silent.requests.load(Ordering::Relaxed), 1);
    assert_eq!(other.requests.load(Ordering::Relaxed), 0);
    let error = client.get(b"k", Level::Linearizable).await.expect_err("no answer");
    assert_eq!((error.outcome(), error.exit()), (Outcome::NotApplied, Exit::Unavailable));
}

fn redirect(endpoint: &str) -> &'static str {
    let location = format!("location: {endpoint}/v1/kv/k");
    String::leak(format!(
        "HTTP/1.1 307 Temporary Redirect\r\n{location}\r\ncontent-length: 0\r\n\r\n"
    ))
}

#[tokio::test]
async fn a_redirect_is_followed_with_method_and_body() {
    let leader = node(STORED).await;
    let follower = node(redirect(&leader.endpoint)).await;
    let other = node(STORED).await;
    let stored = put(&client(&[&follower.endpoint, &other.endpoint])).await;
    assert_eq!(stored.expect("it is stored").revision, 7);
    let counts = [&follower, &leader, &other].map(|node| node.requests.load(Ordering::Relaxed));
    assert_eq!(counts, [1, 1, 0]);
    let (asked, sent) = (follower.last(), leader.last());
    assert!(asked.starts_with("PUT /v1/kv/k HTTP/1.1\r\n") && asked.ends_with("\r\n\r\nv"));
    let line = |text: &str| text.lines().next().map(str::to_owned);
    assert_eq!(line(&asked), line(&sent));
    assert!(sent.ends_with("\r\n\r\nv"), "{sent}");
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_was_not_applied() {
    let down = nobody().await;
    let follower = node(redirect(&down)).await;
    let error = put(&client(&[&follower.endpoint])).await.expect_err("nobody leads");
    assert_eq!((error.outcome(), error.exit()), (Outcome::NotApplied, Exit::Unavailable));
    for strange in ["ftp://x", "/v1/kv/k", "http://u@x"] {
        let follower = node(redirect(strange)).await;
        let error = put(&client(&[&follower.endpoint])).await.expect_err(strange);
        assert_eq!((error.outcome(), error.exit()), (Outcome::NotApplied, Exit::Unexpected));
    }
}

#[tokio::test]
async fn nobody_there_means_not_applied() {
    let (one, two) = (nobody().await, nobody().await);
    let error = client(&[&one, &two]).delete(b"k", &Condition::Always).await;
    let error = error.expect_err("nobody listens");
    assert_eq!((error.outcome(), error.exit()), (Outcome::NotApplied, Exit::Unavailable));
    let text = error.to_string();
    assert!(text.contains(&one) && text.contains(&two), "{text}");
}

#[tokio::test]
async fn problems_keep_their_outcome() {
    let unknown = node(problem("504 Gateway Timeout", "outcome-unknown", "unknown")).await;
    let error = put(&client(&[&unknown.endpoint])).await.expect_err("a problem");
    assert_eq!((error.outcome(), error.exit()), (Outcome::Unknown, Exit::OutcomeUnknown));
    let refused = problem("412 Precondition Failed", "precondition-failed", "not_applied");
    let refused = node(refused).await;
    let error = put(&client(&[&refused.endpoint])).await.expect_err("a problem");
    assert_eq!(error.exit(), Exit::PreconditionFailed);
}

#[tokio::test]
async fn a_missing_key_is_an_answer() {
    let missing = node(problem("404 Not Found", "key-not-found", "not_applied")).await;
    let read =
        client(&[&missing.endpoint]).get(b"k", Level::Linearizable).await.expect("an answer");
    assert_eq!(read.found, None);
}

#[tokio::test]
async fn other_servers_are_not_believed() {
    let other = node("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let client = client(&[&other.endpoint]);
    let error = put(&client).await;
    assert_eq!(error.expect_err("no revision").exit(), Exit::OutcomeUnknown);
    assert_eq!(
        client.get(b"k", Level::Linearizable).await.expect_err("no revision").exit(),
        Exit::Unexpected
    );
    let moved = node("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n").await;
    let error = self::client(&[&moved.endpoint]).get(b"k", Level::Linearizable).await;
    assert_eq!(error.expect_err("no problem").exit(), Exit::Unexpected);
}

#[test]
fn targets_carry_the_timeout() {
    let timeout = Some(Duration::from_millis(1_500));
    let target = |target: &str| Call::new(Method::GET, target.to_owned()).full_target(timeout);
    assert_eq!(target("/v1/kv/a"), "/v1/kv/a?timeout=1500ms");
    assert_eq!(target("/v1/kv?key64=Lg"), "/v1/kv?key64=Lg&timeout=1500ms");
}

#[test]
fn endpoints_are_hosts_and_ports() {
    assert_eq!(endpoint("http://a:7301/").expect("good"), "http://a:7301");
    assert_eq!(endpoint("http://[::1]:7301").expect("good"), "http://[::1]:7301");
    for bad in ["a:7301", "https://a:7301", "http://", "http://a/b", "http://u@a", "http://a:x", ""]
    {
        let error = endpoint(bad).expect_err(bad);
        assert_eq!(error.exit(), Exit::Usage, "{bad}");
    }
}

/// Returns an answer with this JSON.
fn json(body: &str) -> &'static str {
    String::leak(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

#[tokio::test]
async fn a_transfer_names_the_shard_in_the_path_and_the_node_in_the_body() {
    let node = node(json(r#"{"shard":3,"leader":2}"#)).await;
    let answer = client(&[&node.endpoint]).transfer_leader(3, 2).await.expect("an answer");
    assert_eq!((answer.shard, answer.leader), (3, 2));
    let heard = node.last();
    assert!(heard.starts_with("POST /v1/shards/3/transfer-leader HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains("content-type: application/json\r\n"), "{heard}");
    assert!(heard.ends_with("\r\n\r\n{\"to\":2}"), "{heard}");
}

#[tokio::test]
async fn a_snapshot_names_the_shard_in_the_path() {
    let node = node(json(r#"{"shard":3,"node":1,"index":70}"#)).await;
    let answer = client(&[&node.endpoint]).snapshot(3).await.expect("an answer");
    assert_eq!((answer.shard, answer.node, answer.index), (3, 1, 70));
    let heard = node.last();
    assert!(heard.starts_with("POST /v1/shards/3/snapshot HTTP/1.1\r\n"), "{heard}");
}

#[tokio::test]
async fn what_a_shard_refuses_has_its_exit_code() {
    for (status, code, exit) in [
        ("404 Not Found", "no-such-shard", Exit::NotFound),
        ("404 Not Found", "no-such-node", Exit::NotFound),
        ("409 Conflict", "transfer-refused", Exit::Refused),
        ("503 Service Unavailable", "no-leader", Exit::Unavailable),
    ] {
        let refuses = node(problem(status, code, "not_applied")).await;
        let error = client(&[&refuses.endpoint]).transfer_leader(9, 9).await;
        assert_eq!(error.expect_err(code).exit(), exit, "{code}");
    }
    let silent = node(SILENCE).await;
    let error = client(&[&silent.endpoint]).transfer_leader(1, 2).await.expect_err("no answer");
    assert_eq!(error.exit(), Exit::OutcomeUnknown);
}
