//! Who leads and who follows: a row for each node, a column for each shard.
//!
//! ```text
//!         s0  s1  s2  s3
//!   n1    *   o   o   *     now
//!   n2    o   *   o   o     now
//!   n3    ?   ?   ?   ?     4 s ago
//! ```
//!
//! As many shards as the terminal is wide stand side by side; the others follow below.

use std::io::{self, Write};

use super::{Style, tables};
use crate::api::cluster::Role;
use crate::command::cluster::report::{Node, Report, Shard};

/// The width where nobody says how wide it is.
const WIDTH_DEFAULT: usize = 80;
/// The width of the column that says how old each node's word is.
const AGE_WIDTH: usize = 12;

/// What a node is in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// It leads, confirmed by a majority just now.
    Leader,
    /// It says that it leads, and no majority confirmed that just now.
    Unconfirmed,
    Follower,
    Candidate,
    Learner,
    Halted,
    /// It votes there, and did not answer.
    Unknown,
    /// It has no replica.
    Absent,
}

/// All marks that need words, in the order of the legend.
const MARKS: [Mark; 7] = [
    Mark::Leader,
    Mark::Follower,
    Mark::Learner,
    Mark::Candidate,
    Mark::Unconfirmed,
    Mark::Halted,
    Mark::Unknown,
];

impl Mark {
    fn of(node: &Node, shard: &Shard) -> Self {
        let Some(replica) = shard.replicas.get(&node.id) else {
            return if shard.voters.contains(&node.id) { Self::Unknown } else { Self::Absent };
        };
        match replica.role {
            Role::Leader if shard.leader == Some(node.id) => Self::Leader,
            Role::Leader => Self::Unconfirmed,
            Role::Follower => Self::Follower,
            Role::Candidate => Self::Candidate,
            Role::Learner => Self::Learner,
            Role::Halted => Self::Halted,
        }
    }

    /// Returns its sign, on terminals that show Unicode and on others.
    fn sign(self, unicode: bool) -> char {
        let (pretty, plain) = match self {
            Self::Leader => ('\u{25cf}', '*'),
            Self::Unconfirmed => ('!', '!'),
            Self::Follower => ('\u{25cb}', 'o'),
            Self::Candidate => ('c', 'c'),
            Self::Learner => ('\u{25cc}', 'l'),
            Self::Halted => ('\u{2717}', 'x'),
            Self::Unknown => ('?', '?'),
            Self::Absent => (' ', ' '),
        };
        if unicode { pretty } else { plain }
    }

    /// Returns its word in the legend.
    fn word(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Unconfirmed => "leads, unconfirmed",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Halted => "halted",
            Self::Unknown => "did not answer",
            Self::Absent => "no replica",
        }
    }
}

/// Prints the verdict, the drawing and what its signs mean.
pub(super) fn write(report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()> {
    tables::headline(report, style, out)?;
    if report.shards.is_empty() {
        return Ok(());
    }
    let name_width = report.nodes.iter().map(|node| format!("n{}", node.id).len()).max();
    let name_width = name_width.unwrap_or(0);
    let cell = report.shards.iter().map(|shard| format!("s{}", shard.id).len()).max();
    let cell = cell.unwrap_or(0) + 1;
    let taken = 1 + name_width + 1 + AGE_WIDTH;
    let width = style.width.unwrap_or(WIDTH_DEFAULT);
    let beside = (width.saturating_sub(taken) / cell).max(1);
    for shards in report.shards.chunks(beside) {
        let ids = shards.iter().map(|shard| format!("{:<cell$}", format!("s{}", shard.id)));
        line(out, &format!(" {:name_width$} {}", "", ids.collect::<String>()))?;
        for node in &report.nodes {
            let marks = shards.iter().map(|shard| drawn(Mark::of(node, shard), cell, style));
            let marks = marks.collect::<String>();
            let name = format!("n{}", node.id);
            line(out, &format!(" {name:<name_width$} {marks}{}", age(node.age_ms)))?;
        }
    }
    legend(report, width, style, out)
}

/// Prints what the signs mean that were drawn.
fn legend(report: &Report, width: usize, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let drawn = |mark: &Mark| {
        report.shards.iter().any(|shard| report.nodes.iter().any(|n| Mark::of(n, shard) == *mark))
    };
    let mut text = String::new();
    writeln!(out)?;
    for mark in MARKS.into_iter().filter(drawn) {
        let next = format!(" {} {} ", mark.sign(style.unicode), mark.word());
        if width < text.chars().count() + next.chars().count() {
            line(out, &std::mem::take(&mut text))?;
        }
        text.push_str(&next);
    }
    line(out, &text)
}

/// Prints a line without the blanks at its end, after a blank line if it is a header.
fn line(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let before = if text.trim_start().starts_with('s') { "\n" } else { "" };
    writeln!(out, "{before}{}", text.trim_end())
}

fn drawn(mark: Mark, cell: usize, style: Style) -> String {
    let sign = mark.sign(style.unicode).to_string();
    let blanks = " ".repeat(cell - 1);
    let colour = match mark {
        Mark::Leader => "1",
        Mark::Unconfirmed | Mark::Halted | Mark::Unknown => "31",
        Mark::Follower | Mark::Candidate | Mark::Learner | Mark::Absent => "",
    };
    format!("{}{blanks}", style.paint(colour, &sign))
}

/// Says how old a node's word is.
fn age(age_ms: Option<u64>) -> String {
    match age_ms {
        None => "never".to_owned(),
        Some(0) => "now".to_owned(),
        Some(ms @ ..1_000) => format!("{ms} ms ago"),
        Some(ms @ ..600_000) => format!("{} s ago", ms / 1_000),
        Some(ms) => format!("{} min ago", ms / 60_000),
    }
}
