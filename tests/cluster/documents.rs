//! Every command that the documents show is run here, as it is printed.
//!
//! ```text
//!   sh           each command, in order, against a cluster of dev; one cluster for each document
//!   sh found     in order, as three machines would, whose names stand for ports of this one
//!   sh no-run    only read: the flags must be there. The line above the block says why:
//!                <!-- no-run: REASON -->
//! ```
//!
//! And the page of metrics is compared with what a node exposes.
//!
//! `# -> TEXT, TEXT` behind a command says what it prints, among other things. Other fences that
//! name a shell fail the test, so that no block goes by unseen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::Signal;

use crate::dev::Dev;
use crate::eventually;
use crate::harness::{Cluster, SMALL, turn};
use crate::process::{PROGRAM, free_base};

/// Commands that the documents show at least. Fewer means that they were not found.
const COMMANDS_MIN: usize = 30;

/// What is done with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Run,
    Found,
    Read,
}

/// A block of commands.
#[derive(Clone, Debug)]
struct Block {
    /// Document and line.
    place: String,
    kind: Kind,
    /// Why it is not run.
    reason: Option<String>,
    /// What it holds, a command each.
    commands: Vec<String>,
}

/// Returns all documents, from the root of the repository.
fn documents() -> Vec<PathBuf> {
    let mut found = vec!["README.md".into(), "CHANGELOG.md".into(), "jepsen/README.md".into()];
    for folder in ["docs", "docs/adr", "docs/benchmarks"] {
        let listed = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
        let names = listed.expect("it is there").map(|entry| entry.expect("a file").file_name());
        let names = names.map(|name| Path::new(folder).join(name));
        found.extend(names.filter(|name| name.extension().is_some_and(|end| end == "md")));
    }
    found.sort();
    found
}

/// Returns the blocks of commands of a document.
fn blocks(document: &Path) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = fs::read_to_string(path).expect("it is there");
    let (mut found, mut above) = (Vec::new(), "");
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(words) = line.trim_start().strip_prefix("```") else {
            above = line;
            continue;
        };
        let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let inside: Vec<_> = inside.collect();
        let place = format!("{}:{}", document.display(), at + 1);
        let kind = match words {
            "sh" => Some(Kind::Run),
            "sh found" => Some(Kind::Found),
            "sh no-run" => Some(Kind::Read),
            "" | "json" | "rust" | "text" | "toml" => None,
            other => panic!("{place}: what is a block of {other:?}?"),
        };
        let reason = above.strip_prefix("<!-- no-run: ").and_then(|it| it.strip_suffix(" -->"));
        if let Some(kind) = kind {
            let reason = reason.map(str::to_owned);
            assert_eq!(kind == Kind::Read, reason.is_some(), "{place}: a reason, or none");
            found.push(Block { place, kind, reason, commands: commands(&inside) });
        }
        above = "";
    }
    found
}

/// Joins lines that go on in the next one.
fn commands(lines: &[&str]) -> Vec<String> {
    let text = lines.join("\n").replace("\\\n", " ");
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

/// Checks that a command succeeded and printed what is said behind it.
#[track_caller]
fn check(place: &str, command: &str, output: &Output) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{place}: {command}: {}\n{said}", output.status);
    for expected in command.split_once("# -> ").map_or("", |(_, it)| it).split(", ") {
        assert!(said.contains(expected), "{place}: {command}: no {expected:?} in\n{said}");
    }
}

/// Makes the program's name lead to it.
fn with_program(command: &str) -> String {
    let command = command.replace("target/release/steadfast", "steadfast");
    format!("steadfast() {{ {PROGRAM} \"$@\"; }}\n{command}")
}

/// Runs the blocks that are for a cluster of dev, and returns how many commands there were.
fn run(blocks: &[Block]) -> usize {
    let mut dev = Dev::start(&[]);
    dev.up();
    let mut ran = 0;
    for block in blocks {
        for command in &block.commands {
            let output = dev.script(&with_program(command)).output().expect("a shell");
            check(&block.place, command, &output);
            ran += 1;
        }
    }
    dev.signal(Signal::INT);
    assert!(dev.ends().success());
    ran
}

#[test]
fn every_command_of_the_documents_is_run_or_says_why_not() {
    let mut ran = 0;
    for document in documents() {
        let blocks = blocks(&document);
        let runs: Vec<_> = blocks.iter().filter(|block| block.kind == Kind::Run).cloned().collect();
        if !runs.is_empty() {
            ran += run(&runs);
        }
        for block in blocks.iter().filter(|block| block.kind == Kind::Read) {
            println!("not run: {}: {}", block.place, block.reason.as_deref().unwrap_or_default());
            read(block);
        }
    }
    assert!(COMMANDS_MIN <= ran, "{ran} commands were found");
}

/// Checks that what a block asks of the program is there: the program reads it, and is asked for
/// help instead. Nothing else is run, for there is no path to anything.
fn read(block: &Block) {
    let mut script = format!(
        "cargo() {{ :; }}; install() {{ :; }}; sudo() {{ \"$@\"; }}\n\
         steadfast() {{ {PROGRAM} \"$@\" --help >/dev/null; }}\n"
    );
    for command in &block.commands {
        let command = command.replace("target/release/steadfast", "steadfast");
        script.push_str(&command.replace("target/debug/steadfast", "steadfast"));
        script.push('\n');
    }
    let output = Command::new("/bin/sh").args(["-e", "-c", &script]).env("PATH", "").output();
    check(&block.place, &script, &output.expect("a shell"));
}

/// Three machines, as docs/operate.md names them, on this one.
struct Machines {
    base: u16,
    root: tempfile::TempDir,
    nodes: Vec<Child>,
}

impl Machines {
    /// Prepares a script for the machine with this number.
    fn script(&self, script: &str, own: usize) -> Command {
        let root = self.root.path().display();
        let mut script = script.replace("/etc/", &format!("{root}/"));
        script = script.replace("/var/lib/steadfast/data", &format!("{root}/n{own}"));
        for (name, digit) in [(":7301", 0), (":7401", 1)] {
            let port = |n: usize| usize::from(self.base) + 100 * digit + n;
            script = script.replace(&format!("0.0.0.0{name}"), &format!("127.0.0.1:{}", port(own)));
            for n in 1..=3 {
                // A node's own command is shown for the first.
                let number = if script.contains("steadfast start") { own } else { n };
                let name = format!("db{n}.example{name}");
                script = script.replace(&name, &format!("127.0.0.1:{}", port(number)));
            }
        }
        let mut command = Command::new("sh");
        command.args(["-e", "-c", &script]);
        command
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            drop(node.kill());
            drop(node.wait());
        }
    }
}

#[test]
fn a_cluster_is_founded_with_a_token_as_the_documents_say() {
    let _turn = turn();
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut machines = Machines { base: free_base(), root, nodes: Vec::new() };
    let blocks = blocks(Path::new("docs/operate.md"));
    let commands = blocks.iter().filter(|block| block.kind == Kind::Found);
    for (block, command) in commands.flat_map(|it| it.commands.iter().map(move |c| (it, c))) {
        if command.starts_with("steadfast start") {
            for n in 1..=3 {
                let command = command.replacen("steadfast", &format!("exec {PROGRAM}"), 1);
                let log = fs::File::create(machines.root.path().join(format!("n{n}.log")));
                let mut node = machines.script(&command, n);
                node.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a file"));
                machines.nodes.push(node.spawn().expect("a shell"));
            }
            continue;
        }
        // The nodes may still be starting; and all of this may be said twice.
        eventually(&format!("{}: {command}", block.place), || {
            let output = machines.script(&with_program(command), 1).output().expect("a shell");
            if output.status.success() {
                check(&block.place, command, &output);
                return Some(());
            }
            println!("{command}: {output:?}");
            None
        });
    }
    assert_eq!(machines.nodes.len(), 3, "they were started");
}

/// What a node exposes, a row for each metric: name, kind, labels, help.
fn metrics_table(exposed: &str) -> String {
    let mut rows = String::new();
    for (name, help) in exposed.lines().filter_map(|it| it.strip_prefix("# HELP ")?.split_once(' '))
    {
        let kind = exposed.lines().find_map(|it| it.strip_prefix(&format!("# TYPE {name} ")));
        let kind = kind.expect("each has a type");
        let suffix = if kind == "counter" { "_total" } else { "" };
        let sample = exposed.lines().find(|it| it.starts_with(name)).expect("each has a sample");
        let labels = sample.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        let labels = labels.map_or("", |(labels, _)| labels).split(',');
        let labels = labels.filter_map(|label| label.split_once('=').map(|(name, _)| name));
        let labels: Vec<_> = labels.filter(|label| *label != "le").collect();
        let (labels, help) = (labels.join(", "), help.trim_end_matches('.'));
        rows.push_str(&format!("| `{name}{suffix}` | {kind} | {labels} | {help} |\n"));
    }
    rows
}

#[test]
fn the_document_has_every_metric_of_a_node() {
    let cluster = Cluster::found(SMALL);
    cluster.put(0, "k", b"v");
    let exposed = cluster.client(0).send("GET", "/metrics", &[], b"").expect("an answer").text();
    let table = metrics_table(&exposed);
    assert!(table.contains("`steadfast_log_room_bytes` | gauge |"), "{table}");
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let document = fs::read_to_string(document).expect("it is there");
    assert!(document.contains(&table), "docs/metrics.md must have this table:\n{table}");
}
