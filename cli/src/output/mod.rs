//! Results of commands, and the three ways to print them.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::cluster::{InitAnswer, SnapshotAnswer, TransferAnswer};
use crate::api::duration::format_ms;
use crate::api::key::{Shown, shown};
use crate::client::kv::{Deleted, Facts, Read, Stored};
use crate::command::cluster::goal::Goal;
use crate::command::cluster::report::{Report, Shard, Verdict};
use crate::exit::Exit;

pub mod data;
mod tables;
mod topology;

use data::Data;
use tables::or_dash;

/// How to print results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people; a value is printed byte for byte
    Table,
    /// For programs
    Json,
    /// The bare value, ETag or id, without a line end of ours
    Raw,
}

/// Where results go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// A person looks at them.
    pub terminal: bool,
    /// Colours are welcome.
    pub colour: bool,
    /// Letters beyond ASCII are shown.
    pub unicode: bool,
    /// How wide a line may be; `None`: as wide as it gets.
    pub width: Option<usize>,
}

impl Style {
    /// Returns what standard output takes.
    pub fn of_stdout(no_color: bool) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let plain = no_color || set("NO_COLOR").is_some() || set("TERM").as_deref() == Some("dumb");
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let locale = locale.unwrap_or_default().to_ascii_uppercase();
        let size = rustix::termios::tcgetwinsize(&stdout).ok();
        Self {
            terminal,
            colour: terminal && !plain,
            unicode: locale.contains("UTF-8") || locale.contains("UTF8"),
            // Some terminals do not know how wide they are, and say 0.
            width: size.map(|size| usize::from(size.ws_col)).filter(|&width| 0 < width),
        }
    }

    /// Returns `text` in a colour, by its number, where colours are welcome.
    fn paint(self, colour: &str, text: &str) -> String {
        if self.colour && !colour.is_empty() {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The result of a command.
#[derive(Clone, Debug)]
pub enum Output {
    /// A key was looked up.
    Read {
        /// Which one.
        key: Vec<u8>,
        /// What was found.
        read: Read,
        /// Whether its version is wanted rather than its value.
        meta: bool,
    },
    /// A value was stored.
    Stored {
        /// Under which key.
        key: Vec<u8>,
        /// Its new version.
        stored: Stored,
    },
    /// A key is gone.
    Deleted {
        /// Which one.
        key: Vec<u8>,
        /// What became of it.
        deleted: Deleted,
    },
    /// Something else came of keys.
    Data(Data),
    /// A cluster exists.
    Founded {
        /// Which one.
        answer: InitAnswer,
        /// How many nodes it has.
        count: usize,
    },
    /// How the cluster is.
    Status(Report),
    /// Who leads and who follows.
    Topology(Report),
    /// A wait ended.
    Waited {
        /// What was waited for.
        goal: Goal,
        /// How long.
        waited: Duration,
        /// How the cluster was at the end.
        report: Report,
    },
    /// The shards there are.
    Shards(Vec<Shard>),
    /// One of them.
    Shard(Shard),
    /// A node leads a shard.
    Transferred(TransferAnswer),
    /// A snapshot was made.
    Snapshotted(SnapshotAnswer),
    /// Versions.
    Version {
        /// Of this program.
        program: String,
        /// Of a node, if one answered.
        node: Option<String>,
    },
}

impl Output {
    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Read { read, .. } if read.found.is_none() => Exit::NotFound,
            Self::Status(report) if report.verdict != Verdict::Healthy => Exit::Unhealthy,
            Self::Topology(report) if report.cluster.is_none() => Exit::Unavailable,
            Self::Waited { goal, report, .. } if !report.meets(*goal) => Exit::WaitDeadline,
            Self::Data(data) => data.exit(),
            Self::Read { .. }
            | Self::Stored { .. }
            | Self::Deleted { .. }
            | Self::Founded { .. }
            | Self::Status(_)
            | Self::Topology(_)
            | Self::Waited { .. }
            | Self::Shards(_)
            | Self::Shard(_)
            | Self::Transferred(_)
            | Self::Snapshotted(_)
            | Self::Version { .. } => Exit::Done,
        }
    }

    /// Returns what to say beside the result.
    pub fn talk(&self) -> Option<String> {
        match self {
            Self::Read { key, read, .. } if read.found.is_none() => {
                Some(format!("there is no key {}", key.escape_ascii()))
            }
            Self::Founded { answer, count } if answer.founded => Some(format!(
                "founded a cluster of {count} nodes; look at it with `steadfast cluster status`"
            )),
            Self::Founded { .. } => Some("the cluster exists already; nothing changed".to_owned()),
            Self::Waited { goal, waited, report } if !report.meets(*goal) => {
                let missing = report.missing(*goal).join("; ");
                Some(format!("error: not so within {}: {missing}", millis(*waited)))
            }
            Self::Waited { waited, .. } => Some(format!("waited {}", millis(*waited))),
            Self::Status(report) | Self::Topology(report) if !report.silent.is_empty() => {
                let each = report.silent.iter().map(|s| format!("{} ({})", s.endpoint, s.why));
                Some(format!("no answer from {}", each.collect::<Vec<_>>().join(", ")))
            }
            Self::Data(data) => data.talk(),
            Self::Read { .. }
            | Self::Stored { .. }
            | Self::Deleted { .. }
            | Self::Status(_)
            | Self::Topology(_)
            | Self::Shards(_)
            | Self::Shard(_)
            | Self::Transferred(_)
            | Self::Snapshotted(_)
            | Self::Version { .. } => None,
        }
    }

    /// Prints the result.
    pub fn write(&self, format: Format, style: Style, out: &mut dyn Write) -> io::Result<()> {
        match format {
            // The lines were the result, and are out.
            Format::Json if matches!(self, Self::Data(Data::Exported { file: None, .. })) => Ok(()),
            Format::Json => writeln!(out, "{}", self.json()),
            Format::Raw => out.write_all(&self.raw()),
            Format::Table => self.write_table(style, out),
        }
    }

    fn write_table(&self, style: Style, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Read { read: Read { found: None, .. }, meta: false, .. } => Ok(()),
            Self::Read { read, meta: true, .. } => writeln!(out, "{}", meta_table(read)),
            Self::Read { read: Read { found: Some(found), .. }, .. } => {
                out.write_all(&found.value)?;
                let open_line = style.terminal && !found.value.ends_with(b"\n");
                if open_line { writeln!(out) } else { Ok(()) }
            }
            Self::Stored { stored, .. } => {
                let what = if stored.created { "created" } else { "replaced" };
                writeln!(out, "{what}, now version {}", stored.etag)
            }
            Self::Deleted { deleted: Deleted { existed: true, .. }, .. } => {
                writeln!(out, "deleted")
            }
            Self::Deleted { .. } => writeln!(out, "was not there"),
            Self::Data(data) => data.write_table(style, out),
            Self::Founded { answer, .. } => writeln!(out, "cluster {}", answer.cluster),
            Self::Status(report) => tables::status(report, style, out),
            Self::Topology(report) => topology::write(report, style, out),
            Self::Waited { report, .. } => tables::headline(report, style, out),
            Self::Shards(shards) => writeln!(out, "{}", tables::shards(shards, style)),
            Self::Shard(shard) => tables::shard(shard, style, out),
            Self::Transferred(answer) => {
                writeln!(out, "shard s{} is led by n{}", answer.shard, answer.leader)
            }
            Self::Snapshotted(SnapshotAnswer { shard, node, index }) => {
                writeln!(out, "n{node} has a snapshot of shard s{shard} up to entry {index}")
            }
            Self::Version { program, node } => {
                writeln!(out, "steadfast {program}")?;
                node.iter().try_for_each(|version| writeln!(out, "node      {version}"))
            }
        }
    }

    /// Returns the one thing that a script wants.
    fn raw(&self) -> Vec<u8> {
        match self {
            Self::Read { read, meta, .. } => match &read.found {
                None => Vec::new(),
                Some(found) if *meta => found.etag.clone().into_bytes(),
                Some(found) => found.value.to_vec(),
            },
            Self::Stored { stored, .. } => stored.etag.clone().into_bytes(),
            Self::Deleted { deleted, .. } => deleted.existed.to_string().into_bytes(),
            Self::Data(data) => data.raw(),
            Self::Founded { answer, .. } => answer.cluster.clone().into_bytes(),
            Self::Status(report) | Self::Topology(report) | Self::Waited { report, .. } => {
                report.headline().into_bytes()
            }
            Self::Shards(shards) => {
                let ids: Vec<_> = shards.iter().map(|shard| shard.id.to_string()).collect();
                ids.join(" ").into_bytes()
            }
            Self::Shard(Shard { leader, .. }) => {
                leader.map(|node| node.to_string()).unwrap_or_default().into_bytes()
            }
            Self::Transferred(answer) => answer.leader.to_string().into_bytes(),
            Self::Snapshotted(answer) => answer.index.to_string().into_bytes(),
            Self::Version { program, .. } => program.clone().into_bytes(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Read { key, read, meta } => json_read(key, read, *meta),
            Self::Stored { key, stored } => {
                let mut object = json!({
                    "created": stored.created,
                    "etag": stored.etag,
                    "revision": stored.revision.to_string(),
                    "expires_in_ms": stored.expires_in_ms,
                    "facts": json_facts(&stored.facts),
                });
                put_bytes(&mut object, "key", key);
                object
            }
            Self::Deleted { key, deleted } => {
                let mut object = json!({
                    "existed": deleted.existed,
                    "revision": deleted.revision.to_string(),
                    "facts": json_facts(&deleted.facts),
                });
                put_bytes(&mut object, "key", key);
                object
            }
            Self::Data(data) => data.json(),
            Self::Founded { answer, .. } => json!(answer),
            Self::Status(report) | Self::Topology(report) => json_report(report),
            Self::Waited { goal, waited, report } => {
                let mut object = json_report(report);
                object["goal"] = json!(goal);
                object["met"] = json!(report.meets(*goal));
                object["waited_ms"] = json!(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX));
                object["missing"] = json!(report.missing(*goal));
                object
            }
            Self::Shards(shards) => json!({ "shards": shards }),
            Self::Shard(shard) => json!(shard),
            Self::Transferred(answer) => json!(answer),
            Self::Snapshotted(answer) => json!(answer),
            Self::Version { program, node } => json!({ "version": program, "node": node }),
        }
    }
}

/// Prints where an answer comes from, a line each.
fn meta_table(read: &Read) -> comfy_table::Table {
    let facts = &read.facts;
    let mut rows = vec![];
    if let Some(found) = &read.found {
        rows.push(("etag", found.etag.clone()));
        rows.push(("revision", found.revision.to_string()));
        rows.push(("bytes", found.value.len().to_string()));
        rows.push((
            "expires in",
            found.expires_in_ms.map_or("never".into(), |ms| format!("{ms} ms")),
        ));
    }
    rows.push(("shard", facts.shard.to_string()));
    rows.push(("answered by", format!("n{}", facts.node)));
    rows.push(("leader", or_dash(facts.leader.map(|node| format!("n{node}")))));
    rows.push(("term", facts.term.clone()));
    rows.push(("applied", facts.applied.to_string()));
    rows.push(("log time", facts.log_time_ms.to_string()));
    rows.push(("consistency", facts.consistency.clone()));
    if let Some(ms) = facts.staleness_ms {
        rows.push(("at most", format!("{ms} ms old")));
    }
    rows.push(("map epoch", facts.map_epoch.to_string()));
    tables::plain(rows.into_iter().map(|(name, value)| [name.to_owned(), value]).collect())
}

/// Returns how long it took, to a tenth of a second once that is little beside it.
fn millis(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    format_ms(if 1_000 < ms { ms - ms % 100 } else { ms })
}

fn json_report(report: &Report) -> Value {
    let mut object = json!(report);
    object["headline"] = json!(report.headline());
    object
}

fn json_read(key: &[u8], read: &Read, meta: bool) -> Value {
    let mut object = json!({ "found": read.found.is_some(), "facts": json_facts(&read.facts) });
    put_bytes(&mut object, "key", key);
    if let Some(found) = &read.found {
        object["etag"] = json!(found.etag);
        object["revision"] = json!(found.revision.to_string());
        object["expires_in_ms"] = json!(found.expires_in_ms);
        if !meta {
            put_bytes(&mut object, "value", &found.value);
        }
    }
    object
}

/// Revisions are strings: JSON readers lose digits of large numbers.
fn json_facts(facts: &Facts) -> Value {
    json!({
        "shard": facts.shard,
        "node": facts.node,
        "leader": facts.leader,
        "term": facts.term,
        "applied": facts.applied.to_string(),
        "log_time_ms": facts.log_time_ms,
        "consistency": facts.consistency,
        "staleness_ms": facts.staleness_ms,
        "map_epoch": facts.map_epoch.to_string(),
    })
}

/// Adds bytes under `name`, or as base64url under `name` and 64 where they are no text.
fn put_bytes(object: &mut Value, name: &str, bytes: &[u8]) {
    match shown(bytes) {
        Shown::Text(text) => object[name] = json!(text),
        Shown::Base64(text) => object[format!("{name}64")] = json!(text),
    }
}

#[cfg(test)]
mod tests;
