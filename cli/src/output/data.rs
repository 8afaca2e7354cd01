//! Results of commands about keys, beyond one value read, stored or deleted.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Style, json_facts, put_bytes, tables};
use crate::api::bulk::ImportAnswer;
use crate::api::list::{ListAnswer, ListItem};
use crate::api::many::{Item, ItemOutcome, ManyAnswer};
use crate::api::ops::{GetResult, OpResult};
use crate::client::incr::Counted;
use crate::client::txn::Transacted;
use crate::exit::Exit;

/// The result of a command about keys.
#[derive(Clone, Debug)]
pub enum Data {
    /// A number was counted.
    Counted {
        /// Under which key.
        key: Vec<u8>,
        /// The sum.
        counted: Counted,
    },
    /// A transaction was carried out.
    Transacted(Transacted),
    /// Many keys were read.
    Many {
        /// Which ones.
        keys: Vec<Vec<u8>>,
        /// What came of each.
        answer: ManyAnswer,
    },
    /// Many operations were carried out.
    Batched {
        /// The key of each.
        keys: Vec<Vec<u8>>,
        /// What came of each.
        results: Vec<Item>,
    },
    /// Keys were exported.
    Exported {
        /// How many.
        keys: u64,
        /// Where to; `None`: to standard output.
        file: Option<PathBuf>,
    },
    /// Keys were imported.
    Imported(ImportAnswer),
    /// Keys were listed.
    Listed {
        /// The keys, and where there are more.
        answer: ListAnswer,
        /// Whether their values were wanted.
        values: bool,
    },
}

impl Data {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Transacted(done) if !done.answer.succeeded => Exit::PreconditionFailed,
            Self::Many { answer, .. } => {
                let worst = answer.results.iter().map(|item| item.status).max();
                match worst {
                    Some(404) => Exit::NotFound,
                    Some(500..) => Exit::Unavailable,
                    Some(400..) => Exit::Usage,
                    Some(_) | None => Exit::Done,
                }
            }
            Self::Batched { results, .. } => worst(results),
            Self::Counted { .. }
            | Self::Transacted(_)
            | Self::Listed { .. }
            | Self::Exported { .. }
            | Self::Imported(_) => Exit::Done,
        }
    }

    pub(super) fn talk(&self) -> Option<String> {
        match self {
            Self::Transacted(done) if !done.answer.succeeded => {
                Some("a condition did not hold: what `else` says was carried out".to_owned())
            }
            Self::Many { keys, answer } => failed(keys, &answer.results),
            Self::Batched { keys, results } => failed(keys, results),
            Self::Exported { keys, file: None } => Some(format!("exported {keys} keys")),
            Self::Listed { answer, .. } if answer.cursor.is_some() => {
                Some("there are more keys; --limit lists more of them".to_owned())
            }
            Self::Counted { .. }
            | Self::Transacted(_)
            | Self::Listed { .. }
            | Self::Exported { .. }
            | Self::Imported(_) => None,
        }
    }

    pub(super) fn write_table(&self, style: Style, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Counted { counted, .. } => writeln!(out, "{}", counted.answer.value.0),
            Self::Transacted(done) => {
                for result in &done.answer.results {
                    writeln!(out, "{}", line(result))?;
                }
                match done.answer.revision {
                    Some(revision) => writeln!(out, "now version \"{}\"", revision.0),
                    None => writeln!(out, "nothing changed"),
                }
            }
            Self::Many { keys, answer } => {
                let row = |(key, item): (&Vec<u8>, &Item)| {
                    vec![key.escape_ascii().to_string(), item_line(item)]
                };
                let rows = keys.iter().zip(&answer.results).map(row).collect();
                writeln!(out, "{}", tables::fitted(&["KEY", "VALUE"], rows, &[], style))
            }
            Self::Batched { keys, results } => {
                let row = |(key, item): (&Vec<u8>, &Item)| {
                    let came = match (&item.result, &item.problem) {
                        (Some(result), _) => line(result),
                        (None, problem) => {
                            let code = problem.as_ref().map(|problem| problem.code.as_str());
                            format!("({})", code.unwrap_or_default())
                        }
                    };
                    vec![key.escape_ascii().to_string(), came]
                };
                let rows = keys.iter().zip(results).map(row).collect();
                writeln!(out, "{}", tables::fitted(&["KEY", "RESULT"], rows, &[], style))
            }
            Self::Exported { file: None, .. } => Ok(()),
            Self::Exported { keys, file: Some(file) } => {
                writeln!(out, "exported {keys} keys to {}", file.display())
            }
            Self::Imported(done) => {
                let ImportAnswer { stored, kept, expired, .. } = done;
                let kept = if 0 < *kept { format!(", {kept} were there") } else { String::new() };
                let expired =
                    if 0 < *expired { format!(", {expired} had expired") } else { String::new() };
                writeln!(out, "imported {stored} keys{kept}{expired}")
            }
            Self::Listed { answer, values } => {
                let row = |item: &ListItem| {
                    let key = text_or_base64(item.key.as_ref(), item.key64.as_ref());
                    if !values {
                        return vec![key];
                    }
                    vec![key, text_or_base64(item.value.as_ref(), item.value64.as_ref())]
                };
                let rows: Vec<_> = answer.items.iter().map(row).collect();
                if *values {
                    return writeln!(
                        out,
                        "{}",
                        tables::fitted(&["KEY", "VALUE"], rows, &[], style)
                    );
                }
                rows.iter().flatten().try_for_each(|key| writeln!(out, "{key}"))
            }
        }
    }

    pub(super) fn raw(&self) -> Vec<u8> {
        match self {
            Self::Counted { counted, .. } => counted.answer.value.0.to_string().into_bytes(),
            Self::Transacted(done) => {
                let revision = done.answer.revision.map(|revision| revision.0.to_string());
                revision.unwrap_or_default().into_bytes()
            }
            Self::Many { answer, .. } => {
                let lines = answer.results.iter().map(|item| item_line(item) + "\n");
                lines.collect::<String>().into_bytes()
            }
            Self::Batched { results, .. } => {
                let lines = results.iter().map(|item| format!("{}\n", item.status));
                lines.collect::<String>().into_bytes()
            }
            Self::Exported { file: None, .. } => Vec::new(),
            Self::Exported { keys, .. } => keys.to_string().into_bytes(),
            Self::Imported(done) => done.stored.to_string().into_bytes(),
            Self::Listed { answer, .. } => {
                let line =
                    |item: &ListItem| text_or_base64(item.key.as_ref(), item.key64.as_ref()) + "\n";
                answer.items.iter().map(line).collect::<String>().into_bytes()
            }
        }
    }

    pub(super) fn json(&self) -> Value {
        match self {
            Self::Counted { key, counted } => {
                let mut object = json!(counted.answer);
                object["facts"] = json_facts(&counted.facts);
                put_bytes(&mut object, "key", key);
                object
            }
            Self::Transacted(done) => {
                let mut object = json!(done.answer);
                object["facts"] = json_facts(&done.facts);
                object
            }
            Self::Many { keys, answer } => json_items(keys, &answer.results),
            Self::Batched { keys, results } => json_items(keys, results),
            // What was exported is on standard output.
            Self::Exported { file: None, .. } => Value::Null,
            Self::Exported { keys, file: Some(file) } => {
                json!({ "keys": keys, "file": file.display().to_string() })
            }
            Self::Imported(done) => json!(done),
            Self::Listed { answer, .. } => json!(answer),
        }
    }
}

/// Returns what to exit with where many operations were carried out: an unknown outcome is worst.
fn worst(results: &[Item]) -> Exit {
    if results.iter().any(|item| item.outcome == ItemOutcome::Unknown) {
        return Exit::OutcomeUnknown;
    }
    let of = |item: &Item| match item.status {
        ..400 | 404 => Exit::Done,
        409 | 412 => Exit::PreconditionFailed,
        400..500 => Exit::Usage,
        500.. => Exit::Unavailable,
    };
    results.iter().map(of).max_by_key(|exit| *exit as u8).unwrap_or(Exit::Done)
}

/// Returns why some of many failed, if they did.
fn failed(keys: &[Vec<u8>], results: &[Item]) -> Option<String> {
    let failed = keys.iter().zip(results).filter_map(|(key, item)| {
        let problem = item.problem.as_ref()?;
        Some(format!("{}: {}", key.escape_ascii(), problem.detail))
    });
    let failed: Vec<_> = failed.collect();
    (!failed.is_empty()).then(|| failed.join("\n"))
}

/// Returns what came of many, each with its key.
fn json_items(keys: &[Vec<u8>], results: &[Item]) -> Value {
    let item = |(key, item): (&Vec<u8>, &Item)| {
        let mut object = json!(item);
        put_bytes(&mut object, "key", key);
        object
    };
    let results: Vec<_> = keys.iter().zip(results).map(item).collect();
    json!({ "results": results })
}

/// Returns a text, or the base64url of what is none, for people.
fn text_or_base64(text: Option<&String>, base64: Option<&String>) -> String {
    match (text, base64) {
        (Some(text), _) => text.clone(),
        (None, Some(base64)) => format!("{base64} (base64url)"),
        (None, None) => String::new(),
    }
}

/// Returns what was read of one of many keys, for people.
fn item_line(item: &Item) -> String {
    match (&item.result, &item.problem) {
        (Some(OpResult::Get(GetResult { value: Some(text), .. })), _) => text.clone(),
        (Some(OpResult::Get(GetResult { value64: Some(base64), .. })), _) => {
            format!("{base64} (base64url)")
        }
        (_, Some(problem)) => format!("({})", problem.code),
        (Some(_) | None, None) => "(not there)".to_owned(),
    }
}

/// Returns what came of one operation, for people.
fn line(result: &OpResult) -> String {
    match result {
        OpResult::Get(GetResult { found: false, .. }) => "get     not there".to_owned(),
        OpResult::Get(GetResult { value, value64, .. }) => match (value, value64) {
            (Some(text), _) => format!("get     {text}"),
            (None, base64) => format!("get     {} (base64url)", base64.clone().unwrap_or_default()),
        },
        OpResult::Put(put) if put.created => "put     created".to_owned(),
        OpResult::Put(_) => "put     replaced".to_owned(),
        OpResult::Delete(delete) if delete.existed => "delete  deleted".to_owned(),
        OpResult::Delete(_) => "delete  was not there".to_owned(),
        OpResult::Incr(incr) => format!("incr    {}", incr.value.0),
    }
}
