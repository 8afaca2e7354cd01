//! `steadfast dev`: a cluster in one command, and nothing of it afterwards.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use tempfile::TempDir;

use crate::harness::{Turn, turn};
use crate::http::Client;
use crate::process::{PROGRAM, Process, free_base};
use crate::{eventually, within};

/// How long dev may take until its cluster answers.
const UP_MAX: Duration = Duration::from_secs(5);
/// How long it may take to end, and all that belongs to it.
const END_MAX: Duration = Duration::from_secs(10);

/// A dev, and where its temporary directory and its words go.
pub(crate) struct Dev {
    child: Child,
    started: Instant,
    base_port: u16,
    root: TempDir,
    _turn: Turn,
}

impl Dev {
    /// Starts it without a terminal.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_with(turn(), flags, Stdio::null(), &[])
    }

    fn start_with(turn: Turn, flags: &[&str], stdin: Stdio, env: &[(&str, &str)]) -> Self {
        let base_port = free_base();
        Self::start_at(turn, base_port, flags, stdin, env)
    }

    fn start_at(
        turn: Turn,
        base_port: u16,
        flags: &[&str],
        stdin: Stdio,
        env: &[(&str, &str)],
    ) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(root.path().join("tmp")).expect("a directory");
        let started = Instant::now();
        let child = command(root.path(), base_port, flags, stdin, env).spawn();
        let child = child.expect("the program starts");
        Self { child, started, base_port, root, _turn: turn }
    }

    /// Starts it again, after it has ended.
    fn again(&mut self, flags: &[&str]) {
        let child = command(self.root.path(), self.base_port, flags, Stdio::null(), &[]).spawn();
        self.child = child.expect("the program starts");
    }

    /// Returns what it said: to standard output and to standard error.
    fn said(&self) -> (String, String) {
        let read = |name| fs::read_to_string(self.root.path().join(name)).expect("text");
        (read("stdout"), read("stderr"))
    }

    /// Waits until it has said this, and returns all that it said since `from`.
    #[track_caller]
    fn says(&mut self, words: &str, from: usize) -> String {
        let waiting = format!("dev says {words:?}");
        eventually(&waiting, || {
            let (stdout, stderr) = self.said();
            let ended = self.child.try_wait().expect("it is a child of ours");
            assert!(ended.is_none() || stdout[from..].contains(words), "{stdout}\n{stderr}");
            stdout[from..].contains(words).then(|| stdout[from..].to_owned())
        })
    }

    /// Waits until the cluster is up, and returns the processes of its nodes.
    #[track_caller]
    pub(crate) fn up(&mut self) -> Vec<u32> {
        let said = self.says("/v1/kv/greeting", 0);
        assert!(said.starts_with("healthy: 3/3 nodes"), "{said}");
        let pids = said.split("  pid ").skip(1).filter_map(|rest| rest.split_whitespace().next());
        let pids: Vec<_> = pids.map(|pid| pid.parse().expect("a number")).collect();
        assert_eq!(pids.len(), 3, "{said}");
        pids
    }

    /// Prepares a script that was written for a cluster at the usual ports.
    pub(crate) fn script(&self, script: &str) -> Command {
        let tens = self.base_port / 10;
        let endpoints: Vec<_> = (1..=3).map(|n| format!("http://127.0.0.1:{tens}{n}")).collect();
        let script = script.replace("127.0.0.1:730", &format!("127.0.0.1:{tens}"));
        let mut command = Command::new("sh");
        command.args(["-e", "-c", &script]).current_dir(self.root.path());
        command.env("STEADFAST_ENDPOINTS", endpoints.join(","));
        command
    }

    fn client(&self, node: u16) -> Client {
        Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, self.base_port + node)))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is a child of ours");
    }

    #[track_caller]
    pub(crate) fn ends(&mut self) -> ExitStatus {
        within(END_MAX, "dev ends", || self.child.try_wait().expect("it is a child of ours"))
    }

    /// Checks that no process, no port and no temporary directory is left.
    #[track_caller]
    fn leaves_nothing(&self, pids: &[u32]) {
        let tmp = self.root.path().join("tmp");
        let ports = (1..=3).flat_map(|n| [self.base_port + n, self.base_port + 100 + n]);
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        within(END_MAX, "the nodes, their ports and the temporary directory are gone", || {
            let empty = fs::read_dir(&tmp).expect("it is ours").next().is_none();
            let ended = pids.iter().all(|pid| !runs(*pid));
            (empty && ended && ports.clone().all(is_free)).then_some(())
        });
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("dev said: {:?}", self.said());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command(
    root: &Path,
    base_port: u16,
    flags: &[&str],
    stdin: Stdio,
    env: &[(&str, &str)],
) -> Command {
    let create = |name| File::create(root.join(name)).expect("a file");
    let mut command = Command::new(PROGRAM);
    command.env_clear().env("TMPDIR", root.join("tmp")).envs(env.iter().copied());
    command.args(["dev", "--base-port", &base_port.to_string()]).args(flags);
    command.stdin(stdin).stdout(create("stdout")).stderr(create("stderr"));
    command
}

/// Returns whether a process runs. One that has ended and was not waited for does not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn ends_on(signal: Signal) {
    let mut dev = Dev::start(&[]);
    let pids = dev.up();
    let took = dev.started.elapsed();
    println!("up after {took:?}");
    assert!(took < UP_MAX, "{took:?}");
    let put = dev.client(1).send("PUT", "/v1/kv/k", &[], b"v").expect("an answer");
    assert_eq!(put.status, 201, "{}", put.text());
    let get = dev.client(3).send("GET", "/v1/kv/k", &[], b"").expect("an answer");
    assert_eq!(get.body, b"v");
    dev.signal(signal);
    assert!(dev.ends().success());
    dev.leaves_nothing(&pids);
    assert_eq!(dev.said().1, "", "nothing went wrong");
}

#[test]
fn dev_answers_soon_and_ctrl_c_leaves_nothing_behind() {
    ends_on(Signal::INT);
}

#[test]
fn dev_leaves_nothing_behind_on_sigterm() {
    ends_on(Signal::TERM);
}

#[test]
fn dev_that_is_killed_takes_its_nodes_along_stopped_ones_too() {
    let mut dev = Dev::start(&[]);
    let pids = dev.up();
    let stopped = i32::try_from(pids[1]).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(stopped, Signal::STOP).expect("it runs");
    dev.signal(Signal::KILL);
    dev.ends();
    dev.leaves_nothing(&pids);
}

#[test]
fn a_node_whose_dev_is_gone_already_does_not_start() {
    let _turn = turn();
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut node = Process::new(root.path(), "n1", "");
    node.start_with(&["--parent", "1"]);
    node.ends_saying(&["process 1, for which this node was to run, is gone"]);
    assert!(!node.data.exists(), "nothing was made");
}

#[test]
fn dev_names_the_port_that_is_in_use_and_starts_nothing() {
    let (turn, base_port) = (turn(), free_base());
    let taken = base_port + 102;
    let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, taken)).expect("a free port");
    let mut dev = Dev::start_at(turn, base_port, &[], Stdio::null(), &[]);
    assert_eq!(dev.ends().code(), Some(1));
    let (stdout, stderr) = dev.said();
    let names = format!("port {taken} (node 2, for its peers) is in use");
    assert!(stderr.contains(&names) && stderr.contains("--base-port"), "{stderr}");
    assert_eq!(stdout, "");
    let tmp = fs::read_dir(dev.root.path().join("tmp")).expect("it is ours");
    assert_eq!(tmp.count(), 0, "no temporary directory is left");
}

#[test]
fn dev_shows_what_a_node_said_that_died_at_its_start() {
    let env = [("STEADFAST_HEARTBEAT_MS", "1")];
    let mut dev = Dev::start_with(turn(), &[], Stdio::null(), &env);
    assert_eq!(dev.ends().code(), Some(1));
    let (_, stderr) = dev.said();
    assert!(stderr.contains("ended by itself: exit status: 2"), "{stderr}");
    assert!(stderr.contains("heartbeat_ms = 1: it must be at least 10"), "{stderr}");
    dev.leaves_nothing(&[]);
}

#[test]
fn dev_keeps_its_data_where_it_is_told_and_goes_on_with_it() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("kept");
    let data_flag = ["--data", data.to_str().expect("text")];
    let mut dev = Dev::start(&data_flag);
    let pids = dev.up();
    let put = dev.client(2).send("PUT", "/v1/kv/k", &[], b"kept").expect("an answer");
    assert_eq!(put.status, 201, "{}", put.text());
    let asked = Instant::now();
    dev.signal(Signal::INT);
    assert!(dev.ends().success());
    println!("ended in order after {:?}", asked.elapsed());
    dev.leaves_nothing(&pids);
    for n in 1..=3 {
        let log = fs::read_to_string(data.join(format!("n{n}.log"))).expect("a log");
        assert!(log.contains("stopped"), "it ended in order: {log}");
    }

    dev.again(&data_flag);
    let pids = dev.up();
    assert!(dev.said().0.contains("goes on"), "{}", dev.said().0);
    let get = dev.client(1).send("GET", "/v1/kv/k", &[], b"").expect("an answer");
    assert_eq!(get.body, b"kept");
    dev.signal(Signal::TERM);
    assert!(dev.ends().success());
    dev.leaves_nothing(&pids);

    dev.again(&[data_flag.as_slice(), &["--nodes", "5"]].concat());
    assert_eq!(dev.ends().code(), Some(2));
    let (_, stderr) = dev.said();
    assert!(stderr.contains("holds a cluster with --nodes 3"), "{stderr}");
    dev.again(&["--data", home.path().to_str().expect("text")]);
    assert_eq!(dev.ends().code(), Some(2));
    assert!(dev.said().1.contains("neither empty nor"), "{}", dev.said().1);
    assert!(data.join("n1").is_dir(), "nothing was changed");
}

/// A terminal: what a person types into, and what dev reads from.
struct Terminal {
    person: File,
    program: File,
}

impl Terminal {
    fn new() -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&person).expect("ours");
        unlockpt(&person).expect("ours");
        let name = ptsname(&person, Vec::new()).expect("it has a name");
        let path = PathBuf::from(name.to_str().expect("text"));
        let flags = i32::try_from(OFlags::NOCTTY.bits()).expect("a small number");
        let program = File::options().read(true).write(true).custom_flags(flags).open(path);
        Self { person: person.into(), program: program.expect("the other end") }
    }

    fn stdin(&self) -> Stdio {
        self.program.try_clone().expect("a second handle").into()
    }

    /// Returns whether keys come without Enter.
    fn is_taken(&self) -> bool {
        !tcgetattr(&self.program).expect("a terminal").local_modes.contains(LocalModes::ICANON)
    }

    fn types(&mut self, keys: &str) {
        self.person.write_all(keys.as_bytes()).expect("it takes keys");
    }
}

#[test]
fn dev_obeys_keys_and_gives_the_terminal_back() {
    let mut terminal = Terminal::new();
    let before = tcgetattr(&terminal.program).expect("a terminal").local_modes;
    let mut dev = Dev::start_with(turn(), &[], terminal.stdin(), &[]);
    let pids = dev.up();
    dev.says("?  this", 0);
    assert!(terminal.is_taken());
    let mut press = |dev: &mut Dev, key: &str, words: &[&str]| {
        let from = dev.said().0.len();
        terminal.types(key);
        words.iter().map(|words| dev.says(words, from)).last().unwrap_or_default()
    };
    press(&mut dev, "s", &["healthy: 3/3 nodes"]);
    let killed = press(&mut dev, "k", &["is killed; it led shard", "a leader again, after"]);
    press(&mut dev, "s", &["degraded: ", "killed, r restarts it"]);
    press(&mut dev, "r", &["starts again", "healthy again, after"]);
    press(&mut dev, "p", &["is stopped; it led shard", "a leader again, after"]);
    press(&mut dev, "p", &["goes on", "healthy again, after"]);
    press(&mut dev, "9k", &["there is no node 9"]);
    press(&mut dev, "2k", &["node 2 is killed"]);
    press(&mut dev, "2r", &["node 2 starts again", "healthy again"]);
    println!("{killed}");

    // A node that nobody here killed.
    let from = dev.said().0.len();
    let survivor = pids.iter().find(|pid| runs(**pid)).expect("not all were killed");
    let survivor = i32::try_from(*survivor).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(survivor, Signal::KILL).expect("it runs");
    dev.says("ended by itself: signal: 9", from);
    let from = dev.said().0.len();
    terminal.types("r");
    dev.says("healthy again", from);

    terminal.types("q");
    assert!(dev.ends().success());
    let after = tcgetattr(&terminal.program).expect("a terminal").local_modes;
    assert_eq!(after, before);
    dev.leaves_nothing(&pids);
    let mut echoed = [0; 1];
    // Nothing was echoed: what there is to read comes from what is written now.
    terminal.program.write_all(b"!").expect("a terminal");
    terminal.person.read_exact(&mut echoed).expect("a terminal");
    assert_eq!(&echoed, b"!");
}
