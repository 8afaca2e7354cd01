//! The time between healthy and the end: keys, signals, deaths.

use std::time::Duration;

use steadfast_cli::command::cluster::goal::Goal;
use steadfast_cli::command::cluster::report::Report;
use steadfast_cli::output::{Format, Output, Style};
use tokio::time::{Instant, sleep, sleep_until};

use super::process::Node;
use super::raise::Nodes;
use super::terminal::Keys;
use super::{Signals, say};

/// What `?` says.
const KEYS: &str = "\
keys: k  kill -9 the node that leads most shards    r  restart what is down
      p  stop a node as a broken network would,     s  status
         or let it go on                            q  quit    ?  this
      a digit before k, r or p chooses the node: 2k";
/// How often to look whether the cluster has recovered.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long it may take to recover before that is remarkable.
const RECOVERY_MAX: Duration = Duration::from_secs(10);
/// How long nodes have to end in order: a little more than they take at most.
const STOP_MAX: Duration = Duration::from_secs(8);

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Kill,
    Restart,
    Freeze,
    Status,
    Quit,
    Help,
}

/// Reads keys: a wish, with or without a node's number before it.
#[derive(Debug, Default)]
struct Reader {
    node: Option<u16>,
}

/// What the cluster is watched for after something was done to it.
#[derive(Clone, Copy, Debug)]
struct Watch {
    since: Instant,
    goal: Goal,
}

impl Reader {
    /// Returns what a key asks for, and of which node. `None`: nothing yet.
    fn read(&mut self, key: u8) -> Option<(Wish, Option<u16>)> {
        let wish = match key {
            b'k' | b'K' => Wish::Kill,
            b'r' | b'R' => Wish::Restart,
            b'p' | b'P' => Wish::Freeze,
            b's' | b'S' => Wish::Status,
            b'q' | b'Q' => Wish::Quit,
            b'1'..=b'9' => {
                self.node = Some(u16::from(key - b'0'));
                return None;
            }
            b'\n' | b' ' => {
                self.node = None;
                return None;
            }
            _ => Wish::Help,
        };
        Some((wish, self.node.take()))
    }
}

/// Lives with the cluster until someone wants an end.
pub(super) async fn run(nodes: &mut Nodes, signals: &mut Signals, no_color: bool) {
    let mut keys = Keys::take();
    match &keys {
        Some(_) => say(KEYS),
        None => say("no terminal, no keys: it runs until SIGTERM or SIGINT"),
    }
    let next = if keys.is_some() { "`r` restarts it" } else { "start dev again to have it back" };
    let mut reader = Reader::default();
    let mut watch: Option<Watch> = None;
    loop {
        tokio::select! {
            name = signals.ending.next() => {
                say(&format!("{name}: ending"));
                return;
            }
            _ = signals.child.recv() => {
                if let Some(ended) = nodes.reap() {
                    say(&format!("{ended}\n{next}"));
                }
            }
            key = next_key(&mut keys) => match reader.read(key) {
                None => {}
                Some((Wish::Quit, _)) => return,
                Some((wish, node)) => watch = obey(nodes, wish, node, no_color).await.or(watch),
            },
            () = sleep(LOOK_INTERVAL), if watch.is_some() => {
                watch = look(nodes, watch.take()).await;
            }
        }
    }
}

/// Waits for a key; for ever where there is no terminal.
async fn next_key(keys: &mut Option<Keys>) -> u8 {
    if let Some(taken) = keys {
        if let Some(key) = taken.next().await {
            return key;
        }
        // The terminal is gone. A signal says so too.
        *keys = None;
    }
    std::future::pending().await
}

/// Does what a key asked for. Returns what to watch for after it.
async fn obey(nodes: &mut Nodes, wish: Wish, chosen: Option<u16>, no_color: bool) -> Option<Watch> {
    let count = nodes.each.len();
    if let Some(none) = chosen.filter(|&id| count < usize::from(id)) {
        say(&format!("there is no node {none}, only 1 to {count}"));
        return None;
    }
    let led = Some(Watch { since: Instant::now(), goal: Goal::Leader });
    match wish {
        Wish::Kill => disturb(nodes, chosen, Node::kill, "killed").await.and(led),
        Wish::Freeze => {
            let frozen =
                |node: &&mut Node| node.is_frozen() && chosen.is_none_or(|id| id == node.id);
            if let Some(node) = nodes.each.iter_mut().find(frozen) {
                node.toggle_frozen();
                say(&format!("node {} goes on", node.id));
                return Some(Watch { since: Instant::now(), goal: Goal::Healthy });
            }
            disturb(nodes, chosen, Node::toggle_frozen, "stopped").await.and(led)
        }
        Wish::Restart => restart(nodes, chosen),
        Wish::Status => {
            status(nodes, no_color).await;
            None
        }
        Wish::Quit | Wish::Help => {
            say(KEYS);
            None
        }
    }
}

/// Does something bad to a node: the chosen one, or the one that leads most. Returns its id if
/// shards lost their leader by it.
async fn disturb(
    nodes: &mut Nodes,
    chosen: Option<u16>,
    harm: impl Fn(&mut Node),
    harmed: &str,
) -> Option<u16> {
    let report = nodes.report().await;
    let most = report.nodes.iter().filter(|node| 0 < node.leads);
    let most = most.max_by_key(|node| (node.leads, std::cmp::Reverse(node.id)));
    let most = most.and_then(|node| u16::try_from(node.id).ok());
    let Some(id) = chosen.or(most) else {
        say("no shard has a leader now; choose a node, such as 2k");
        return None;
    };
    let node = nodes.each.iter_mut().find(|node| node.id == id)?;
    if node.is_down() {
        say(&format!("node {id} is down already: {}", node.state()));
        return None;
    }
    harm(node);
    let led = led_by(&report, id);
    say(&format!("node {id} is {harmed}; it led {}", named(&led)));
    (!led.is_empty()).then_some(id)
}

/// Starts what is down: the chosen node, or all.
fn restart(nodes: &mut Nodes, chosen: Option<u16>) -> Option<Watch> {
    let wanted = |node: &&mut Node| node.is_down() && chosen.is_none_or(|id| id == node.id);
    let mut some = false;
    for node in nodes.each.iter_mut().filter(wanted) {
        some = true;
        match node.start() {
            Ok(()) => say(&format!("node {} starts again", node.id)),
            Err(error) => say(&format!("node {} cannot be started: {error}", node.id)),
        }
    }
    if !some {
        say("nothing is down");
        return None;
    }
    Some(Watch { since: Instant::now(), goal: Goal::Healthy })
}

/// Prints how the cluster is, and each node that was harmed.
async fn status(nodes: &Nodes, no_color: bool) {
    let report = nodes.report().await;
    let mut text = Vec::new();
    let output = Output::Status(report);
    // Writing to a vector does not fail.
    drop(output.write(Format::Table, Style::of_stdout(no_color), &mut text));
    say(String::from_utf8_lossy(&text).trim_end());
    for node in nodes.each.iter().filter(|node| !node.answers()) {
        say(&format!("node {}: {}", node.id, node.state()));
    }
}

/// Looks whether the cluster has recovered, and says so. Returns what else to watch for.
async fn look(nodes: &Nodes, watch: Option<Watch>) -> Option<Watch> {
    let Watch { since, goal } = watch?;
    let report = nodes.report().await;
    let took = since.elapsed();
    if report.meets(goal) {
        let what = match goal {
            Goal::Leader => "every shard has a leader again",
            Goal::Healthy => "healthy again",
        };
        say(&format!("{what}, after {} ms", took.as_millis()));
        return None;
    }
    // A node that is still down or frozen is no surprise: only what others miss of it is.
    let harmed = nodes.each.iter().any(|node| !node.answers());
    if goal == Goal::Healthy && harmed && report.meets(Goal::Leader) {
        say(&format!("every shard has a leader; not all nodes are up ({} ms)", took.as_millis()));
        return None;
    }
    if RECOVERY_MAX <= took {
        let missing = report.missing(goal).join("; ");
        say(&format!("not so after {} s: {missing}. s shows more", took.as_secs()));
        return None;
    }
    watch
}

/// Ends the nodes in order, and leaves those that take too long to be killed.
pub(super) async fn stop(nodes: &mut Nodes, signals: &mut Signals) {
    nodes.each.iter_mut().for_each(Node::terminate);
    let deadline = Instant::now() + STOP_MAX;
    loop {
        for node in &mut nodes.each {
            node.reap();
        }
        if nodes.each.iter().all(Node::is_down) {
            return;
        }
        tokio::select! {
            _ = signals.child.recv() => {}
            name = signals.ending.next() => {
                say(&format!("{name} again: ending at once"));
                return;
            }
            () = sleep_until(deadline) => {
                say(&format!("some nodes did not end in {STOP_MAX:?} and are killed"));
                return;
            }
        }
    }
}

/// Returns the shards that a node leads.
fn led_by(report: &Report, id: u16) -> Vec<u32> {
    let led = report.shards.iter().filter(|shard| shard.leader == Some(u32::from(id)));
    led.map(|shard| shard.id).collect()
}

fn named(shards: &[u32]) -> String {
    let names: Vec<_> = shards.iter().map(|id| format!("s{id}")).collect();
    match names.as_slice() {
        [] => "no shard".to_owned(),
        [one] => format!("shard {one}"),
        many => format!("shards {}", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(keys: &[u8], expected: &[(Wish, Option<u16>)]) {
        let mut reader = Reader::default();
        let read: Vec<_> = keys.iter().filter_map(|&key| reader.read(key)).collect();
        assert_eq!(read, expected, "{}", keys.escape_ascii());
    }

    #[test]
    fn a_digit_chooses_the_node_of_the_next_key_alone() {
        check(b"k", &[(Wish::Kill, None)]);
        check(b"2k", &[(Wish::Kill, Some(2))]);
        check(b"2kk", &[(Wish::Kill, Some(2)), (Wish::Kill, None)]);
        check(b"12p", &[(Wish::Freeze, Some(2))]);
        check(b"3 r", &[(Wish::Restart, None)]);
        check(
            b"RSQ?x",
            &[
                (Wish::Restart, None),
                (Wish::Status, None),
                (Wish::Quit, None),
                (Wish::Help, None),
                (Wish::Help, None),
            ],
        );
    }

    #[test]
    fn shards_are_named_as_elsewhere() {
        assert_eq!(named(&[]), "no shard");
        assert_eq!(named(&[1]), "shard s1");
        assert_eq!(named(&[1, 4]), "shards s1, s4");
    }
}
