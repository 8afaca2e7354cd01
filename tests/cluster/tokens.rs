//! A cluster with a token: who does not show it gets nothing, and says what to do.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::eventually;
use crate::harness::{SMALL, turn};
use crate::process::{PROGRAM, Process};

const TOKEN: &str = "not-easily-guessed-0123";
const OTHER: &str = "another-secret-4567-890";

/// Three nodes, each started with the token of its own file.
struct Locked {
    nodes: Vec<Process>,
    files: Vec<PathBuf>,
    _root: tempfile::TempDir,
    _turn: crate::harness::Turn,
}

fn start(tokens: [&str; 3]) -> Locked {
    let turn = turn();
    let root = tempfile::tempdir().expect("a temporary directory");
    let files: Vec<_> = (1..=3).map(|n| root.path().join(format!("token{n}"))).collect();
    let mut nodes: Vec<_> =
        (1..=3).map(|n| Process::new(root.path(), &format!("n{n}"), SMALL)).collect();
    for ((node, file), token) in nodes.iter_mut().zip(&files).zip(tokens) {
        std::fs::write(file, format!("{token}\n")).expect("a new file");
        node.start_with(&["--token-file", file.to_str().expect("text")]);
    }
    for node in &nodes {
        eventually("a probe needs no token", || node.answers("/livez").then_some(()));
    }
    Locked { nodes, files, _root: root, _turn: turn }
}

impl Locked {
    fn command(&self, arguments: &[&str], token: Option<usize>) -> Output {
        let mut command = Command::new(PROGRAM);
        command.env_clear().args(arguments);
        for node in &self.nodes {
            command.args(["--endpoint", &format!("http://{}", node.http)]);
        }
        if let Some(file) = token {
            command.env("STEADFAST_TOKEN_FILE", &self.files[file]);
        }
        command.output().expect("the program starts")
    }

    fn init(&self) -> Output {
        let peers: Vec<_> = self.nodes.iter().map(|node| node.peer.to_string()).collect();
        let mut init = vec!["cluster", "init", "--timeout", "5s", "--shards", "1"];
        peers.iter().for_each(|peer| init.extend(["--node", peer]));
        self.command(&init, Some(0))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_cluster_with_a_token_answers_those_that_show_it() {
    let cluster = start([TOKEN; 3]);
    let done = cluster.init();
    assert!(done.status.success(), "{done:?}");
    eventually("the cluster is ready", || {
        cluster.nodes.iter().all(|node| node.answers("/readyz")).then_some(())
    });
    assert!(cluster.command(&["put", "k", "v"], Some(1)).status.success());
    let file = cluster.files[2].to_str().expect("text");
    let got = cluster.command(&["get", "k", "--show-curl", "--token-file", file], None);
    assert_eq!((got.status.code(), text(&got.stdout).trim_end()), (Some(0), "v"), "{got:?}");
    let said = text(&got.stderr);
    assert!(said.contains(&format!("$(cat {file})")) && !said.contains(TOKEN), "{said}");
    // The command that it shows does the same.
    let shown = said.lines().find(|line| line.starts_with("curl ")).expect("a command");
    let curled = Command::new("sh").args(["-c", shown]).output().expect("there is a shell");
    assert!(text(&curled.stdout).ends_with("\r\n\r\nv"), "{curled:?}");

    let refused = cluster.command(&["get", "k"], None);
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    assert!(text(&refused.stderr).contains("--token-file"), "{refused:?}");
    std::fs::write(&cluster.files[0], OTHER).expect("a file");
    assert_eq!(cluster.command(&["put", "k", "w"], Some(0)).status.code(), Some(5));
    for target in ["/v1/kv/k", "/v1/cluster", "/v1/routing", "/metrics", "/nothing"] {
        let answer = cluster.nodes[0].client().send("GET", target, &[], b"").expect("an answer");
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{target}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
}

#[test]
fn nodes_with_another_token_are_refused_and_both_say_what_to_do() {
    let cluster = start([TOKEN, TOKEN, OTHER]);
    let failed = cluster.init();
    assert_eq!(failed.status.code(), Some(7), "it may be repeated: {failed:?}");
    let words = "start all nodes of the cluster with the same --token-file";
    assert!(text(&failed.stderr).contains(words), "{failed:?}");
    eventually("the acceptor says so", || cluster.nodes[2].said().contains(words).then_some(()));
    assert!(!cluster.nodes.iter().any(|node| node.said().contains(TOKEN)));
}

#[test]
fn a_cluster_with_a_token_is_driven_with_it_and_not_without() {
    let cluster = start([TOKEN; 3]);
    let done = cluster.init();
    assert!(done.status.success(), "{done:?}");
    eventually("the cluster is ready", || {
        cluster.nodes.iter().all(|node| node.answers("/readyz")).then_some(())
    });
    let root = tempfile::tempdir().expect("a temporary directory");
    let run = |name: &str, workload: &str, token: Option<usize>| {
        let dir = root.path().join(name);
        let dir = dir.to_str().expect("a plain name");
        let arguments = ["jepsen", "run", "--dir", dir, "--time", "3s", "--concurrency", "3"];
        cluster.command(&[&arguments[..], &["--workload", workload]].concat(), token)
    };
    for workload in ["set", "bank"] {
        let driven = run(workload, workload, Some(0));
        let results = std::fs::read(root.path().join(workload).join("results.json"));
        let results: serde_json::Value =
            serde_json::from_slice(&results.expect("it was judged")).expect("it is JSON");
        let checkers = results["checkers"].as_array().expect("a list");
        for checker in [workload, "replicas", "certificate"] {
            let found = checkers.iter().find(|it| it["checker"] == checker);
            assert!(found.is_some_and(|it| it["verdict"] == "valid"), "{driven:?}: {results}");
        }
        let history = std::fs::read_to_string(root.path().join(workload).join("history.jsonl"));
        // None of them asks for what it would be refused.
        assert!(!history.expect("it was written").contains("\"error\":\"400"));
    }
    // Nothing of them is left.
    let listed = cluster.command(&["list", "-o", "json"], Some(0));
    assert!(!text(&listed.stdout).contains("jepsen/"), "{listed:?}");
    let refused = run("without", "set", None);
    let said = text(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("token"), "{refused:?}");
    std::fs::write(&cluster.files[0], "two words").expect("it can be written");
    let refused = run("malformed", "set", Some(0));
    let said = text(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("holds no token"), "{refused:?}");
}
