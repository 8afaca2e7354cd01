//! One node: the product's own program, started, stopped in its tracks, killed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::time::Instant;

use super::pid::Process;

/// Segments of the log. Small, so that it rotates within a run.
const SEGMENT_ENV: (&str, &str) = ("STEADFAST_SEGMENT_BYTES", "16MiB");
/// How long a node may take to end when it is asked to.
const STOP_MAX: Duration = Duration::from_secs(10);
/// Time between two looks at a process.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What a node is made of.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its id in the cluster, from 1.
    pub id: u32,
    /// Where it listens for clients.
    pub http: SocketAddr,
    /// Where it listens for its peers.
    pub peer: SocketAddr,
    /// Where its peers are told to reach it.
    pub advertise_peer: SocketAddr,
    /// Its data directory.
    pub data: PathBuf,
    /// Where its standard error goes.
    pub log: PathBuf,
    /// What starts its program where it belongs; the program follows.
    pub prefix: Vec<OsString>,
    /// The program.
    pub program: PathBuf,
    /// Variables that it finds in its environment.
    pub environment: Vec<(String, String)>,
}

/// A node. It is killed when dropped.
#[derive(Debug)]
pub struct Node {
    /// What it is made of.
    pub place: Place,
    /// How it ended, each time that it did so by itself.
    pub ended: Vec<String>,
    /// Why it must not go on, in its own words: then it is not started any more.
    pub refused: Option<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    Down,
    Up {
        child: Child,
        /// It holds its connections and answers nothing.
        paused: bool,
    },
}

impl Node {
    /// Makes a node that does not run yet.
    pub fn new(place: Place) -> Self {
        Self { place, ended: Vec::new(), refused: None, state: State::Down }
    }

    /// Returns where clients reach it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.place.http)
    }

    /// Returns whether it has no process.
    pub fn is_down(&self) -> bool {
        matches!(self.state, State::Down)
    }

    /// Returns whether it runs and is not paused.
    pub fn runs(&self) -> bool {
        matches!(self.state, State::Up { paused: false, .. })
    }

    /// Returns its process, if it has one.
    pub fn process(&self) -> Option<Process> {
        match &self.state {
            State::Up { child, .. } => Process::find(child.id()),
            State::Down => None,
        }
    }

    /// Notes that it ended because it must not go on, which is no fault of it.
    pub fn refuse(&mut self, why: String) {
        self.ended.pop();
        self.refused = Some(why);
    }

    /// Starts it, if it is down and may go on.
    ///
    /// It dies with the *thread* that calls this, which must therefore be the main one.
    pub fn start(&mut self) -> io::Result<()> {
        if !self.is_down() || self.refused.is_some() {
            return Ok(());
        }
        let place = &self.place;
        let mut log = File::options().create(true).append(true).open(&place.log)?;
        writeln!(log, "--- start")?;
        let mut line = place.prefix.clone();
        line.extend([place.program.clone().into(), "start".into(), "--data".into()]);
        line.push(place.data.clone().into());
        let (http, peer) = (place.http.to_string(), place.peer.to_string());
        let advertised = place.advertise_peer.to_string();
        let parent = getpid().as_raw_nonzero().to_string();
        let flags = [
            ["--http", &http],
            ["--peer", &peer],
            ["--advertise-peer", &advertised],
            ["--parent", &parent],
        ];
        line.extend(flags.concat().into_iter().map(OsString::from));
        // Addresses of a run are reached from this machine alone, loopback or not.
        line.push("--insecure".into());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).env_clear().env(SEGMENT_ENV.0, SEGMENT_ENV.1);
        command.envs(place.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        self.state = State::Up { child: command.spawn()?, paused: false };
        Ok(())
    }

    /// Strikes it dead, as `kill -9` does. Returns whom to wait for, if it had a process.
    pub fn strike(&mut self) -> Option<Child> {
        self.reap();
        match std::mem::replace(&mut self.state, State::Down) {
            State::Up { child, .. } => {
                signal(&child, Signal::KILL);
                Some(child)
            }
            State::Down => None,
        }
    }

    /// Kills it, as `kill -9` does. Returns its process, if it had one.
    pub fn kill(&mut self) -> Option<Process> {
        self.reap();
        let process = self.process();
        if let Some(mut child) = self.strike() {
            // It fails only if the child was waited for.
            drop(child.wait());
        }
        process
    }

    /// Stops it in its tracks. Returns its process once that stands.
    pub async fn pause(&mut self) -> Option<Process> {
        let State::Up { child, paused } = &mut self.state else { return None };
        if std::mem::replace(paused, true) {
            return None;
        }
        signal(child, Signal::STOP);
        let process = self.process()?;
        let deadline = Instant::now() + STOP_MAX;
        while !process.stands() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Some(process)
    }

    /// Lets it go on, if it is paused.
    pub fn go_on(&mut self) -> bool {
        let State::Up { child, paused } = &mut self.state else { return false };
        let was_paused = std::mem::replace(paused, false);
        if was_paused {
            signal(child, Signal::CONT);
        }
        was_paused
    }

    /// Notices whether it has ended by itself.
    pub fn reap(&mut self) -> bool {
        let State::Up { child, .. } = &mut self.state else { return false };
        let Some(ended) = child.try_wait().ok().flatten() else { return false };
        self.ended.push(ended.to_string());
        self.state = State::Down;
        true
    }

    /// Asks it to end.
    pub fn ask_to_end(&mut self) {
        self.go_on();
        if let State::Up { child, .. } = &self.state {
            signal(child, Signal::TERM);
        }
    }

    /// Waits until it has ended as it was asked to, and kills it if it does not. Returns whether it
    /// ended as it should.
    pub async fn end(&mut self) -> bool {
        let State::Up { child, .. } = &mut self.state else { return false };
        let deadline = Instant::now() + STOP_MAX;
        loop {
            if let Some(ended) = child.try_wait().ok().flatten() {
                self.state = State::Down;
                return ended.success();
            }
            if deadline < Instant::now() {
                self.kill();
                return false;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Signals a child that was not waited for yet, so it cannot be anyone else.
fn signal(child: &Child, signal: Signal) {
    // It fails if the child has ended, which `reap` notices.
    let _ended = kill_process(Pid::from_child(child), signal);
}
