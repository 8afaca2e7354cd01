//! Tables about nodes and shards, for people, on terminals of any width.

use std::collections::BTreeMap;
use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::Style;
use crate::api::cluster::Role;
use crate::command::cluster::report::{Node, Report, Shard, Verdict};

/// Fewest columns of a table: the first two and the last.
const COLUMNS_MIN: usize = 3;

/// Prints the verdict in one line.
pub(super) fn headline(report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let colour = match report.verdict {
        Verdict::Healthy => "32",
        Verdict::Degraded | Verdict::NotFounded => "33",
        Verdict::Unavailable | Verdict::Mixed | Verdict::Unreachable => "31",
    };
    writeln!(out, "{}", style.paint(colour, &report.headline()))
}

/// Prints the verdict, the nodes and the shards.
pub(super) fn status(report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()> {
    headline(report, style, out)?;
    if !report.nodes.is_empty() {
        writeln!(out, "\n{}", nodes(&report.nodes, style))?;
    }
    if !report.shards.is_empty() {
        writeln!(out, "\n{}", shards(&report.shards, style))?;
    }
    Ok(())
}

fn nodes(nodes: &[Node], style: Style) -> String {
    let row = |node: &Node| {
        vec![
            format!("n{}", node.id),
            node.leads.to_string(),
            or_dash(node.http.clone()),
            node.peer.clone(),
            or_dash(node.version.clone()),
            node.state.clone(),
        ]
    };
    let header = ["NODE", "LEADS", "HTTP", "PEER", "VERSION", "STATE"];
    fitted(&header, nodes.iter().map(row).collect(), &["LEADS"], style)
}

/// Returns the shards, a line each.
pub(super) fn shards(shards: &[Shard], style: Style) -> String {
    let row = |shard: &Shard| {
        vec![
            format!("s{}", shard.id),
            or_dash(shard.leader.map(|node| format!("n{node}"))),
            format!("{}/{}", shard.voters_up.len(), shard.voters.len()),
            shard.keys.to_string(),
            shard.bytes.to_string(),
            or_dash(shard.last_index.map(|index| index.to_string())),
            shard.term.clone(),
            behind(&shard.behind),
        ]
    };
    let header = ["SHARD", "LEADER", "VOTERS UP", "KEYS", "BYTES", "LAST", "TERM", "BEHIND"];
    let numbers = ["VOTERS UP", "KEYS", "BYTES", "LAST", "TERM"];
    fitted(&header, shards.iter().map(row).collect(), &numbers, style)
}

/// Prints the replicas of one shard, a line each, and who should have one and did not answer.
pub(super) fn shard(shard: &Shard, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let led = match shard.leader {
        Some(node) => format!("led by n{node}"),
        None => "without a leader".to_owned(),
    };
    let up = (shard.voters_up.len(), shard.voters.len());
    writeln!(out, "shard s{}: {led}, term {}, {}/{} voters up", shard.id, shard.term, up.0, up.1)?;
    let number = |index: Option<u64>| or_dash(index.map(|index| index.to_string()));
    let mut rows = BTreeMap::new();
    for voter in &shard.voters {
        let mut row = vec![format!("n{voter}"), "did not answer".to_owned()];
        row.resize(9, "-".to_owned());
        rows.insert(*voter, row);
    }
    for (node, replica) in &shard.replicas {
        let follows = replica.leader.filter(|leader| leader != node);
        let row = vec![
            format!("n{node}"),
            role(replica.role).to_owned(),
            number(shard.behind.get(node).copied()),
            number(replica.applied_index),
            number(replica.last_index),
            replica.keys.to_string(),
            replica.bytes.to_string(),
            replica.term.clone(),
            match (replica.role, replica.confirmed_ms_ago) {
                (Role::Leader, Some(ms)) => format!("a majority confirmed it {ms} ms ago"),
                (Role::Leader, None) => "no majority confirmed it yet".to_owned(),
                _ => or_dash(follows.map(|leader| format!("follows n{leader}"))),
            },
        ];
        rows.insert(*node, row);
    }
    let header = ["NODE", "ROLE", "BEHIND", "APPLIED", "LAST", "KEYS", "BYTES", "TERM", "WORD"];
    let numbers = ["BEHIND", "APPLIED", "LAST", "KEYS", "BYTES", "TERM"];
    writeln!(out, "\n{}", fitted(&header, rows.into_values().collect(), &numbers, style))
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
        Role::Halted => "halted",
    }
}

/// Says which replicas have entries to catch up with.
fn behind(behind: &BTreeMap<u32, u64>) -> String {
    let late = behind.iter().filter(|(_, entries)| **entries > 0);
    let each: Vec<_> = late.map(|(node, entries)| format!("n{node}: {entries}")).collect();
    if each.is_empty() { "-".to_owned() } else { each.join(", ") }
}

/// Returns a table that fits the terminal.
///
/// The last column says what is wrong and stays. Those before it go, from the right, until the
/// rest fits. If even the narrowest does not, its cells are wrapped.
pub(super) fn fitted(
    header: &[&str],
    rows: Vec<Vec<String>>,
    numbers: &[&str],
    style: Style,
) -> String {
    let mut header = header.to_vec();
    let mut rows = rows;
    loop {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(&header).add_rows(&rows);
        for (column, name) in table.column_iter_mut().zip(&header) {
            if numbers.contains(name) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let text = table.trim_fmt();
        let Some(width) = style.width else { return text };
        if text.lines().all(|line| line.chars().count() <= width) {
            return text;
        }
        if header.len() <= COLUMNS_MIN {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
            return table.trim_fmt();
        }
        let gone = header.len() - 2;
        header.remove(gone);
        for row in &mut rows {
            row.remove(gone);
        }
    }
}

/// Returns a table without borders and header.
pub(super) fn plain(rows: Vec<[String; 2]>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(rows);
    table
}

pub(super) fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}
