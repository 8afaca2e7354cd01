//! Exports and imports: everything comes back, and what stops an import is told with its line.
//!
//! `STEADFAST_TEST_BULK_KEYS` is how many keys one cluster gives another (20,000 by default).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::eventually;
use crate::harness::{Cluster, SMALL};
use crate::http::Answer;
use crate::process::{PROGRAM, Process};

const LINES: (&str, &str) = ("Content-Type", "application/x-ndjson");
const MANIFEST: &str = "{\"export\": {\"format\": 1}}\n";
/// What of an import must be acknowledged before it is killed.
const KILLED_AFTER: &str = ".import";

fn import(cluster: &Cluster, node: usize, query: &str, body: &str) -> Answer {
    let target = format!("/v1/import{query}");
    cluster.client(node).send("POST", &target, &[LINES], body.as_bytes()).expect("an answer")
}

fn export(cluster: &Cluster, node: usize, query: &str) -> String {
    let target = format!("/v1/export{query}");
    let answer = cluster.client(node).send("GET", &target, &[], b"").expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    answer.text()
}

/// Returns the keys of an export, with what stands beside them.
fn keys(text: &str) -> BTreeMap<String, Value> {
    let mut keys = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("{\"key")) {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let name = line["key"].as_str().or(line["key64"].as_str()).expect("a key").to_owned();
        assert!(keys.insert(name, line).is_none(), "each key once");
    }
    keys
}

#[test]
fn what_is_exported_is_imported_as_it_was() {
    let cluster = Cluster::found_with(SMALL, 3);
    let lines = concat!(
        "{\"export\": {\"format\": 1}}\n",
        "{\"key\": \"a\", \"value\": \"old\"}\n",
        "{\"key64\": \"_w\", \"value64\": \"AP8\"}\n",
        "{\"key\": \"long\", \"value\": \"\", \"ttl_ms\": 600000}\n",
        "{\"key\": \"over\", \"value\": \"x\", \"ttl_ms\": 9, \"expires_at_ms\": 1000}\n",
        "\n",
        "{\"key\": \"a\", \"value\": \"new\\n\"}\n",
        "{\"end\": {\"keys\": 5}}",
    );
    let answer = import(&cluster, 0, "", lines);
    let expected = json!({"lines": 8, "stored": 4, "kept": 0, "expired": 1, "ended": true});
    assert_eq!((answer.status, answer.json()), (200, expected), "{}", answer.text());
    assert_eq!(
        cluster.get(1, "a").as_deref(),
        Some(&b"new\n"[..]),
        "the last line of a key counts"
    );

    let text = export(&cluster, 1, "");
    let manifest: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    let id = cluster.view(0).expect("a view")["cluster"].clone();
    assert_eq!((&manifest["export"]["format"], &manifest["export"]["cluster"]), (&json!(1), &id));
    assert_eq!(text.lines().last(), Some("{\"end\":{\"keys\":3}}"));
    let exported = keys(&text);
    assert_eq!(exported["a"], json!({"key": "a", "value": "new\n"}));
    assert_eq!(exported["_w"], json!({"key64": "_w", "value64": "AP8"}));
    let (ttl_ms, at_ms) = (&exported["long"]["ttl_ms"], &exported["long"]["expires_at_ms"]);
    assert!(ttl_ms.as_u64().is_some_and(|ms| (500_000..=600_000).contains(&ms)), "{ttl_ms}");
    let life = at_ms.as_u64().expect("a time") - manifest["export"]["at_ms"].as_u64().expect("one");
    assert!((500_000..=601_000).contains(&life), "{life}");

    let kept = import(&cluster, 2, "?if_absent=true", lines).json();
    assert_eq!((&kept["stored"], &kept["kept"]), (&json!(0), &json!(4)), "{kept}");
    assert_eq!(keys(&export(&cluster, 2, "?prefix=lo")).into_keys().collect::<Vec<_>>(), ["long"]);
}

#[test]
fn an_export_goes_on_at_its_cursor_and_counts_all_keys() {
    let cluster = Cluster::found_with(SMALL, 3);
    let mut lines = MANIFEST.to_owned();
    for i in 0..2_500 {
        lines.push_str(&format!("{{\"key\": \"k{i:05}\", \"value\": \"{i}\"}}\n"));
    }
    assert_eq!(import(&cluster, 0, "", &lines).json()["stored"], 2_500);
    let whole = export(&cluster, 1, "?prefix=k");
    let cursors: Vec<_> = whole.match_indices("{\"cursor\"").collect();
    assert_eq!(cursors.len(), 2, "pages of a thousand keys");
    let cut_at = cursors[0].0 + whole[cursors[0].0..].find('\n').expect("a line") + 1;
    let cursor: Value = serde_json::from_str(&whole[cursors[0].0..cut_at]).expect("JSON");
    let query = format!("?prefix=k&cursor={}", cursor["cursor"].as_str().expect("text"));
    let rest = export(&cluster, 2, &query);
    let (_manifest, rest) = rest.split_once('\n').expect("lines");
    assert_eq!(rest, &whole[cut_at..], "the two parts are one export");
    assert!(rest.ends_with("{\"end\":{\"keys\":2500}}\n"));
    for bad in ["x", "5.AQAAAAAAAAAAAAAAAAAAAAFh"] {
        let target = format!("/v1/export?cursor={bad}");
        let answer = cluster.client(0).send("GET", &target, &[], b"").expect("an answer");
        assert_eq!((answer.status, &*answer.code()), (400, "bad-cursor"), "{bad}");
    }
}

#[test]
fn a_broken_line_is_named_and_nothing_behind_it_is_imported() {
    let cluster = Cluster::found_with(SMALL, 3);
    let good = |key: &str| format!("{{\"key\": \"{key}\", \"value\": \"v\"}}\n");
    let check = |what: &str, body: String, status: u16, code: &str, lines: &str| {
        let answer = import(&cluster, 1, "", &body);
        assert_eq!((answer.status, &*answer.code()), (status, code), "{what}: {}", answer.text());
        assert_eq!(answer.header("steadfast-import-lines"), Some(lines), "{what}");
        assert_eq!(answer.json()["outcome"], "not_applied", "{what}");
    };
    let broken = format!("{MANIFEST}{}{{\"key\": \"b\", \"val\n{}", good("a"), good("c"));
    check("a broken line", broken, 400, "bad-line", "2");
    assert_eq!(cluster.get(0, "a").as_deref(), Some(&b"v"[..]), "it stands before the line");
    assert_eq!(cluster.get(0, "c"), None, "it stands behind the line");
    let resumed = import(&cluster, 2, "?first_line=3", &good("c"));
    assert_eq!((resumed.status, &resumed.json()["lines"]), (200, &json!(3)));
    assert_eq!(cluster.get(0, "c").as_deref(), Some(&b"v"[..]));

    check("nothing", String::new(), 400, "bad-manifest", "0");
    check("no manifest", good("x"), 400, "bad-manifest", "0");
    let later = format!("{{\"export\": {{\"format\": 2}}}}\n{}", good("x"));
    check("a later format", later, 400, "bad-manifest", "0");
    check("two exports", format!("{MANIFEST}{MANIFEST}"), 400, "bad-line", "1");
    let long = format!("{MANIFEST}{}", good(&"k".repeat(1_025)));
    check("a long key", long, 400, "bad-key", "1");
    let short = format!("{MANIFEST}{}{{\"end\": {{\"keys\": 2}}}}\n", good("x"));
    check("a key is missing", short, 400, "bad-line", "2");
    let more = format!("{MANIFEST}{{\"end\": {{\"keys\": 0}}}}\n{}", good("x"));
    check("more after the end", more, 400, "bad-line", "2");
    let large =
        format!("{MANIFEST}{{\"key\": \"k\", \"value\": \"{}\"}}\n", "v".repeat(1 << 20 | 1));
    check("a large value", large, 413, "too-large", "1");

    let mut client = cluster.client(0);
    let json = client.send("POST", "/v1/import", &[("Content-Type", "application/json")], b"{}");
    assert_eq!(json.expect("an answer").code(), "not-ndjson");
    let foreign = [LINES, ("Origin", "http://evil.example")];
    let foreign = client.send("POST", "/v1/import", &foreign, MANIFEST.as_bytes());
    assert_eq!(foreign.expect("an answer").code(), "foreign-origin");
    for (method, target, allowed) in [("POST", "/v1/export", "GET"), ("PUT", "/v1/import", "POST")]
    {
        let answer = client.send(method, target, &[LINES], b"").expect("an answer");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)));
    }
}

#[test]
fn an_import_without_a_majority_says_what_it_knows() {
    let mut cluster = Cluster::found_with(SMALL, 3);
    let body = format!("{MANIFEST}{{\"key\": \"a\", \"value\": \"v\"}}\n");
    assert_eq!(import(&cluster, 0, "", &body).status, 200);
    [1, 2].into_iter().for_each(|node| cluster.nodes[node].kill());
    let answer = import(&cluster, 0, "?timeout=1s", &body);
    let outcome = answer.json()["outcome"].as_str().expect("text").to_owned();
    // It depends on whether the node still led when it took the line.
    let expected = if answer.status == 504 { "unknown" } else { "not_applied" };
    assert_eq!(outcome, expected, "{}", answer.text());
    assert!(matches!(answer.status, 503 | 504), "{}", answer.text());
    assert_eq!(answer.header("steadfast-import-lines"), Some("1"));
    assert!(answer.text().contains("line 2: "), "{}", answer.text());
    let cut = cluster.client(0).send("GET", "/v1/export?timeout=1s", &[], b"").expect("an answer");
    assert_eq!((cut.status, cut.json()["retry"].as_str()), (503, Some("safe")));
}

fn run(node: &Process, words: &[&str], folder: &Path) -> Output {
    command(node, words, folder).output().expect("the program starts")
}

fn command(node: &Process, words: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words).args(["--endpoint", &format!("http://{}", node.http)]).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn done(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    text(&output.stdout)
}

/// Returns the lines of the keys of a file, sorted, and when those with a deadline expire.
fn content(path: &Path) -> (Vec<String>, BTreeMap<String, u64>) {
    let text = std::fs::read_to_string(path).expect("a file of text");
    let (mut lines, mut deadlines) = (Vec::new(), BTreeMap::new());
    for (name, mut line) in keys(&text) {
        let object = line.as_object_mut().expect("an object");
        object.remove("ttl_ms");
        if let Some(at_ms) = object.remove("expires_at_ms") {
            deadlines.insert(name, at_ms.as_u64().expect("a number"));
        }
        lines.push(line.to_string());
    }
    (lines, deadlines)
}

#[test]
fn one_cluster_gives_another_all_it_has_though_the_command_is_killed() {
    let count: u64 = match std::env::var("STEADFAST_TEST_BULK_KEYS") {
        Ok(text) => text.parse().expect("STEADFAST_TEST_BULK_KEYS is a number"),
        Err(_) => 20_000,
    };
    let folder = tempfile::tempdir().expect("a temporary directory");
    let folder = folder.path();
    let mut made = MANIFEST.to_owned();
    for i in 0..count {
        let ttl = if i % 10 == 0 { ", \"ttl_ms\": 3600000" } else { "" };
        made.push_str(&format!("{{\"key\": \"k{i:09}\", \"value\": \"value {i}\"{ttl}}}\n"));
    }
    made.push_str(&format!("{{\"end\": {{\"keys\": {count}}}}}\n"));
    std::fs::write(folder.join("made"), made).expect("a temporary directory");
    {
        let first = Cluster::found_with(SMALL, 6);
        let started = Instant::now();
        done(&run(&first.nodes[0], &["import", "made"], folder));
        println!("made {count} keys in {:?}", started.elapsed());
        let started = Instant::now();
        let said = done(&run(&first.nodes[1], &["export", "-f", "first", "-o", "json"], folder));
        println!("exported in {:?}", started.elapsed());
        assert_eq!(said.trim(), json!({"file": "first", "keys": count}).to_string());
    }
    let second = Cluster::found_with(SMALL, 6);
    let started = Instant::now();
    let mut killed =
        command(&second.nodes[0], &["import", "first"], folder).spawn().expect("it runs");
    let kept = folder.join(format!("first{KILLED_AFTER}"));
    eventually("part of it is acknowledged", || kept.exists().then_some(()));
    killed.kill().expect("a child of ours");
    killed.wait().expect("a child of ours");
    let again = run(&second.nodes[0], &["import", "first"], folder);
    let why = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(2) && why.contains("--resume"), "{why}");
    let said = done(&run(&second.nodes[1], &["import", "first", "--resume", "-o", "json"], folder));
    println!("imported, with a kill, in {:?}: {said}", started.elapsed());
    let stored = serde_json::from_str::<Value>(&said).expect("JSON")["stored"].as_u64();
    assert!(stored.is_some_and(|stored| stored < count), "it went on, not anew: {said}");
    assert!(!kept.exists());
    done(&run(&second.nodes[2], &["export", "-f", "second"], folder));
    let (first, deadlines) = content(&folder.join("first"));
    let (second, deadlines_now) = content(&folder.join("second"));
    assert_eq!(first.len() as u64, count);
    assert!(first == second, "all keys and values are the same");
    assert_eq!(deadlines.len() as u64, count.div_ceil(10));
    let moved = deadlines.iter().map(|(key, at_ms)| at_ms.abs_diff(deadlines_now[key])).max();
    println!("times to live moved by at most {moved:?} ms");
    assert!(moved.is_some_and(|ms| ms < 1_000), "{moved:?}");
}

#[test]
fn a_cut_file_is_refused_and_a_cut_export_goes_on() {
    let cluster = Cluster::found_with(SMALL, 3);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let folder = folder.path();
    let mut body = MANIFEST.to_owned();
    for i in 0..1_500 {
        body.push_str(&format!("{{\"key\": \"k{i:05}\", \"value\": \"{i}\"}}\n"));
    }
    assert_eq!(import(&cluster, 0, "", &body).status, 200);
    let node = &cluster.nodes[0];
    done(&run(node, &["export", "-f", "all"], folder));
    let whole = std::fs::read(folder.join("all")).expect("it is there");
    assert_eq!(done(&run(node, &["export"], folder)).lines().count(), 1 + 1_500 + 1 + 1);

    std::fs::write(folder.join("all"), &whole[..whole.len() - 100]).expect("it can be written");
    let refused = run(node, &["import", "all"], folder);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && why.contains("no end mark"), "{why}");
    let exists = run(node, &["export", "-f", "all"], folder);
    assert_eq!(exists.status.code(), Some(2), "a file is not overwritten");
    done(&run(node, &["export", "-f", "all", "--resume"], folder));
    let resumed = std::fs::read(folder.join("all")).expect("it is there");
    let without_head =
        |bytes: &[u8]| bytes[bytes.iter().position(|b| *b == b'\n').expect("one")..].to_vec();
    assert!(without_head(&resumed) == without_head(&whole), "it is whole again");
    done(&run(node, &["import", "all", "--if-absent"], folder));

    let mut piped =
        command(node, &["import", "-"], folder).stdin(Stdio::piped()).spawn().expect("it runs");
    let cut = format!("{MANIFEST}{{\"key\": \"piped\", \"value\": \"v\"}}\n");
    std::io::Write::write_all(&mut piped.stdin.take().expect("a pipe"), cut.as_bytes())
        .expect("it reads");
    let mut why = String::new();
    piped.stderr.take().expect("a pipe").read_to_string(&mut why).expect("text");
    assert_eq!(piped.wait().expect("a child of ours").code(), Some(1), "{why}");
    assert!(why.contains("no end mark"), "{why}");
    assert!(cluster.get(0, "piped").is_some(), "what came is imported");
}
