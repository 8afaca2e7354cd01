//! Bad input in JSON, at every node of a real cluster; and what every route of the interface refuses,
//! read from its own description so that a new route is held to it as well.

use serde_json::{Value, json};

use crate::harness::{Cluster, SMALL, turn};
use crate::input::is_problem;
use crate::process::Process;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const TOKEN: &str = "not-easily-guessed-0123";

/// Well formed, and of a cluster of another id.
const FOREIGN_CURSOR: &str = "/v1/kv?cursor=AQAAAAAAAAAAAAAAAAAAAAFh";

/// Target, body, and what must be said of them.
type Bad = (&'static str, String, u16, &'static str);

fn puts(count: usize) -> Value {
    (0..count).map(|n| json!({"put": {"key": format!("{{a}}{n}"), "value": "v"}})).collect()
}

fn gets(count: usize) -> Value {
    (0..count).map(|n| json!({"get": {"key": format!("{{a}}{n}")}})).collect()
}

fn of(target: &'static str, body: &Value, status: u16, code: &'static str) -> Bad {
    (target, body.to_string(), status, code)
}

/// Numbers of items, shapes, types and sizes.
fn shapes() -> Vec<Bad> {
    let names = |count: usize| (0..count).map(|n| format!("k{n}")).collect::<Vec<_>>();
    let large = "v".repeat((1 << 20) + 1);
    let long = "k".repeat(1_025);
    let mut bad = vec![
        of("/v1/mget", &json!({"keys": names(1_001)}), 422, "too-many-items"),
        of("/v1/mget", &json!({"keys": []}), 422, "too-many-items"),
        of("/v1/batch", &json!({"ops": puts(1_001)}), 422, "too-many-items"),
        of("/v1/batch", &json!({"ops": []}), 422, "too-many-items"),
        of("/v1/txn", &json!({"then": puts(501), "else": gets(500)}), 422, "too-many-items"),
        of("/v1/txn", &json!({}), 422, "too-many-items"),
        of("/v1/mget", &json!({"keys": [long]}), 400, "bad-key"),
        of("/v1/mget", &json!({"keys64": ["?"]}), 400, "bad-key"),
        of("/v1/mget", &json!({"keys": ["a"], "keys64": ["YQ"]}), 400, "bad-json"),
        of("/v1/batch", &json!({"ops": [{"put": {"key": "k", "value": large}}]}), 413, "too-large"),
        of("/v1/batch", &json!({"ops": [{"put": {"key": "k"}}]}), 400, "bad-value"),
        of("/v1/batch", &json!({"ops": [{"incr": {"key": "k", "by": "x"}}]}), 400, "bad-json"),
        of("/v1/txn", &json!({"if": [{"key": "k"}]}), 400, "bad-condition"),
    ];
    for target in ["/v1/mget", "/v1/batch", "/v1/txn", "/v1/incr/k", "/v1/cluster/init"] {
        for body in
            ["", "{", "[]", "7", "null", "\"x\"", "{\"no\": 1}", "{\"keys\": {}, \"ops\": 7}"]
        {
            // Nothing means one more.
            if (target, body) != ("/v1/incr/k", "") {
                bad.push((target, body.to_owned(), 400, "bad-json"));
            }
        }
        let padded = format!("{{}}{}", " ".repeat(9 << 20));
        bad.push((target, padded, 413, "too-large"));
    }
    bad
}

/// What the keys stand against.
fn refused_by_state() -> Vec<Bad> {
    let across = json!({"then": [{"get": {"key": "foo"}}, {"put": {"key": "bar", "value": "v"}}]});
    vec![
        of("/v1/txn", &across, 422, "cross-slot"),
        of("/v1/incr/name", &json!({}), 409, "not-a-number"),
        of("/v1/incr/top", &json!({"by": 1}), 409, "overflow"),
        of("/v1/incr/bottom", &json!({"by": "-1"}), 409, "overflow"),
        of("/v1/incr/top", &json!({"by": "9223372036854775807"}), 409, "overflow"),
        of("/v1/incr/top", &json!({"by": "9223372036854775808"}), 400, "bad-json"),
        of("/v1/incr/bottom", &json!({"by": 0, "min": "-9223372036854775807"}), 409, "past-bound"),
        of("/v1/incr/top", &json!({"by": 0, "max": 7}), 409, "past-bound"),
        of("/v1/incr/new", &json!({"initial": 5, "max": 5}), 409, "past-bound"),
    ]
}

#[test]
fn bad_json_is_refused_at_every_node_and_changes_nothing() {
    let cluster = Cluster::found(SMALL);
    for (key, value) in
        [("name", "alice"), ("top", "9223372036854775807"), ("bottom", "-9223372036854775808")]
    {
        cluster.put(0, key, value.as_bytes());
    }
    // Node 0 has applied it then, whoever leads.
    cluster.check_equal();
    let mutations = || cluster.nodes[0].metric("steadfast_shard_mutations{shard=\"1\"}");
    let before = mutations();
    for (target, body, status, code) in shapes().into_iter().chain(refused_by_state()) {
        for node in 0..3 {
            println!("{target} {body:.60}");
            let answer = cluster.client(node).send("POST", target, &[JSON], body.as_bytes());
            let answer = answer.expect("an answer");
            is_problem(&answer, status, code);
            if code == "cross-slot" {
                assert!(answer.text().contains("slot 5061: bar; slot 12182: foo"));
            }
        }
    }
    for (node, target) in [
        (0, FOREIGN_CURSOR),
        (1, "/v1/kv?cursor=x"),
        (2, "/v1/kv?cursor="),
        (0, "/v1/kv?cursor=AA"),
    ] {
        let answer = cluster.client(node).send("GET", target, &[], b"").expect("an answer");
        is_problem(&answer, 400, "bad-cursor");
    }
    cluster.check_equal();
    assert_eq!(mutations(), before, "something was changed");
}

/// Returns method and target of each route, as the interface describes itself.
fn routes(node: &Process) -> Vec<(String, String)> {
    let document = node.client().send("GET", "/openapi.json", &[("Authorization", &bearer())], b"");
    let document = document.expect("an answer").json();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("there are some") {
        for method in methods.as_object().expect("there are some").keys() {
            let target = path.replace("{key}", "k").replace("{id}", "1");
            routes.push((method.to_uppercase(), target));
        }
    }
    assert!(20 < routes.len(), "they were found: {routes:?}");
    routes
}

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

#[test]
fn every_route_wants_the_token_and_no_change_comes_from_another_site() {
    let _turn = turn();
    let root = tempfile::tempdir().expect("a temporary directory");
    let file = root.path().join("token");
    std::fs::write(&file, TOKEN).expect("a new file");
    let mut node = Process::new(root.path(), "n1", SMALL);
    node.start_with(&["--token-file", file.to_str().expect("text")]);
    crate::eventually("the node lives", || node.answers("/livez").then_some(()));
    let send = |method: &str, target: &str, headers: &[(&str, &str)]| {
        let answer = node.client().send(method, target, headers, b"{}").expect("an answer");
        (answer.status, answer.code())
    };
    let (wrong, right) = (format!("{}x", bearer()), bearer());
    for (method, target) in routes(&node) {
        println!("{method} {target}");
        let is_head = method == "HEAD";
        let is = |(status, code): (u16, String), expected: u16, name: &str| {
            assert_eq!(status, expected, "{code}");
            assert!(is_head || code == name, "{code}");
        };
        let probe = ["/livez", "/readyz"].contains(&target.as_str());
        for shown in [&[][..], &[("Authorization", wrong.as_str())]] {
            let answer = send(&method, &target, &[shown, &[JSON]].concat());
            if probe {
                assert_ne!(answer.0, 401);
            } else {
                is(answer, 401, "unauthorized");
            }
        }
        let token = ("Authorization", right.as_str());
        assert_ne!(send(&method, &target, &[token, JSON]).0, 401);
        let page = ("Origin", "http://evil.example");
        let answer = send(&method, &target, &[token, JSON, page]);
        if method == "GET" || is_head {
            assert_ne!(answer.0, 403, "looking is free");
        } else {
            is(answer, 403, "foreign-origin");
        }
    }
    // A page can send what it likes with some types alone; each body must say that it is none of them.
    for target in ["/v1/mget", "/v1/batch", "/v1/txn", "/v1/incr/k", "/v1/cluster/init"] {
        let form = ("Content-Type", "text/plain");
        let answer = send("POST", target, &[("Authorization", &right), form]);
        assert_eq!(answer, (415, "not-json".to_owned()), "{target}");
    }
}
