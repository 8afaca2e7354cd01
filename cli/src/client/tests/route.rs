//! Requests go to the leader, and a table that is old fails none of them.

use std::sync::atomic::AtomicBool;

use super::*;

/// Two nodes of a cluster with one shard, which the first believes to be led by `leader`.
struct Pair {
    first: Node,
    second: Node,
    client: Client,
    /// How often the table was read.
    tables: Arc<AtomicUsize>,
}

/// What a node answers to a request about a key.
type Script = Box<dyn Fn(bool) -> String + Send>;

fn table(first: &str, second: &str, leader: u32, epoch: u64) -> String {
    let body = format!(
        "{{\"cluster\":\"c\",\"map_epoch\":{epoch},\"age_ms\":1,\"nodes\":[\
         {{\"id\":1,\"http\":\"{first}\"}},{{\"id\":2,\"http\":\"{second}\"}}],\
         \"shards\":[{{\"id\":1,\"slots\":[[0,16383]],\"replicas\":[1,2],\"leader\":{leader},\
         \"age_ms\":1}}]}}"
    );
    json(&body).to_owned()
}

/// Starts both nodes. A script is told whether the request must not be forwarded.
async fn pair(leader: u32, first: Script, second: Script) -> Pair {
    let bind = async || TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (one, two) = (bind().await, bind().await);
    let url = |at: &TcpListener| format!("http://{}", at.local_addr().expect("bound"));
    let table = table(&url(&one), &url(&two), leader, 1);
    let tables = Arc::new(AtomicUsize::new(0));
    let (count, second_table) = (Arc::clone(&tables), table.clone());
    let first = node_at(one, move |request| {
        if request.starts_with("GET /v1/routing") {
            count.fetch_add(1, Ordering::Relaxed);
            return table.clone();
        }
        first(request.contains("steadfast-route: local"))
    });
    let second = node_at(two, move |request| {
        if request.starts_with("GET /v1/routing") {
            return second_table.clone();
        }
        second(request.contains("steadfast-route: local"))
    });
    let client = client(&[&first.endpoint]).routed();
    Pair { first, second, client, tables }
}

fn says(answer: &'static str) -> Script {
    Box::new(move |_local| answer.to_owned())
}

/// Refuses what must not be forwarded, and names `leader`; forwards the rest.
fn misdirected(leader: Option<&str>) -> Script {
    let leader = leader.map(|http| format!(",\"leader\":{{\"id\":2,\"http\":\"{http}\"}}"));
    let body = format!(
        "{{\"code\":\"not-led-here\",\"title\":\"T\",\"status\":421,\"detail\":\"d\",\
         \"outcome\":\"not_applied\",\"retry\":\"never\"{}}}",
        leader.unwrap_or_default()
    );
    let refusal =
        format!("HTTP/1.1 421 Misdirected Request\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    Box::new(move |local| if local { refusal.clone() } else { STORED.to_owned() })
}

fn requests(node: &Node) -> usize {
    node.requests.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_request_goes_straight_to_the_leader() {
    let pair = pair(2, says(SILENCE), says(STORED)).await;
    for _ in 0..3 {
        put(&pair.client).await.expect("the leader stores it");
    }
    assert_eq!((requests(&pair.first), requests(&pair.second)), (1, 3), "one of them: the table");
    let heard = pair.second.last();
    assert!(heard.starts_with("PUT /v1/kv/k?timeout=") && heard.contains("steadfast-route: local"));
}

#[tokio::test]
async fn a_request_that_was_led_astray_goes_where_it_is_told() {
    let second = pair(1, says(SILENCE), says(STORED)).await;
    let pair = pair(1, misdirected(Some(&second.second.endpoint)), says(SILENCE)).await;
    put(&pair.client).await.expect("the leader stores it");
    put(&pair.client).await.expect("the leader stores it");
    assert_eq!(requests(&second.second), 2);
    assert_eq!(requests(&pair.first), 2, "the table, and one request that it refused");
    assert_eq!(pair.tables.load(Ordering::Relaxed), 1, "what it was told is news enough");
}

#[tokio::test]
async fn a_request_that_nobody_can_direct_is_forwarded() {
    let pair = pair(1, misdirected(None), misdirected(None)).await;
    put(&pair.client).await.expect("the node that was not asked yet forwards it");
    assert!(!pair.second.last().contains("steadfast-route"), "{}", pair.second.last());
    assert_eq!((requests(&pair.first), requests(&pair.second)), (2, 1));
}

#[tokio::test]
async fn a_leader_that_is_gone_or_stops_fails_no_request() {
    let stopping = problem("503 Service Unavailable", "stopping", "not_applied");
    let stops = pair(2, says(STORED), says(stopping)).await;
    put(&stops.client).await.expect("the other node forwards it");
    assert_eq!(requests(&stops.second), 1);

    let gone = nobody().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let table = table(&url, &gone, 2, 1);
    let up = node_at(listener, move |request| {
        if request.starts_with("GET /v1/routing") { table.clone() } else { STORED.to_owned() }
    });
    put(&client(&[&up.endpoint]).routed()).await.expect("the other node forwards it");
}

#[tokio::test]
async fn a_write_that_a_leader_may_have_applied_is_not_sent_again_and_a_read_is() {
    let pair = pair(2, says(STORED), says(SILENCE)).await;
    let error = put(&pair.client).await.expect_err("no answer");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!((requests(&pair.first), requests(&pair.second)), (1, 1), "the table, and the write");
    let read = pair.client.get(b"k", Level::Linearizable).await.expect("the other node answers");
    assert_eq!(read.found.map(|found| found.revision), Some(7));
}

#[tokio::test]
async fn the_table_is_read_anew_when_the_map_has_changed() {
    let first = AtomicBool::new(true);
    let moved: Script = Box::new(move |_local| {
        let epoch = if first.swap(false, Ordering::Relaxed) { 1 } else { 2 };
        STORED.replace("steadfast-term", &format!("steadfast-map-epoch: {epoch}\r\nsteadfast-term"))
    });
    let pair = pair(1, moved, says(SILENCE)).await;
    put(&pair.client).await.expect("it is stored");
    put(&pair.client).await.expect("it is stored");
    assert_eq!(pair.tables.load(Ordering::Relaxed), 1, "the first answer was as the table said");
    // Readings keep their distance, so it may take some requests.
    let read_anew = async {
        while pair.tables.load(Ordering::Relaxed) < 2 {
            put(&pair.client).await.expect("it is stored");
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read_anew).await.expect("it is read anew");
}

#[tokio::test]
async fn without_a_table_requests_are_forwarded() {
    let other = node(STORED).await;
    put(&client(&[&nobody().await, &other.endpoint]).routed()).await.expect("it is stored");
    assert!(other.last().starts_with("PUT "), "{}", other.last());
}
