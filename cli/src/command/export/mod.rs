//! `steadfast export`

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::CommandError;
use crate::api::bulk::{Line, Manifest};
use crate::api::key::to_key64;
use crate::client::Client;
use crate::output::Output;
use crate::output::data::Data;

#[cfg(test)]
mod tests;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Exports keys with their values and times to live, as lines of JSON that `steadfast import` reads.

Examples:
  steadfast export -f all.ndjson               all keys
  steadfast export cart/ -f carts.ndjson       those that begin with cart/
  steadfast export -f all.ndjson --resume      go on where an export into this file was cut
  steadfast export > all.ndjson

Each page of 1000 keys is as of its own moment: the whole is no snapshot. A file that is whole ends
with a line {\"end\": ..}.";

/// Exports keys.
#[derive(Clone, Debug, clap::Args)]
pub struct Export {
    /// What the keys begin with; without it, all
    #[arg(default_value = "")]
    prefix: OsString,

    /// Write to this file, which must not be there yet; without it, to standard output
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Go on after the last cursor in the file
    #[arg(long, requires = "file")]
    resume: bool,
}

/// Takes pieces of lines, and knows the last whole line.
struct Sink {
    out: Box<dyn Write>,
    /// Lines before this one are not written: those of a second manifest.
    skip: u64,
    lines: u64,
    keys: u64,
    /// The line that is not whole yet.
    part: Vec<u8>,
    /// The last whole line that is no key.
    mark: Vec<u8>,
}

/// Where an export into a file goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Begun {
    /// It is whole, with so many keys.
    Whole(u64),
    /// After these bytes, with this cursor.
    At { bytes: u64, cursor: String, keys: u64 },
}

impl Export {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client, quiet: bool) -> Result<Output, CommandError> {
        let prefix = self.prefix.into_vec();
        let mut cursor = None;
        let mut sink = match &self.file {
            None => Sink::new(Box::new(io::stdout())),
            Some(path) if self.resume => {
                let (file, begun) = reopen(path, &prefix)?;
                match begun {
                    Begun::Whole(keys) => return Ok(exported(keys, self.file)),
                    Begun::At { cursor: at, keys, .. } => {
                        cursor = Some(at);
                        Sink { skip: 1, keys, ..Sink::new(Box::new(file)) }
                    }
                }
            }
            Some(path) => Sink::new(Box::new(
                File::create_new(path).map_err(|error| unwritable(path, &error))?,
            )),
        };
        let bar = bar(quiet);
        let mut export = client.export(&prefix, cursor.as_deref()).await?;
        loop {
            let piece = export.next().await;
            let failed = match piece {
                Ok(Some(piece)) => {
                    sink.take(&piece).map_err(|error| unwritten(&error))?;
                    bar.set_position(sink.keys);
                    continue;
                }
                Ok(None) => None,
                Err(error) => Some(error),
            };
            bar.finish_and_clear();
            sink.out.flush().map_err(|error| unwritten(&error))?;
            return match (sink.end(), failed) {
                (Some(keys), _) => Ok(exported(keys, self.file)),
                (None, Some(error)) => Err(cut(&error.to_string(), self.file.as_deref())),
                (None, None) => Err(cut("it ended without its end mark", self.file.as_deref())),
            };
        }
    }
}

impl Sink {
    fn new(out: Box<dyn Write>) -> Self {
        Self { out, skip: 0, lines: 0, keys: 0, part: Vec::new(), mark: Vec::new() }
    }

    /// Writes a piece.
    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.skip <= self.lines {
                self.out.write_all(part)?;
            }
            self.part.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.part);
                self.lines += 1;
                if is_key(&line) {
                    self.keys += 1;
                    self.mark.clear();
                } else {
                    self.mark = line;
                }
            }
        }
        Ok(())
    }

    /// Returns how many keys there are, if the last line says that there are no more.
    fn end(&self) -> Option<u64> {
        serde_json::from_slice::<Line>(&self.mark).ok()?.end.map(|end| end.keys)
    }
}

/// Whether a line of an export is a key's.
pub(super) fn is_key(line: &[u8]) -> bool {
    line.starts_with(b"{\"key")
}

/// Returns what shows how far an export is, to whoever sits at a terminal.
fn bar(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("  {human_pos} keys  {per_sec}  {elapsed}");
    ProgressBar::no_length().with_style(style.expect("a template that a test shows"))
}

/// Opens a file where an export into it goes on, and drops what stands behind.
fn reopen(path: &Path, prefix: &[u8]) -> Result<(File, Begun), CommandError> {
    let unusable = |error: &io::Error| unwritable(path, error);
    let mut file =
        File::options().read(true).write(true).open(path).map_err(|error| unusable(&error))?;
    let (manifest, begun) = begun(BufReader::new(&file)).map_err(|error| unusable(&error))?;
    let name = path.display();
    let Some((manifest, begun)) = manifest.zip(begun) else {
        return Err(CommandError::Usage {
            what: format!("{name} has no cursor that an export could go on from"),
            advice: format!("remove it, and export again with -f {name}"),
        });
    };
    if manifest.prefix64.unwrap_or_default() != to_key64(prefix) {
        return Err(CommandError::Usage {
            what: format!("{name} was begun with another prefix"),
            advice: "name the same prefix again".to_owned(),
        });
    }
    if let Begun::At { bytes, .. } = &begun {
        file.set_len(*bytes).map_err(|error| unusable(&error))?;
        file.seek(SeekFrom::End(0)).map_err(|error| unusable(&error))?;
    }
    Ok((file, begun))
}

/// Returns how far an export has come.
fn begun(mut file: impl BufRead) -> io::Result<(Option<Manifest>, Option<Begun>)> {
    let (mut manifest, mut begun, mut bytes) = (None, None, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = file.read_until(b'\n', &mut line)?;
        if read == 0 || !line.ends_with(b"\n") {
            return Ok((manifest, begun));
        }
        bytes += read as u64;
        if is_key(&line) {
            continue;
        }
        let Ok(mark) = serde_json::from_slice::<Line>(&line) else { continue };
        manifest = manifest.or(mark.export);
        if let Some(cursor) = mark.cursor {
            let keys = cursor.split('.').next().and_then(|keys| keys.parse().ok());
            begun = Some(Begun::At { bytes, cursor, keys: keys.unwrap_or_default() });
        }
        if let Some(end) = mark.end {
            begun = Some(Begun::Whole(end.keys));
        }
    }
}

fn exported(keys: u64, file: Option<PathBuf>) -> Output {
    Output::Data(Data::Exported { keys, file })
}

fn unwritable(path: &Path, error: &io::Error) -> CommandError {
    let name = path.display();
    let advice = if error.kind() == io::ErrorKind::AlreadyExists {
        format!("--resume goes on with an export that was cut; else remove {name} first")
    } else {
        "name a file that can be written".to_owned()
    };
    CommandError::Usage { what: format!("{name} cannot be used: {error}"), advice }
}

fn unwritten(error: &io::Error) -> CommandError {
    CommandError::Cut {
        what: format!("the lines cannot be written: {error}"),
        advice: "make room, then export again; into a file with --resume".to_owned(),
    }
}

/// Says that an export was cut.
fn cut(why: &str, file: Option<&Path>) -> CommandError {
    let advice = match file {
        Some(file) => format!("the same command with --resume; {} is kept", file.display()),
        None => "export again; with -f FILE it could be resumed".to_owned(),
    };
    CommandError::Cut { what: format!("the export was cut: {why}"), advice }
}
