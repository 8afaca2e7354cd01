//! What is done to keys beyond one value read, stored or deleted.

use serde_json::{Value, json};

use crate::eventually;
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

#[test]
fn a_transaction_is_carried_out_as_a_whole_or_not_at_all() {
    let cluster = Cluster::found_with(SMALL, 3);
    let txn = |node, body: Value| post(&cluster, node, "/v1/txn", &body);
    let both = json!([
        {"put": {"key": "{a}x", "value": "1"}}, {"put": {"key": "{a}y", "value": "2", "ttl": "1h"}}
    ]);
    let answer = txn(0, json!({"if": [{"key": "{a}x", "exists": false}], "then": both}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let revision = answer.json()["revision"].as_str().expect("it changed something").to_owned();
    assert_eq!(answer.header("steadfast-revision"), Some(&*revision));
    for key in ["%7Ba%7Dx", "%7Ba%7Dy"] {
        let answer = cluster.client(1).send("GET", &format!("/v1/kv/{key}"), &[], b"");
        let answer = answer.expect("an answer");
        assert_eq!(answer.header("steadfast-revision"), Some(&*revision), "they share one");
    }

    let move_all = json!({
        "if": [{"key": "{a}x", "revision": revision}, {"key": "{a}y", "value": "2"}],
        "then": [
            {"incr": {"key": "{a}x", "by": 2}}, {"incr": {"key": "{a}y", "by": -2, "min": 0}},
            {"get": {"key": "{a}y"}}
        ],
        "else": [{"get": {"key": "{a}x"}}],
    });
    let moved = txn(1, move_all.clone()).json();
    assert_eq!(moved["succeeded"], true);
    assert_eq!(moved["results"][0]["incr"]["value"], "3");
    assert_eq!(moved["results"][2]["get"]["value"], "0");
    let again = txn(2, move_all).json();
    assert_eq!((&again["succeeded"], again.get("revision")), (&json!(false), None));
    assert_eq!(again["results"][0]["get"]["value"], "3");

    // The first step is undone, for the second cannot be taken.
    let steps = json!([
        {"delete": {"key": "{a}x"}}, {"incr": {"key": "{a}y", "by": -1, "min": 0}}
    ]);
    let answer = txn(0, json!({ "then": steps }));
    assert_eq!((answer.status, &*answer.code()), (409, "past-bound"), "{}", answer.text());
    assert!(answer.text().contains("then[1]"), "{}", answer.text());
    assert_eq!(cluster.get(2, "%7Ba%7Dx").as_deref(), Some(&b"3"[..]));

    let across = json!([{"get": {"key": "foo"}}, {"get": {"key": "bar"}}]);
    let answer = txn(1, json!({ "then": across }));
    assert_eq!((answer.status, &*answer.code()), (422, "cross-slot"), "{}", answer.text());
    assert!(answer.text().contains("slot 5061: bar; slot 12182: foo"), "{}", answer.text());
    let untyped = cluster.client(0).send("POST", "/v1/txn", &[], b"{}").expect("an answer");
    assert_eq!((untyped.status, &*untyped.code()), (415, "not-json"));

    let large = "v".repeat(900 << 10);
    for key in ["{a}l1", "{a}l2", "{a}l3"] {
        let put = json!([{"put": {"key": key, "value": large}}]);
        assert_eq!(txn(0, json!({ "then": put })).status, 200);
    }
    let gets = json!([
        {"delete": {"key": "{a}x"}}, {"get": {"key": "{a}l1"}}, {"get": {"key": "{a}l2"}},
        {"get": {"key": "{a}l3"}}
    ]);
    let answer = txn(2, json!({ "then": gets }));
    assert_eq!((answer.status, &*answer.code()), (422, "answer-too-large"), "{}", answer.text());
    assert_eq!(cluster.get(0, "%7Ba%7Dx").as_deref(), Some(&b"3"[..]), "it was not deleted");
    cluster.check_equal();
}

#[test]
fn many_keys_are_written_and_read_at_once_wherever_they_are() {
    let cluster = Cluster::found_with(SMALL, 4);
    let puts: Vec<_> = (0..1_000)
        .map(|i| json!({"put": {"key": format!("k{i}"), "value": format!("{i}")}}))
        .collect();
    let answer = post(&cluster, 0, "/v1/batch?timeout=30s", &json!({ "ops": puts }));
    assert_eq!((answer.status, answer.header("steadfast-batch-failed")), (200, Some("0")));
    let results = answer.json()["results"].as_array().expect("a list").clone();
    assert_eq!(results.len(), 1_000);
    assert!(results.iter().all(|it| it["status"] == 201 && it["outcome"] == "applied"));
    let keys: Vec<_> = (0..1_000).map(|i| format!("k{i}")).collect();
    let answer = post(&cluster, 1, "/v1/mget?timeout=30s", &json!({ "keys": keys }));
    let results = answer.json()["results"].as_array().expect("a list").clone();
    for (i, item) in results.iter().enumerate() {
        assert_eq!(item["result"]["get"]["value"], i.to_string(), "they come in order: {item}");
    }

    // Operations on one key, and on one slot, take effect in order; what fails does not end them.
    let ops = json!({"ops": [
        {"put": {"key": "{s}n", "value": "1"}},
        {"incr": {"key": "{s}n", "by": 4}},
        {"put": {"key": "{s}n", "value": "x", "if": {"exists": false}}},
        {"get": {"key": "{s}n"}},
        {"put": {"key64": "_w", "value64": "_w"}},
        {"delete": {"key": "{s}n"}},
        {"get": {"key": "{s}n"}},
        {"incr": {"key": "k1", "max": 0}},
        {"get": {"key64": "_w"}},
    ]});
    let answer = post(&cluster, 2, "/v1/batch", &ops);
    assert_eq!(answer.header("steadfast-batch-failed"), Some("2"), "{}", answer.text());
    let items = answer.json()["results"].clone();
    let statuses: Vec<_> =
        items.as_array().expect("a list").iter().map(|item| item["status"].clone()).collect();
    assert_eq!(json!(statuses), json!([201, 200, 412, 200, 201, 204, 404, 409, 200]), "{items}");
    assert_eq!(items[1]["result"]["incr"]["value"], "5");
    assert_eq!(items[2]["problem"]["current"], items[1]["result"]["incr"]["revision"]);
    assert_eq!(
        (&items[2]["outcome"], &items[7]["outcome"]),
        (&json!("not_applied"), &json!("not_applied"))
    );
    assert_eq!(items[3]["result"]["get"]["value"], "5");
    assert_eq!(items[7]["problem"]["code"], "past-bound");
    assert_eq!(items[8]["result"]["get"]["value64"], "_w");
    cluster.check_equal();
}

#[test]
fn many_stale_keys_are_read_without_a_majority_and_linearizable_ones_are_not() {
    let mut cluster = Cluster::found(SMALL);
    cluster.put(0, "k", b"v");
    let status = |cluster: &Cluster, query: &str| {
        let answer = post(cluster, 0, &format!("/v1/mget?{query}"), &json!({"keys": ["k"]}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["results"][0]["status"].clone()
    };
    let stale = |cluster: &Cluster| (status(cluster, "consistency=stale") == 200).then_some(());
    eventually("the replica here has the key", || stale(&cluster));
    [1, 2].into_iter().for_each(|node| cluster.nodes[node].kill());
    eventually("it needs nobody", || stale(&cluster));
    assert_eq!(status(&cluster, "timeout=500ms"), 503);
    assert_eq!(status(&cluster, "consistency=stale&max_staleness=1ms&timeout=500ms"), 503);
}

#[test]
fn each_operation_of_a_batch_keeps_its_condition_and_says_what_became_of_it() {
    let cluster = Cluster::found(SMALL);
    cluster.put(0, "k", b"1");
    let refused = json!({"ops": [
        {"delete": {"key": "k", "if": {"revision": "999"}}},
        {"incr": {"key": "k", "if": {"exists": false}}},
        {"put": {"key": "k", "value": "2", "if": {"revision": "999"}}},
    ]});
    let answer = post(&cluster, 1, "/v1/batch", &refused).json();
    let statuses: Vec<_> = (0..3).map(|at| answer["results"][at]["status"].clone()).collect();
    assert_eq!(json!(statuses), json!([412, 412, 412]), "{answer}");
    assert_eq!(cluster.get(2, "k").as_deref(), Some(&b"1"[..]));

    // A leader that still believes itself to be one, and whose followers hear nothing.
    let leader = cluster.leader();
    cluster.followers().into_iter().for_each(|node| cluster.nodes[node].freeze());
    let both = json!({"ops": [{"put": {"key": "k", "value": "2"}}, {"get": {"key": "other"}}]});
    let answer = post(&cluster, leader, "/v1/batch?timeout=300ms", &both);
    let failed = answer.header("steadfast-batch-failed").map(str::to_owned);
    let items = answer.json()["results"].clone();
    cluster.nodes.iter().for_each(crate::process::Process::thaw);
    let said = |at: usize| (items[at]["status"].clone(), items[at]["outcome"].clone());
    assert_eq!(said(0), (json!(504), json!("unknown")), "{items}");
    assert_eq!(said(1), (json!(503), json!("not_applied")), "{items}");
    assert_eq!(failed.as_deref(), Some("2"));
}

#[test]
fn once_an_answer_is_full_smaller_values_of_the_slot_find_no_room_either() {
    let cluster = Cluster::found(SMALL);
    // Fifteen fit, and leave some room.
    let value = vec![b'v'; (1 << 20) - 100];
    let mut keys: Vec<_> = (0..16).map(|i| format!("{{s}}{i}")).collect();
    keys.iter()
        .for_each(|key| cluster.put(0, &key.replace('{', "%7B").replace('}', "%7D"), &value));
    cluster.put(0, "%7Bs%7Dsmall", b"v");
    keys.push("{s}small".to_owned());
    let answer = post(&cluster, 1, "/v1/mget?timeout=30s", &json!({ "keys": keys })).json();
    let last = &answer["results"][16];
    assert_eq!((&last["status"], &last["problem"]["code"]), (&json!(503), &json!("response-full")));
}

#[test]
fn an_answer_that_is_full_says_so_of_each_item_and_the_rest_can_be_asked_for_again() {
    let cluster = Cluster::found(SMALL);
    let value = vec![b'v'; 1 << 20];
    let keys: Vec<_> = (0..20).map(|i| format!("k{i}")).collect();
    keys.iter().for_each(|key| cluster.put(0, key, &value));
    let mut left = keys;
    for _ in 0..2 {
        let answer = post(&cluster, 1, "/v1/mget?timeout=30s", &json!({ "keys": left }));
        assert!(answer.body.len() <= 16 << 20, "{} bytes", answer.body.len());
        let results = answer.json()["results"].as_array().expect("a list").clone();
        let missing: Vec<_> = results.iter().filter(|it| it["status"] == 503).collect();
        assert!(missing.iter().all(|it| it["problem"]["code"] == "response-full"));
        assert!(missing.iter().all(|it| it["problem"]["retry"] == "safe"));
        let full = left.iter().zip(&results).filter(|(_, it)| it["status"] == 503);
        left = full.map(|(key, _)| key.clone()).collect();
    }
    assert!(left.is_empty(), "twice is enough: {left:?}");
}

/// Lists keys, a page after another, and calls `between` after each.
fn list(
    cluster: &mut Cluster,
    node: usize,
    query: &str,
    mut between: impl FnMut(&mut Cluster),
) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let target = format!("/v1/kv?{query}&timeout=10s{cursor}");
        let page = eventually("a page is answered", || {
            let answer = cluster.client(node).send("GET", &target, &[], b"").ok()?;
            assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
            (answer.status == 200).then(|| answer.json())
        });
        items.extend(page["items"].as_array().expect("a list").clone());
        between(cluster);
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// Stores `count` keys, and returns them in order.
fn fill(cluster: &Cluster, count: usize) -> Vec<String> {
    let keys: Vec<_> = (0..count).map(|i| format!("list/{i:06}")).collect();
    for chunk in keys.chunks(1_000) {
        let ops: Vec<_> =
            chunk.iter().map(|key| json!({"put": {"key": key, "value": "v"}})).collect();
        let answer = post(cluster, 0, "/v1/batch?timeout=30s", &json!({ "ops": ops }));
        assert_eq!(answer.header("steadfast-batch-failed"), Some("0"), "{}", answer.text());
    }
    keys
}

#[test]
fn a_list_has_every_key_once_in_order_while_a_leader_dies() {
    let count = match std::env::var("STEADFAST_TEST_KEYS") {
        Ok(text) => text.parse().expect("STEADFAST_TEST_KEYS is a number"),
        Err(_) => 3_000,
    };
    let mut cluster = Cluster::found_with(SMALL, 6);
    let keys = fill(&cluster, count);
    cluster.put(0, "other", b"v");
    let victim = cluster.leader();
    let asked = (victim + 1) % 3;
    // Pages go on while the leader is gone and others take over.
    let items = list(&mut cluster, asked, "prefix=list/&limit=250", |cluster| {
        if cluster.nodes[victim].runs() {
            cluster.nodes[victim].kill();
        }
    });
    let listed: Vec<_> = items.iter().map(|it| it["key"].as_str().expect("text")).collect();
    assert_eq!(listed, keys);
}

#[test]
fn a_list_shows_values_and_lives_and_no_key_that_is_gone() {
    let mut cluster = Cluster::found_with(SMALL, 3);
    let ops = json!({"ops": [
        {"put": {"key": "b", "value": "2", "ttl": "1h"}},
        {"put": {"key": "a", "value": "1"}},
        {"put": {"key64": "_w", "value64": "_w"}},
        {"put": {"key": "gone", "value": "x"}},
        {"delete": {"key": "gone"}},
        {"put": {"key": "short", "value": "x", "ttl": "1ms"}},
    ]});
    assert_eq!(post(&cluster, 0, "/v1/batch", &ops).header("steadfast-batch-failed"), Some("0"));
    eventually("it is gone", || cluster.get(1, "short").is_none().then_some(()));
    let items = list(&mut cluster, 2, "values=true&limit=2", |_| ());
    let shown: Vec<_> = items.iter().map(|it| (it["key"].clone(), it["value"].clone())).collect();
    let expected = [(json!("a"), json!("1")), (json!("b"), json!("2")), (Value::Null, Value::Null)];
    assert_eq!(shown, expected, "{items:?}");
    assert_eq!((&items[2]["key64"], &items[2]["value64"]), (&json!("_w"), &json!("_w")));
    assert!(items[1]["expires_in_ms"].as_u64().is_some_and(|ms| ms <= 3_600_000));
    // Well formed, and of a cluster of another id.
    let foreign = "AQAAAAAAAAAAAAAAAAAAAAFh";
    let answer = cluster.client(0).send("GET", &format!("/v1/kv?cursor={foreign}"), &[], b"");
    let answer = answer.expect("an answer");
    assert_eq!((answer.status, &*answer.code()), (400, "bad-cursor"), "{}", answer.text());
}
