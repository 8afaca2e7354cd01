//! `POST /v1/import`: lines become puts.
//!
//! Keys of a window are written all at once, so that they share rounds and entries; of lines of one
//! key in a window that one alone which counts in the end. A window has its answers before the next
//! one is read, which is what lets an error name the line up to which everything is done.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream;
use steadfast_cli::api::bulk::{End, ImportAnswer, NDJSON};
use steadfast_cli::api::problem::{Outcome, Problem, Retry, code};
use steadfast_raft::command::{Command, Condition};
use steadfast_raft::limits;
use steadfast_raft::node::Node;
use steadfast_raft::node::api::{Refusal, RequestError, WriteResult};
use steadfast_raft::words::{Key, NodeId};
use tokio::time::{Instant, sleep};

use self::line::{Put, Typed, bad};
use self::lines::Lines;
use crate::http::problem::{Wanted, refused, request_error};
use crate::http::query::{Name, Query};
use crate::http::{Draining, body, control, list, origin};

mod line;
mod lines;
#[cfg(test)]
mod tests;

const EXAMPLE: &str = "send what GET /v1/export answers, as application/x-ndjson";
/// How long an import waits where a node has too much to do.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Why an import stopped.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) problem: Box<Problem>,
    /// All lines up to this one are done with.
    pub(super) lines: u64,
}

/// How an import is to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    /// The number of the first line of the body.
    first_line: u64,
    /// Whether keys that are there stay as they are.
    if_absent: bool,
    /// How long the body may stand still, and how long a window may take.
    timeout: Duration,
}

/// An import on its way.
#[derive(Debug)]
struct Import<'a> {
    node: &'a Node,
    asked: Asked,
    /// The number of the last line that was read.
    read: u64,
    /// Keys that were read.
    keys: u64,
    /// What was done. Its last line is done with, and all before it.
    done: ImportAnswer,
}

/// Lines that are carried out together.
#[derive(Debug, Default)]
struct Window {
    /// What to store, by key.
    puts: BTreeMap<Key, Latest>,
    /// Lines.
    count: usize,
    bytes: usize,
    /// The number of its last line.
    upto: u64,
}

/// Of the lines of one key in a window, what is stored in the end, and so stored alone.
#[derive(Debug)]
struct Latest {
    put: Put,
    first_line: u64,
    last_line: u64,
    /// What came of the other lines.
    others: Vec<Fate>,
}

/// What came of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stored,
    Kept,
    Expired,
}

/// Imports a body.
pub(super) async fn import(
    node: &Node,
    draining: Draining,
    request: Request,
) -> Result<Response, Stopped> {
    let (head, body) = request.into_parts();
    let asked = parse(&head.method, &head.uri, &head.headers);
    let asked = asked.map_err(|problem| Stopped { problem, lines: 0 })?;
    let before = asked.first_line - 1;
    let done = ImportAnswer { lines: before, ..ImportAnswer::default() };
    let mut import = Import { node, asked, read: before, keys: 0, done };
    match Box::pin(import.run(Lines::new(body), draining)).await {
        Ok(()) => Ok(control::json(StatusCode::OK, &import.done)),
        Err(problem) => Err(Stopped { problem, lines: import.done.lines }),
    }
}

/// Reads a request, but for its body.
fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Asked, Box<Problem>> {
    if *method != Method::POST {
        let detail = format!("{method} cannot be done to an import");
        return Err(refused(405, "method-not-allowed", "Wrong method", detail, EXAMPLE));
    }
    origin::check(headers)?;
    let media = body::media(headers);
    if !media.eq_ignore_ascii_case(NDJSON) {
        let detail = format!("the Content-Type is {media:?}, not {NDJSON}");
        return Err(refused(415, "not-ndjson", "The body must be lines of JSON", detail, EXAMPLE));
    }
    list::proxy_alone(headers)?;
    let query = Query::parse(uri, &[Name::FirstLine, Name::IfAbsent, Name::Timeout])?;
    let timeout = query.timeout(limits::TIMEOUT_MAX)?;
    let if_absent = list::flag(&query, Name::IfAbsent)?;
    let first_line = match query.get(Name::FirstLine) {
        None => 1,
        // More lines than any file has would only overflow.
        Some(text) => match text.parse() {
            Ok(line @ 1..=0xffff_ffff_ffff) => line,
            Ok(_) | Err(_) => {
                let detail = format!("first_line={text} is no number from 1 on");
                return Err(list::bad_parameter(detail, "first_line=1001"));
            }
        },
    };
    Ok(Asked { first_line, if_absent, timeout })
}

impl Import<'_> {
    async fn run(&mut self, mut lines: Lines, mut draining: Draining) -> Result<(), Box<Problem>> {
        loop {
            let mut window = Window { upto: self.read, ..Window::default() };
            let filled = tokio::select! {
                biased;
                // What it has read and not written is not imported.
                () = draining.begun() => return Err(self.stopping()),
                filled = self.fill(&mut window, &mut lines) => filled,
            };
            // What stands before a line that cannot be read is imported nevertheless.
            self.write(window).await?;
            if !filled.map_err(|problem| self.stopped_by(*problem))? {
                break;
            }
        }
        if self.read == 0 {
            return Err(no_manifest("the body is empty"));
        }
        Ok(())
    }

    /// Reads lines until the window is full, or there are no more.
    async fn fill(&mut self, window: &mut Window, lines: &mut Lines) -> Result<bool, Box<Problem>> {
        while window.count < limits::IMPORT_WINDOW_KEYS_MAX
            && window.bytes < limits::IMPORT_WINDOW_BYTES_MAX
        {
            // Lines that are here already must not keep others waiting.
            tokio::task::consume_budget().await;
            let deadline = Instant::now() + self.asked.timeout;
            let Some(text) = lines.next(deadline).await? else { return Ok(false) };
            let put = self.take(line::parse(&text)?)?;
            self.read += 1;
            if let Some(put) = put {
                window.put(put, self.read, self.asked.if_absent, self.node.wall_ms());
                self.keys += 1;
            }
            window.count += 1;
            window.bytes += text.len();
            window.upto = self.read;
        }
        Ok(true)
    }

    /// Takes the line after the last one. Returns the key to store, if it names one.
    fn take(&mut self, line: Typed) -> Result<Option<Put>, Box<Problem>> {
        let first = self.read == 0;
        if self.done.ended && line != Typed::Blank {
            return Err(bad("there is more after the end mark".to_owned()));
        }
        match line {
            Typed::Manifest(manifest) if first => match manifest.unreadable() {
                Some(why) => Err(no_manifest(&why)),
                None => Ok(None),
            },
            _ if first => Err(no_manifest("the first line is no manifest")),
            Typed::Manifest(_) => Err(bad("a manifest stands on the first line alone".to_owned())),
            Typed::End(End { keys }) => {
                if self.asked.first_line == 1 && keys != self.keys {
                    let came = self.keys;
                    return Err(bad(format!("it says that there are {keys} keys; {came} came")));
                }
                self.done.ended = true;
                Ok(None)
            }
            Typed::Put(put) => Ok(Some(put)),
            Typed::Cursor | Typed::Blank => Ok(None),
        }
    }

    /// Stores the keys of a window.
    async fn write(&mut self, window: Window) -> Result<(), Box<Problem>> {
        let deadline = Instant::now() + self.asked.timeout;
        let (node, if_absent) = (self.node, self.asked.if_absent);
        let writes = stream::iter(window.puts.into_values()).map(|latest| async move {
            let Latest { put, first_line, last_line, others } = latest;
            let fate = Box::pin(store(node, put, if_absent, deadline)).await;
            (first_line, last_line, others, fate)
        });
        let mut writes = writes.buffer_unordered(limits::IMPORT_WINDOW_KEYS_MAX);
        let mut failed: BTreeMap<u64, RequestError> = BTreeMap::new();
        let mut last_done = 0;
        while let Some((first_line, last_line, others, fate)) = writes.next().await {
            match fate {
                Ok(fate) => {
                    others.into_iter().chain([fate]).for_each(|fate| self.count(fate));
                    last_done = last_done.max(last_line);
                }
                Err(error) => drop(failed.insert(first_line, error)),
            }
        }
        if failed.is_empty() {
            self.done.lines = window.upto;
            return Ok(());
        }
        Err(self.unwritten(&failed, last_done, window.upto))
    }

    fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Stored => self.done.stored += 1,
            Fate::Kept => self.done.kept += 1,
            Fate::Expired => self.done.expired += 1,
        }
    }

    /// Says from which line on keys may lack, and what is known of those after it.
    fn unwritten(
        &mut self,
        failed: &BTreeMap<u64, RequestError>,
        last_done: u64,
        upto: u64,
    ) -> Box<Problem> {
        let (first, error) = failed.first_key_value().expect("something failed");
        self.done.lines = first - 1;
        let problem = *request_error(error, Wanted::Write, &self.node.status());
        let unknown = failed.values().any(|error| matches!(error, RequestError::Unknown(_)));
        if !unknown && last_done < *first {
            return self.stopped_by(problem);
        }
        Box::new(Problem {
            code: code::OUTCOME_UNKNOWN.to_owned(),
            title: "Some lines may have taken effect, and others not".to_owned(),
            status: 504,
            detail: format!(
                "line {first}: {}; all lines before it are imported, some of {first} to {upto} may \
                 be, and none after them is",
                problem.detail
            ),
            outcome: Outcome::Unknown,
            retry: Retry::Never,
            hint: Some(format!(
                "send the lines from {first} on with first_line={first}, if it does no harm that it \
                 overwrites what others wrote to these keys meanwhile; with if_absent=true it \
                 overwrites nothing"
            )),
            leader: problem.leader,
        })
    }

    fn stopped_by(&self, problem: Problem) -> Box<Problem> {
        stopped(problem, &self.done)
    }

    /// Says that the node is about to stop.
    fn stopping(&self) -> Box<Problem> {
        let node = self.node.status().member.map_or_else(NodeId::default, |(_, node)| node);
        let error = RequestError::NotApplied(Refusal::Stopping { node });
        self.stopped_by(*request_error(&error, Wanted::Write, &self.node.status()))
    }
}

/// Says at which line an import stopped, and that nothing from there on is imported.
///
/// Where something is imported, nobody must send all of it again by himself, as many programs do after
/// a status that lets them: it would overwrite what others wrote to these keys meanwhile.
fn stopped(problem: Problem, done: &ImportAnswer) -> Box<Problem> {
    let line = done.lines + 1;
    let detail = problem.detail.trim_start_matches(": ");
    let detail =
        format!("line {line}: {detail}; all lines before it are imported, and none from it on");
    let is_for_good = problem.retry == Retry::Never && (400..500).contains(&problem.status);
    if done.stored == 0 || (is_for_good && problem.status != 408) {
        return Box::new(Problem { detail, ..problem });
    }
    Box::new(Problem {
        code: "import-stopped".to_owned(),
        title: "The import stopped on its way".to_owned(),
        status: 409,
        detail,
        retry: Retry::Never,
        hint: Some(format!("send the lines from {line} on with first_line={line}")),
        ..problem
    })
}

impl Window {
    /// Takes the put of a line. Of several lines of one key that one is kept which would count if
    /// they were carried out in turn.
    fn put(&mut self, put: Put, line: u64, if_absent: bool, now_ms: u64) {
        let lives = |put: &Put| put.lives.ttl(now_ms).is_ok();
        let Some(latest) = self.puts.get_mut(&put.key) else {
            let (key, others) = (put.key.clone(), Vec::new());
            self.puts.insert(key, Latest { put, first_line: line, last_line: line, others });
            return;
        };
        latest.last_line = line;
        let fate = match (lives(&latest.put), lives(&put)) {
            (_, false) => Fate::Expired,
            (true, true) if if_absent => Fate::Kept,
            (lived, true) => {
                latest.put = put;
                if lived { Fate::Stored } else { Fate::Expired }
            }
        };
        latest.others.push(fate);
    }
}

/// Stores one key.
async fn store(
    node: &Node,
    put: Put,
    if_absent: bool,
    deadline: Instant,
) -> Result<Fate, RequestError> {
    let Put { key, value, lives } = put;
    let condition = if if_absent { Condition::Absent } else { Condition::Always };
    loop {
        // At each attempt: what expires meanwhile must not live again.
        let Ok(ttl) = lives.ttl(node.wall_ms()) else { return Ok(Fate::Expired) };
        let (key, value) = (key.clone(), value.clone());
        match node.write(Command::Put { key, value, ttl, condition }, deadline).await {
            Ok(written) => {
                let kept = matches!(written.result, WriteResult::ConditionFailed { .. });
                return Ok(if kept { Fate::Kept } else { Fate::Stored });
            }
            // It was certainly not applied; an import is what a node has least need to hurry for.
            Err(RequestError::NotApplied(Refusal::Overloaded { .. } | Refusal::LogFull { .. }))
                if Instant::now() + BUSY_PAUSE < deadline =>
            {
                sleep(BUSY_PAUSE).await
            }
            Err(error) => return Err(error),
        }
    }
}

/// Says that what came is no export that can be imported.
fn no_manifest(detail: &str) -> Box<Problem> {
    let hint = "the first line is that of an export, {\"export\": {\"format\": 1}}; a later part of a \
                file is sent with first_line";
    refused(400, "bad-manifest", "This is no export that can be imported", detail, hint)
}
