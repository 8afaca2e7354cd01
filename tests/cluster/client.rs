//! The Rust client at a real cluster: it finds leaders by itself, and its examples do what they say.

use steadfast_cli::api::ops::{Op, OpResult, PutOp};
use steadfast_cli::api::problem::Outcome;
use steadfast_cli::api::routing::Routing;
use steadfast_cli::api::slot;
use steadfast_cli::client::Client;
use steadfast_cli::client::kv::{Condition, Level};
use steadfast_cli::client::list::Listing;

use crate::eventually;
use crate::harness::{Cluster, SMALL};

#[expect(dead_code, reason = "its main is for whoever runs it by itself")]
#[path = "../../cli/examples/compare_and_swap.rs"]
mod compare_and_swap;
#[expect(dead_code, reason = "its main is for whoever runs it by itself")]
#[path = "../../cli/examples/counter.rs"]
mod counter;
#[expect(dead_code, reason = "its main is for whoever runs it by itself")]
#[path = "../../cli/examples/read_your_writes.rs"]
mod read_your_writes;

/// Shards of these clusters.
const SHARDS: u32 = 6;
/// Clients that race, and what each does.
const RACERS: usize = 4;
const STEPS: usize = 20;

fn client(cluster: &Cluster, node: usize) -> Client {
    let endpoint = format!("http://{}", cluster.nodes[node].http);
    Client::new(&[endpoint], None).expect("a good endpoint")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

fn routing(cluster: &Cluster, node: usize) -> Routing {
    let answer = cluster.client(node).send("GET", "/v1/routing", &[], b"").expect("an answer");
    serde_json::from_slice(&answer.body).expect("a routing table")
}

/// Waits until every node knows a leader of every shard.
fn all_led(cluster: &Cluster) {
    for node in 0..cluster.nodes.len() {
        eventually("each shard is led", || {
            let routing = routing(cluster, node);
            let led = routing.shards.iter().filter(|shard| shard.leader.is_some()).count();
            (led == SHARDS as usize).then_some(())
        });
    }
}

#[test]
fn the_routing_table_leads_to_leaders_and_is_told_without_a_majority() {
    let mut cluster = Cluster::found_with(SMALL, SHARDS);
    all_led(&cluster);
    let table = routing(&cluster, 0);
    let slots: u32 = table
        .shards
        .iter()
        .flat_map(|shard| &shard.slots)
        .map(|(first, last)| u32::from(last - first) + 1)
        .sum();
    assert_eq!(slots, u32::from(slot::COUNT), "every slot once: {table:?}");
    for (number, node) in (1..).zip(&cluster.nodes) {
        let known = table.nodes.iter().find(|known| known.id == number).expect("it is listed");
        assert_eq!(known.http, format!("http://{}", node.http));
    }
    let survivor = 0;
    [1, 2].into_iter().for_each(|node| cluster.nodes[node].kill());
    let alone = routing(&cluster, survivor);
    assert_eq!((alone.map_epoch, alone.shards.len()), (table.map_epoch, table.shards.len()));
    eventually("its age shows that nobody confirms it", || {
        routing(&cluster, survivor).age_ms.is_none_or(|age_ms| 2_000 < age_ms).then_some(())
    });
}

#[test]
fn limits_are_those_that_are_met() {
    let cluster = Cluster::found(&format!("{SMALL}memory_max = \"5MiB\"\n"));
    let limits = cluster.client(0).send("GET", "/v1/limits", &[], b"").expect("an answer").json();
    assert_eq!(limits["memory_bytes_max"], 5 << 20);
    let key_bytes_max = limits["key_bytes_max"].as_u64().expect("a number");
    for (bytes, status) in [(key_bytes_max, 201), (key_bytes_max + 1, 400)] {
        let target = format!("/v1/kv/{}", "k".repeat(usize::try_from(bytes).expect("short")));
        let answer = cluster.client(0).send("PUT", &target, &[], b"v").expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

#[test]
fn a_client_that_knows_one_node_goes_to_every_leader() {
    let cluster = Cluster::found_with(SMALL, SHARDS);
    all_led(&cluster);
    let requests = |node: usize, status: u16| {
        let name = format!(
            "steadfast_http_requests_total{{route=\"kv\",method=\"PUT\",status=\"{status}\"}}"
        );
        let metrics = cluster.client(node).send("GET", "/metrics", &[], b"").expect("metrics");
        let text = metrics.text();
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(&name));
        lines.next().map_or(0, |count| count.trim().parse::<u64>().expect("a number"))
    };
    let client = client(&cluster, 0).routed();
    wait(async {
        for n in 0..60 {
            let key = format!("key{n}");
            let stored = client.put(key.as_bytes(), "v".into(), None, &Condition::Always).await;
            let facts = stored.expect("it is stored").facts;
            assert_eq!(facts.leader, Some(facts.node));
        }
    });
    let stored: Vec<_> = (0..3).map(|node| requests(node, 201)).collect();
    assert_eq!(stored.iter().sum::<u64>(), 60);
    assert!(stored.iter().all(|count| 0 < *count), "each node leads something: {stored:?}");
}

#[test]
fn many_keys_go_to_their_leaders_and_come_back_in_order_while_one_dies() {
    let mut cluster = Cluster::found_with(SMALL, SHARDS);
    all_led(&cluster);
    let requests = |node: usize, route: &str| {
        let name = format!("steadfast_http_requests_total{{route=\"{route}\",");
        let metrics = cluster.client(node).send("GET", "/metrics", &[], b"").expect("metrics");
        metrics.text().lines().filter(|line| line.starts_with(&name)).count()
    };
    let client = client(&cluster, 0).routed();
    let runtime = runtime();
    let keys: Vec<_> = (0..200).map(|n| format!("many{n}").into_bytes()).collect();
    let put = |key: &Vec<u8>| {
        let key = String::from_utf8(key.clone()).ok();
        Op::Put(PutOp { value: key.clone(), key, ..PutOp::default() })
    };
    let ops: Vec<_> = keys.iter().map(put).collect();
    let stored = runtime.block_on(client.batch(ops)).expect("it is answered");
    assert!(stored.results.iter().all(|item| item.status == 201), "{:?}", stored.results);
    let check = || {
        let read = runtime.block_on(client.mget(&keys, Level::Linearizable)).expect("an answer");
        let values = read.results.iter().map(|item| match &item.result {
            Some(OpResult::Get(got)) => got.value.clone().map(String::into_bytes),
            _ => None,
        });
        values.collect::<Option<Vec<_>>>()
    };
    assert_eq!(check().as_ref(), Some(&keys), "each in its place");
    for node in 0..3 {
        assert!(
            0 < requests(node, "batch") && 0 < requests(node, "mget"),
            "node {node} has a part"
        );
    }
    // The endpoint that the client was given goes; it knows the others from its table.
    cluster.nodes[0].kill();
    eventually("all are read again", || check().filter(|values| *values == keys));
    let listing = Listing { prefix: b"many".to_vec(), ..Listing::default() };
    let page = runtime.block_on(client.list(&listing, None)).expect("another node lists");
    assert_eq!(page.items.len(), keys.len());
}

#[test]
fn leaders_that_move_or_die_fail_no_request_of_a_client_that_routes() {
    let mut cluster = Cluster::found_with(SMALL, SHARDS);
    all_led(&cluster);
    let endpoints: Vec<_> =
        cluster.nodes.iter().map(|node| format!("http://{}", node.http)).collect();
    let client = Client::new(&endpoints, None).expect("good endpoints").routed();
    let runtime = runtime();
    let put = |n: usize| {
        let key = format!("key{n}");
        runtime.block_on(client.put(key.as_bytes(), "v".into(), None, &Condition::Always))
    };
    (0..30).for_each(|n| drop(put(n).expect("it is stored")));
    for shard in 1..=SHARDS {
        let leader = routing(&cluster, 0).shards[shard as usize - 1].leader.expect("it is led");
        let to = leader % 3 + 1;
        let target = format!("/v1/shards/{shard}/transfer-leader");
        let body = format!("{{\"to\":{to}}}");
        let json = [("Content-Type", "application/json")];
        eventually("the leader moves", || {
            let moved = cluster.client(0).send("POST", &target, &json, body.as_bytes()).ok()?;
            (moved.status == 200).then_some(())
        });
        // Its table still names the old leader.
        (0..30).for_each(|n| drop(put(n).expect("it is stored")));
    }
    cluster.nodes[2].kill();
    for n in 0..30 {
        // A connection that broke with the request on its way leaves doubt, and nothing else does.
        if let Err(error) = put(n) {
            assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        }
    }
    (0..30).for_each(|n| drop(put(n).expect("the dead node is known by now")));
    let read = runtime.block_on(client.get(b"key7", Level::Linearizable)).expect("it is read");
    assert!(read.found.is_some());
}

#[test]
fn a_set_that_many_add_to_has_all_that_they_added() {
    let mut cluster = Cluster::found_with(SMALL, SHARDS);
    all_led(&cluster);
    let racer = |number: usize, client: Client| {
        move || {
            let runtime = runtime();
            for step in 0..STEPS {
                let item = format!("{number}.{step}");
                let added = runtime.block_on(compare_and_swap::add(&client, b"set", &item));
                assert!(added.expect("it is added").lines().any(|line| line == item));
            }
        }
    };
    std::thread::scope(|scope| {
        let ends: Vec<_> = (0..RACERS)
            .map(|number| scope.spawn(racer(number, client(&cluster, number % 2).routed())))
            .collect();
        // One that may lead, and that no racer knows by itself.
        cluster.nodes[2].kill();
        ends.into_iter().for_each(|end| end.join().expect("no racer panics"));
    });
    let set = String::from_utf8(cluster.get(0, "set").expect("it is there")).expect("text");
    assert_eq!(set.lines().count(), RACERS * STEPS, "each once: {set}");
}

#[test]
fn a_counter_counts_what_was_acknowledged_and_at_most_what_is_in_doubt_beside() {
    let mut cluster = Cluster::found_with(SMALL, SHARDS);
    all_led(&cluster);
    let racer = |client: Client| {
        move || {
            let (mut counted, mut doubtful) = (0_u64, 0_u64);
            let runtime = runtime();
            for _ in 0..STEPS {
                match runtime.block_on(counter::increment(&client, b"counter")) {
                    Ok(_) => counted += 1,
                    Err(error) if error.outcome() == Outcome::Unknown => doubtful += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            (counted, doubtful)
        }
    };
    let (counted, doubtful) = std::thread::scope(|scope| {
        let ends: Vec<_> = (0..RACERS)
            .map(|number| scope.spawn(racer(client(&cluster, number % 2).routed())))
            .collect();
        cluster.nodes[2].kill();
        ends.into_iter()
            .map(|end| end.join().expect("no racer panics"))
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    let count = wait(counter::count(&client(&cluster, 0).routed(), b"counter")).expect("a count");
    assert!((counted..=counted + doubtful).contains(&count), "{counted} {doubtful}: {count}");
}

#[test]
fn a_session_reads_its_own_writes_at_any_node() {
    let cluster = Cluster::found_with(SMALL, SHARDS);
    all_led(&cluster);
    wait(async {
        let mut session = read_your_writes::Session::default();
        for n in 0..60 {
            let (writes, reads) = (client(&cluster, n % 3).routed(), client(&cluster, (n + 1) % 3));
            let value = n.to_string();
            session.put(&writes, b"own", value.clone().into()).await.expect("it is stored");
            let read = session.get(&reads, b"own").await.expect("it is read");
            assert_eq!(read.as_deref(), Some(value.as_bytes()));
        }
    });
}
