//! `steadfast import`
//!
//! A file is sent in parts, one after another. When a part is acknowledged, the number of its last
//! line is written to `FILE.import`, so that an import that was interrupted, by `kill -9` too, goes on
//! there. What was sent and not acknowledged may be imported or not; going on imports it again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::CommandError;
use super::export::is_key;
use crate::api::bulk::{ImportAnswer, Line};
use crate::client::{Client, ClientError};
use crate::output::Output;
use crate::output::data::Data;

#[cfg(test)]
mod tests;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Imports what `steadfast export` wrote: each key is stored, to expire when it would have expired there.

Examples:
  steadfast import all.ndjson
  steadfast import all.ndjson --resume         go on where an import of this file was interrupted
  steadfast import all.ndjson --if-absent      leave keys that are there as they are
  zcat all.ndjson.gz | steadfast import -

A key that is there is overwritten, unless --if-absent says otherwise. A key lives until the moment
at which it would have expired where it came from; one whose moment has passed is not stored.

Exits with 6 if the import stopped and nothing after the line that it names is imported, and with 7
if some of it may be: --resume imports that part again, and overwrites what others wrote to these
keys meanwhile.";

/// Most lines of one request.
const PART_LINES_MAX: u64 = 8_192;
/// Bytes past which a request gets no more lines.
const PART_BYTES_MAX: usize = 4 << 20;
/// Longest line: more than any key and value take.
const LINE_BYTES_MAX: u64 = 8 << 20;
/// How much of a file's end must hold its last line, if that is the end mark.
const END_BYTES_MAX: u64 = 4 << 10;

/// Imports keys.
#[derive(Clone, Debug, clap::Args)]
pub struct Import {
    /// The file; -: standard input
    #[arg(value_name = "FILE|-")]
    file: OsString,

    /// Go on where an import of this file was interrupted
    #[arg(long)]
    resume: bool,

    /// Leave keys that are there as they are
    #[arg(long)]
    if_absent: bool,

    /// Import a file whose end mark is missing, too
    #[arg(long)]
    partial: bool,
}

/// What is kept of an import that is not done: in `FILE.import`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// All lines up to this one are imported.
    lines: u64,
    /// The file's length, by which another one is told.
    file_bytes: u64,
    /// The cluster that it goes to: no other has those lines.
    cluster: Option<String>,
}

/// Lines, counted.
struct Source<R> {
    lines: R,
    name: String,
    /// The number of the last line that was read.
    read: u64,
    keys: u64,
    end: Option<u64>,
}

impl Import {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client, quiet: bool) -> Result<Output, CommandError> {
        if self.file == "-" {
            if self.resume {
                let what = "standard input cannot be resumed: it is not there twice".to_owned();
                let advice = "steadfast import FILE --resume".to_owned();
                return Err(CommandError::Usage { what, advice });
            }
            let stdin = BufReader::new(io::stdin());
            let mut source = Source::new(stdin, "standard input".to_owned());
            let bar = ProgressBar::hidden();
            return self.all(client, &mut source, &bar, |_lines| Ok(())).await;
        }
        let path = PathBuf::from(&self.file);
        let unreadable = |error: io::Error| usage(&path, &error.to_string(), "name a file");
        let mut file = File::open(&path).map_err(unreadable)?;
        let file_bytes = file.metadata().map_err(unreadable)?.len();
        if !self.partial && !has_end(&mut file, file_bytes).map_err(unreadable)? {
            let advice =
                "export again, with --resume if it was cut; --partial imports what is there";
            return Err(usage(&path, "it has no end mark, so it may be cut", advice));
        }
        let kept_path = kept_path(&path);
        let cluster =
            client.cluster_id().await.map_err(|error| CommandError::Import { error, lines: 0 })?;
        let now = Kept { lines: 0, file_bytes, cluster };
        let before = self.begin(&path, &kept_path, &now)?;
        let mut source = Source::new(BufReader::new(file), path.display().to_string());
        let bar = bar(file_bytes, quiet);
        let mut skipped = Vec::new();
        while source.read < before && source.next(&mut skipped)? {
            bar.inc(skipped.len() as u64);
            skipped.clear();
        }
        let keep = |lines| {
            let kept = Kept { lines, ..now.clone() };
            write(&kept_path, &kept).map_err(|error| {
                let advice = "make room for it, then --resume: it is what --resume goes by";
                usage(&kept_path, &error.to_string(), advice)
            })
        };
        let output = self.all(client, &mut source, &bar, keep).await?;
        // It says that there is something to resume, and there is not.
        fs::remove_file(&kept_path).ok();
        Ok(output)
    }

    /// Returns up to which line the file is imported, into the cluster of `now`.
    fn begin(&self, path: &Path, kept_path: &Path, now: &Kept) -> Result<u64, CommandError> {
        let kept = fs::read(kept_path).ok();
        let kept = kept.and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
        match kept {
            None if self.resume => {
                let why = "no import of it was interrupted here";
                Err(usage(path, why, "steadfast import FILE begins at its first line"))
            }
            None => Ok(0),
            Some(kept) if !self.resume => {
                let why = format!("an import of it was interrupted after line {}", kept.lines);
                let name = kept_path.display();
                let advice = format!("--resume goes on there; to begin anew remove {name}");
                Err(usage(path, &why, &advice))
            }
            Some(kept) if Kept { lines: 0, ..kept.clone() } != *now => {
                let why = if kept.file_bytes == now.file_bytes {
                    "the import that was interrupted went to another cluster"
                } else {
                    "it is not as long as it was when its import was interrupted"
                };
                let name = kept_path.display();
                Err(usage(path, why, &format!("to import it from its first line remove {name}")))
            }
            Some(kept) => Ok(kept.lines),
        }
    }

    /// Imports what is left of a source. `keep` is told of each line up to which all is imported.
    async fn all<R: BufRead>(
        &self,
        client: &Client,
        source: &mut Source<R>,
        bar: &ProgressBar,
        keep: impl Fn(u64) -> Result<(), CommandError>,
    ) -> Result<Output, CommandError> {
        let mut all = ImportAnswer { lines: source.read, ..ImportAnswer::default() };
        loop {
            let (first_line, mut part) = (source.read + 1, Vec::new());
            while source.read + 1 - first_line < PART_LINES_MAX && part.len() < PART_BYTES_MAX {
                if !source.next(&mut part)? {
                    break;
                }
            }
            if part.is_empty() && 1 < first_line {
                break;
            }
            let bytes = part.len() as u64;
            let sent = client.import(part.into(), first_line, self.if_absent).await;
            let done = sent.map_err(|error| stopped(error, all.lines, &keep))?;
            keep(done.lines)?;
            bar.inc(bytes);
            all = ImportAnswer {
                lines: done.lines,
                stored: all.stored + done.stored,
                kept: all.kept + done.kept,
                expired: all.expired + done.expired,
                ended: done.ended,
            };
        }
        bar.finish_and_clear();
        if let Some(why) = source.cut().filter(|_| !self.partial) {
            return Err(CommandError::Cut {
                what: format!("{}: {why}; what came is imported", source.name),
                advice: "export again, and import that".to_owned(),
            });
        }
        Ok(Output::Data(Data::Imported(all)))
    }
}

impl<R: BufRead> Source<R> {
    fn new(lines: R, name: String) -> Self {
        Self { lines, name, read: 0, keys: 0, end: None }
    }

    /// Appends the next line to `part`. Returns whether there was one.
    fn next(&mut self, part: &mut Vec<u8>) -> Result<bool, CommandError> {
        let begin = part.len();
        let mut bounded = (&mut self.lines).take(LINE_BYTES_MAX + 1);
        let refuse = |why: &str| CommandError::Usage {
            what: format!("{} cannot be read: {why}", self.name),
            advice: "import what `steadfast export` wrote".to_owned(),
        };
        let read = bounded.read_until(b'\n', part).map_err(|error| refuse(&error.to_string()))?;
        if read == 0 {
            return Ok(false);
        }
        if LINE_BYTES_MAX < read as u64 {
            return Err(refuse("a line is longer than any key and value"));
        }
        self.read += 1;
        let line = &part[begin..];
        if is_key(line) {
            self.keys += 1;
        } else if let Ok(line) = serde_json::from_slice::<Line>(line) {
            // Whoever writes lines by hand has spaces elsewhere.
            self.keys += u64::from(line.key.is_some() || line.key64.is_some());
            self.end = line.end.map(|end| end.keys).or(self.end);
        }
        Ok(true)
    }

    /// Returns why this is less than was exported, if it is.
    fn cut(&self) -> Option<String> {
        match self.end {
            None => Some("it has no end mark, so it is cut".to_owned()),
            Some(keys) if keys != self.keys => {
                Some(format!("its end mark counts {keys} keys, and {} came", self.keys))
            }
            Some(_) => None,
        }
    }
}

/// Says why an import stopped, and up to where all is imported.
fn stopped(
    error: ClientError,
    lines: u64,
    keep: impl Fn(u64) -> Result<(), CommandError>,
) -> CommandError {
    let lines = error.import_lines().unwrap_or(lines).max(lines);
    // Where nothing is imported there is nothing to resume.
    match if lines == 0 { Ok(()) } else { keep(lines) } {
        Ok(()) => CommandError::Import { error, lines },
        Err(unkept) => unkept,
    }
}

/// Whether the last line of a file is an end mark.
fn has_end(file: &mut File, file_bytes: u64) -> io::Result<bool> {
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(file_bytes.saturating_sub(END_BYTES_MAX)))?;
    file.read_to_end(&mut end)?;
    file.seek(SeekFrom::Start(0))?;
    let last = end.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(matches!(serde_json::from_slice(last), Ok(Line { end: Some(_), .. })))
}

fn kept_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".import");
    name.into()
}

/// Writes what is kept: the file is the old one or the new one, whatever happens.
fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let new = path.with_extension("import-new");
    fs::write(&new, serde_json::to_vec(kept).expect("two numbers"))?;
    fs::rename(&new, path)
}

/// Returns what shows how far an import is, to whoever sits at a terminal.
fn bar(file_bytes: u64, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let template =
        "  [{bar:30}] {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta}";
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(file_bytes).with_style(style.expect("a template that a test shows"))
}

fn usage(path: &Path, why: &str, advice: &str) -> CommandError {
    let what = format!("{}: {why}", path.display());
    CommandError::Usage { what, advice: advice.to_owned() }
}
