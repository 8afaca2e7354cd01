//! Requests about many keys are split by leaders, and put together again.

use serde_json::{Value, json};

use super::*;
use crate::api::many::{ItemOutcome, ManyAnswer};
use crate::api::ops::{GetOp, Op, PutOp};
use crate::client::list::Listing;

/// In the first half of the slots, and in the second.
const LOW: &str = "bar";
const HIGH: &str = "foo";

/// What a node answers to a request about many keys, given its body.
type Script = Box<dyn Fn(&Value) -> String + Send>;

/// Starts two nodes, each of which leads the shard of half of the slots, and returns them with how
/// often the table was read.
async fn halves(low: Script, high: Script) -> ([Node; 2], Client, Arc<AtomicUsize>) {
    let bind = async || TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (one, two) = (bind().await, bind().await);
    let url = |at: &TcpListener| format!("http://{}", at.local_addr().expect("bound"));
    let table = table(&url(&one), &url(&two));
    let tables = Arc::new(AtomicUsize::new(0));
    let serve = |listener, script: Script| {
        let (table, tables) = (table.clone(), Arc::clone(&tables));
        node_at(listener, move |request| {
            if request.starts_with("GET /v1/routing") {
                tables.fetch_add(1, Ordering::Relaxed);
                return table.clone();
            }
            let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            script(&serde_json::from_str(body).unwrap_or_default())
        })
    };
    let nodes = [serve(one, low), serve(two, high)];
    let client = client(&[&nodes[0].endpoint]).routed();
    (nodes, client, tables)
}

fn table(low: &str, high: &str) -> String {
    let shard = |id: u32, slots: [u16; 2]| json!({"id": id, "slots": [slots], "replicas": [1, 2], "leader": id, "age_ms": 1});
    let table = json!({
        "cluster": "c", "map_epoch": 1, "age_ms": 1,
        "nodes": [{"id": 1, "http": low}, {"id": 2, "http": high}],
        "shards": [shard(1, [0, 8_191]), shard(2, [8_192, 16_383])],
    });
    json(&table.to_string()).to_owned()
}

/// Answers each item with the node's number as the value, and the key as it was asked for.
fn answers(node: u32) -> Script {
    Box::new(move |body| {
        let items = body["keys64"].as_array().or_else(|| body["ops"].as_array()).expect("items");
        let item = |key: &Value| {
            let text = format!("{node}:{key}");
            let get = json!({"found": true, "value": text, "revision": "7"});
            json!({"status": 200, "outcome": "applied", "result": {"get": get}})
        };
        let results: Vec<_> = items.iter().map(item).collect();
        json(&json!({ "results": results }).to_string()).to_owned()
    })
}

fn says(answer: &'static str) -> Script {
    Box::new(move |_| answer.to_owned())
}

fn put_op(key: &str) -> Op {
    let key = Some(key.to_owned());
    Op::Put(PutOp { key, value: Some("v".to_owned()), ..PutOp::default() })
}

fn get_op(key: &str) -> Op {
    Op::Get(GetOp { key: Some(key.to_owned()), key64: None })
}

fn keys(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

/// Returns which node answered each item.
fn from_nodes(answer: &ManyAnswer) -> String {
    let json = serde_json::to_value(answer).expect("JSON");
    let items = json["results"].as_array().expect("a list");
    let node = |item: &Value| {
        item["result"]["get"]["value"].as_str().map_or('-', |it| it.chars().next().unwrap_or('?'))
    };
    items.iter().map(node).collect()
}

#[tokio::test]
async fn each_leader_gets_its_part_and_the_answer_has_the_order_of_the_request() {
    let (nodes, client, _) = halves(answers(1), answers(2)).await;
    let many = client.mget(&keys(&[HIGH, LOW, LOW, HIGH]), Level::Linearizable).await;
    assert_eq!(from_nodes(&many.expect("both answer")), "2112");
    let many = client.batch(vec![put_op(LOW), put_op(HIGH), get_op(LOW)]).await;
    assert_eq!(from_nodes(&many.expect("both answer")), "121");
    let asked = nodes[1].last();
    assert!(asked.contains(HIGH) && !asked.contains(LOW), "{asked}");
    assert!(!asked.contains("steadfast-route"), "it may be forwarded");
}

#[tokio::test]
async fn a_part_whose_leader_is_gone_is_forwarded_by_another_node() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let (table, answers) = (table(&url, &nobody().await), answers(1));
    let up = node_at(listener, move |request| {
        if request.starts_with("GET /v1/routing") {
            return table.clone();
        }
        let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        answers(&serde_json::from_str(body).expect("JSON"))
    });
    let client = client(&[&up.endpoint]).routed();
    let many = client.batch(vec![put_op(LOW), put_op(HIGH)]).await.expect("the other forwards");
    assert_eq!(from_nodes(&many), "11");
    let many = client.mget(&keys(&[LOW, HIGH]), Level::Linearizable).await;
    assert_eq!(from_nodes(&many.expect("the other forwards")), "11");
}

#[tokio::test]
async fn a_part_that_is_lost_leaves_its_writes_in_doubt_and_nothing_else() {
    let (nodes, client, _) = halves(answers(1), says(SILENCE)).await;
    let ops = vec![put_op(HIGH), get_op(HIGH), get_op(LOW)];
    let many = client.batch(ops).await.expect("one part is answered");
    let said: Vec<_> = many.results.iter().map(|item| (item.status, item.outcome)).collect();
    let expected =
        [(504, ItemOutcome::Unknown), (503, ItemOutcome::NotApplied), (200, ItemOutcome::Applied)];
    assert_eq!(said, expected);
    let codes: Vec<_> =
        many.results.iter().filter_map(|item| Some(item.problem.as_ref()?.code.as_str())).collect();
    assert_eq!(codes, ["outcome-unknown", "no-answer"]);
    assert_eq!(nodes[1].requests.load(Ordering::Relaxed), 1, "no write is sent again");
}

#[tokio::test]
async fn a_part_that_is_refused_says_so_of_its_items_and_all_refused_are_an_error() {
    let full = problem("507 Insufficient Storage", "disk-full", "not_applied");
    let (_nodes, client, _) = halves(answers(1), says(full)).await;
    let many = client.batch(vec![put_op(HIGH), put_op(LOW)]).await.expect("one is carried out");
    assert_eq!((many.results[0].status, many.results[0].outcome), (507, ItemOutcome::NotApplied));
    assert_eq!(many.results[0].problem.as_ref().map(|it| it.code.as_str()), Some("disk-full"));
    let error = client.batch(vec![put_op(HIGH)]).await.expect_err("nothing is left");
    assert_eq!(error.outcome(), Outcome::NotApplied);

    let (_nodes, client, _) = halves(says(full), says(SILENCE)).await;
    let error = client.batch(vec![put_op(LOW), put_op(HIGH)]).await.expect_err("nothing is left");
    assert_eq!(error.outcome(), Outcome::Unknown, "the half in doubt is what counts");
}

#[tokio::test]
async fn an_answer_with_other_items_than_asked_for_is_strange() {
    let none = String::leak(json(r#"{"results":[]}"#).to_owned());
    let (_nodes, client, _) = halves(answers(1), says(none)).await;
    let many = client.batch(vec![put_op(HIGH), put_op(LOW)]).await.expect("one is carried out");
    assert_eq!(many.results.len(), 2);
    assert_eq!(many.results[0].outcome, ItemOutcome::Unknown);
}

#[tokio::test]
async fn what_is_too_much_is_left_to_a_server_to_refuse() {
    let (nodes, client, tables) = halves(answers(1), answers(2)).await;
    let many = client.mget(&[], Level::Linearizable).await.expect("the node answers");
    assert_eq!(many.results.len(), 0);
    assert_eq!(tables.load(Ordering::Relaxed), 0);
    assert_eq!(nodes[0].requests.load(Ordering::Relaxed), 1, "it was sent as a whole");
}

#[tokio::test]
async fn an_old_table_is_read_anew() {
    let (_nodes, client, tables) = halves(answers(1), answers(2)).await;
    let ask = async || client.mget(&keys(&[LOW]), Level::Linearizable).await.expect("an answer");
    ask().await;
    ask().await;
    assert_eq!(tables.load(Ordering::Relaxed), 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    ask().await;
    assert_eq!(tables.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_list_is_asked_of_any_node_that_is_there() {
    let empty = String::leak(json(r#"{"items":[],"shards":[]}"#).to_owned());
    let (nodes, client, _) = halves(answers(1), says(empty)).await;
    client.mget(&keys(&[LOW]), Level::Linearizable).await.expect("it learns of the other node");
    let [first, second] = nodes;
    drop(first);
    let listing = Listing::default();
    client.list(&listing, None).await.expect("the other node, which only the table names, answers");
    assert!(second.last().starts_with("GET /v1/kv?"), "{}", second.last());
}
