//! Results of commands, and the three ways to print them.

use std::io::{self, Write};

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::api::cluster::InitAnswer;
use crate::api::key::{Shown, shown};
use crate::client::kv::{Deleted, Facts, Read, Stored};
use crate::command::cluster::report::{Report, Verdict};
use crate::exit::Exit;

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
    /// A cluster exists.
    Founded {
        /// Which one.
        answer: InitAnswer,
        /// How many nodes it has.
        count: usize,
    },
    /// How the cluster is.
    Status(Report),
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
            Self::Read { .. }
            | Self::Stored { .. }
            | Self::Deleted { .. }
            | Self::Founded { .. }
            | Self::Status(_)
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
            Self::Status(report) if !report.silent.is_empty() => {
                let each = report.silent.iter().map(|s| format!("{} ({})", s.endpoint, s.why));
                Some(format!("no answer from {}", each.collect::<Vec<_>>().join(", ")))
            }
            Self::Read { .. }
            | Self::Stored { .. }
            | Self::Deleted { .. }
            | Self::Status(_)
            | Self::Version { .. } => None,
        }
    }

    /// Prints the result.
    pub fn write(&self, format: Format, style: Style, out: &mut dyn Write) -> io::Result<()> {
        match format {
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
            Self::Founded { answer, .. } => writeln!(out, "cluster {}", answer.cluster),
            Self::Status(report) => write_status(report, style, out),
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
            Self::Founded { answer, .. } => answer.cluster.clone().into_bytes(),
            Self::Status(report) => report.headline().into_bytes(),
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
            Self::Founded { answer, .. } => json!(answer),
            Self::Status(report) => {
                let mut object = json!(report);
                object["headline"] = json!(report.headline());
                object
            }
            Self::Version { program, node } => json!({ "version": program, "node": node }),
        }
    }
}

/// Prints the verdict, the nodes and the shards.
fn write_status(report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let colour = match report.verdict {
        _ if !style.colour => "",
        Verdict::Healthy => "\x1b[32m",
        Verdict::Degraded | Verdict::NotFounded => "\x1b[33m",
        Verdict::Unavailable | Verdict::Mixed | Verdict::Unreachable => "\x1b[31m",
    };
    let plain = if style.colour { "\x1b[0m" } else { "" };
    writeln!(out, "{colour}{}{plain}", report.headline())?;
    if !report.nodes.is_empty() {
        let mut table = table(&["NODE", "STATE", "HTTP", "PEER", "VERSION"]);
        for node in &report.nodes {
            let (http, version) = (or_dash(node.http.clone()), or_dash(node.version.clone()));
            table.add_row([
                node.id.to_string(),
                node.state.clone(),
                http,
                node.peer.clone(),
                version,
            ]);
        }
        writeln!(out, "\n{table}")?;
    }
    if !report.shards.is_empty() {
        let mut table =
            table(&["SHARD", "LEADER", "TERM", "VOTERS UP", "LAST", "BEHIND", "KEYS", "BYTES"]);
        for shard in &report.shards {
            table.add_row([
                shard.id.to_string(),
                or_dash(shard.leader.map(|node| format!("n{node}"))),
                shard.term.clone(),
                format!("{}/{}", shard.voters_up.len(), shard.voters.len()),
                or_dash(shard.last_index.map(|index| index.to_string())),
                behind(&shard.behind),
                shard.keys.to_string(),
                shard.bytes.to_string(),
            ]);
        }
        writeln!(out, "\n{table}")?;
    }
    Ok(())
}

/// Says which replicas have entries to catch up with.
fn behind(behind: &std::collections::BTreeMap<u32, u64>) -> String {
    let late = behind.iter().filter(|(_, entries)| **entries > 0);
    let each: Vec<_> = late.map(|(node, entries)| format!("n{node}: {entries}")).collect();
    if each.is_empty() { "-".to_owned() } else { each.join(", ") }
}

/// Prints where an answer comes from, a line each.
fn meta_table(read: &Read) -> Table {
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
    let mut table = borderless();
    table.add_rows(rows.into_iter().map(|(name, value)| [name.to_owned(), value]));
    table
}

fn table(header: &[&str]) -> Table {
    let mut table = borderless();
    table.set_header(header);
    table
}

fn borderless() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
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
