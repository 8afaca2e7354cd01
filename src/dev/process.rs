//! One node: a process of this program, its ports, its files and its last words.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, getpid, kill_process};

/// Segments of the log are filled with zeros when they are made: two of them for each node, on one
/// disk, are what a first start waits for. Small ones take a quarter of the time.
const SEGMENT_ENV: (&str, &str) = ("STEADFAST_SEGMENT_BYTES", "16MiB");
/// How much of a log file is shown: so many lines, from so many bytes.
const LAST_LINES: usize = 8;
const LAST_BYTES: u64 = 4_096;

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: u16,
    pub(super) http: SocketAddr,
    pub(super) peer: SocketAddr,
    /// Where its standard error goes.
    pub(super) log: PathBuf,
    data: PathBuf,
    program: PathBuf,
    token_file: Option<PathBuf>,
    state: State,
}

#[derive(Debug)]
enum State {
    Runs(Child),
    /// Stopped in its tracks: it holds its connections and answers nothing.
    Frozen(Child),
    /// It does not run, for this reason.
    Down(String),
}

impl Node {
    /// Makes node `id`, which does not run yet.
    pub(super) fn new(
        id: u16,
        place: &Path,
        base_port: u16,
        program: PathBuf,
        token_file: Option<&Path>,
    ) -> Self {
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            id,
            http: at(base_port + id),
            peer: at(base_port + 100 + id),
            log: place.join(format!("n{id}.log")),
            data: place.join(format!("n{id}")),
            program,
            token_file: token_file.map(Path::to_owned),
            state: State::Down("not started yet".to_owned()),
        }
    }

    /// Returns those of its ports that someone else has, each with what it needs it for.
    pub(super) fn ports_taken(&self) -> Vec<(u16, &'static str)> {
        let ports = [(self.http, "clients"), (self.peer, "its peers")];
        let taken = ports.into_iter().filter(|(address, _)| TcpListener::bind(address).is_err());
        taken.map(|(address, what)| (address.port(), what)).collect()
    }

    /// Starts it.
    ///
    /// It dies with the *thread* that calls this, which must therefore be the main one.
    pub(super) fn start(&mut self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        let (http, peer) = (self.http.to_string(), self.peer.to_string());
        command.arg("start").arg("--data").arg(&self.data);
        command.args(["--http", &http, "--advertise-http", &http]);
        command.args(["--peer", &peer, "--advertise-peer", &peer]);
        command.args(["--parent", &getpid().as_raw_nonzero().to_string()]);
        if let Some(file) = &self.token_file {
            command.arg("--token-file").arg(file);
        }
        if std::env::var_os(SEGMENT_ENV.0).is_none() {
            command.env(SEGMENT_ENV.0, SEGMENT_ENV.1);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        self.state = State::Runs(command.spawn()?);
        Ok(())
    }

    /// Returns whether it runs and is not frozen.
    pub(super) fn answers(&self) -> bool {
        matches!(self.state, State::Runs(_))
    }

    pub(super) fn is_frozen(&self) -> bool {
        matches!(self.state, State::Frozen(_))
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, State::Down(_))
    }

    /// Returns the id of its process, if it has one.
    pub(super) fn pid(&self) -> Option<u32> {
        match &self.state {
            State::Runs(child) | State::Frozen(child) => Some(child.id()),
            State::Down(_) => None,
        }
    }

    /// Returns how it is, in a few words.
    pub(super) fn state(&self) -> &str {
        match &self.state {
            State::Runs(_) => "runs",
            State::Frozen(_) => "stopped, p continues it",
            State::Down(why) => why,
        }
    }

    /// Kills it, as `kill -9` does.
    pub(super) fn kill(&mut self) {
        let down = State::Down("killed, r restarts it".to_owned());
        match std::mem::replace(&mut self.state, down) {
            State::Runs(mut child) | State::Frozen(mut child) => {
                // Both fail only if the child was waited for, which only this module does.
                drop(child.kill());
                drop(child.wait());
            }
            down @ State::Down(_) => self.state = down,
        }
    }

    /// Stops it in its tracks, or lets it go on.
    pub(super) fn toggle_frozen(&mut self) {
        let down = State::Down(String::new());
        self.state = match std::mem::replace(&mut self.state, down) {
            State::Runs(child) => {
                signal(&child, Signal::STOP);
                State::Frozen(child)
            }
            State::Frozen(child) => {
                signal(&child, Signal::CONT);
                State::Runs(child)
            }
            down @ State::Down(_) => down,
        };
    }

    /// Asks it to end in order.
    pub(super) fn terminate(&mut self) {
        if self.is_frozen() {
            self.toggle_frozen();
        }
        if let State::Runs(child) = &self.state {
            signal(child, Signal::TERM);
        }
    }

    /// Notices that it has ended by itself, and returns how.
    pub(super) fn reap(&mut self) -> Option<String> {
        let (State::Runs(child) | State::Frozen(child)) = &mut self.state else { return None };
        let ended = child.try_wait().ok().flatten()?.to_string();
        self.state = State::Down(format!("ended by itself ({ended}), r restarts it"));
        Some(ended)
    }

    /// Returns the last lines that it wrote.
    pub(super) fn last_words(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            let length = fs::metadata(&self.log)?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(LAST_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        last.iter().map(|line| format!("    {line}\n")).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Signals a child that was not waited for yet, so it cannot be anyone else.
fn signal(child: &Child, signal: Signal) {
    if let Err(error) = kill_process(Pid::from_child(child), signal) {
        tracing::warn!(%error, pid = child.id(), "a node could not be signalled");
    }
}
