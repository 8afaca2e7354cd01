//! What is done to keys beyond one value read, stored or deleted.

use serde_json::{Value, json};

use crate::harness::{Cluster, SMALL};
use crate::http::Answer;

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Sends a JSON body.
fn post(cluster: &Cluster, node: usize, target: &str, body: &Value) -> Answer {
    let body = body.to_string();
    cluster.client(node).send("POST", target, &[JSON], body.as_bytes()).expect("an answer")
}

#[test]
fn numbers_are_counted_at_any_node_and_bounds_hold() {
    let cluster = Cluster::found(SMALL);
    let mut threads = Vec::new();
    for node in 0..3 {
        let mut client = cluster.client(node);
        threads.push(std::thread::spawn(move || {
            let sums = (0..50).map(|_| {
                let answer = client.send("POST", "/v1/incr/hits", &[], b"").expect("an answer");
                assert_eq!(answer.status, 200, "{}", answer.text());
                let json = answer.json();
                assert_eq!(answer.header("etag"), Some(&*format!("{}", json["revision"])));
                json["value"].as_str().expect("a string").parse::<u32>().expect("a number")
            });
            sums.collect::<Vec<_>>()
        }));
    }
    let mut sums: Vec<u32> =
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect();
    sums.sort_unstable();
    assert_eq!(sums, (1..=150).collect::<Vec<_>>(), "each sum is given once");
    assert_eq!(cluster.get(2, "hits").as_deref(), Some(&b"150"[..]));

    let stock = |node, body| post(&cluster, node, "/v1/incr/stock?timeout=5s", &body);
    let answer = stock(0, json!({"by": -1, "initial": 2, "min": 0, "ttl": "10m"})).json();
    assert_eq!((&answer["value"], &answer["created"]), (&json!("1"), &json!(true)));
    let left = answer["expires_in_ms"].as_u64().expect("it expires");
    assert!(left <= 600_000, "{left}");
    let answer = stock(1, json!({"by": -1, "min": 0})).json();
    assert_eq!((&answer["value"], &answer["created"]), (&json!("0"), &json!(false)));
    assert!(answer["expires_in_ms"].is_u64(), "it keeps its time to live: {answer}");
    let answer = stock(2, json!({"by": -1, "min": 0}));
    assert_eq!((answer.status, &*answer.code()), (409, "past-bound"), "{}", answer.text());
    assert_eq!(cluster.get(0, "stock").as_deref(), Some(&b"0"[..]));

    cluster.put(0, "name", b"alice");
    let answer = post(&cluster, 1, "/v1/incr/name", &json!({}));
    assert_eq!((answer.status, &*answer.code()), (409, "not-a-number"));
    assert_eq!(answer.json()["outcome"], "not_applied");
    assert_eq!(cluster.get(0, "name").as_deref(), Some(&b"alice"[..]));
    cluster.check_equal();
}
