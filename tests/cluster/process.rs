//! One node: a process, its directory, its ports and what it says.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::http::Client;
use crate::within;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_steadfast");

/// Ports from which nodes get theirs: below those that the system gives to connections, so that
/// nobody takes a node's port while the node is down.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A node. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) data: PathBuf,
    pub(crate) http: SocketAddr,
    pub(crate) peer: SocketAddr,
    /// Its settings file.
    config: PathBuf,
    stderr: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Makes a node in `root`, with ports of its own. It does not run yet.
    pub(crate) fn new(root: &Path, name: &str, settings: &str) -> Self {
        let config = root.join(format!("{name}.toml"));
        fs::write(&config, settings).expect("the temporary directory can be written");
        let stderr = root.join(format!("{name}.stderr"));
        let data = root.join(name);
        Self { data, http: free(), peer: free(), config, stderr, child: None }
    }

    /// Starts it. What it says goes behind what its earlier processes said.
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts it with more flags.
    pub(crate) fn start_with(&mut self, flags: &[&str]) {
        assert!(self.child.is_none(), "it runs already");
        let mut stderr =
            File::options().create(true).append(true).open(&self.stderr).expect("a file to append");
        writeln!(stderr, "--- start").expect("a file to append");
        let child = Command::new(PROGRAM)
            .env_clear()
            .args(["start", "--data"])
            .arg(&self.data)
            .arg("--config")
            .arg(&self.config)
            .args(["--http", &self.http.to_string(), "--peer", &self.peer.to_string()])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn();
        self.child = Some(child.expect("the program starts"));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub(crate) fn runs(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it is a child of ours");
    }

    /// Stops it in its tracks, and returns once it stands.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.pid());
        within(Duration::from_secs(5), "the process stands", || {
            let stat = fs::read_to_string(&stat).expect("it is there");
            stat.rsplit(')').next()?.trim_start().starts_with('T').then_some(())
        });
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills it, as a power cut would, except that its writes stay in the system's memory.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        child.kill().expect("it is a child of ours");
        child.wait().expect("it is a child of ours");
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self, patience: Duration) -> ExitStatus {
        let child = self.child.as_mut().expect("it runs");
        let ended = within(patience, "the process ends", || {
            child.try_wait().expect("it is a child of ours")
        });
        self.child = None;
        ended
    }

    /// Asks it to end, and checks that it does.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let ended = self.wait_exit(Duration::from_secs(8));
        assert!(ended.success(), "{ended}");
    }

    /// Returns what it said since it was last started.
    pub(crate) fn said(&self) -> String {
        let all = fs::read(&self.stderr).unwrap_or_default();
        let all = String::from_utf8_lossy(&all);
        all.rsplit("--- start\n").next().unwrap_or_default().to_owned()
    }

    /// Starts it, and checks that it ends with an error that has these words.
    #[track_caller]
    pub(crate) fn refuses(&mut self, words: &[&str]) {
        self.start();
        self.ends_saying(words);
    }

    /// Checks that it ends with an error that has these words.
    #[track_caller]
    pub(crate) fn ends_saying(&mut self, words: &[&str]) {
        let ended = self.wait_exit(Duration::from_secs(20));
        let said = self.said();
        assert!(!ended.success(), "{ended}: {said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is missing in: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
        println!("refused: {}", said.lines().last().unwrap_or_default());
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.http)
    }

    /// Returns whether it answers requests with success at `target`.
    pub(crate) fn answers(&self, target: &str) -> bool {
        self.client().send("GET", target, &[], b"").is_ok_and(|answer| answer.status == 200)
    }

    /// Returns the value of a metric, labels included in the name where it has some.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let metrics = self.client().send("GET", "/metrics", &[], b"").expect("metrics").text();
        let mut values =
            metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = values.next().unwrap_or_else(|| panic!("no {name} in {metrics}"));
        value.parse().expect("a whole number")
    }

    /// Returns a number of bytes from the system's account of the process, such as `VmRSS`.
    pub(crate) fn memory_bytes(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let mut lines =
            status.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib =
            lines.next().and_then(|rest| rest.trim().strip_suffix(" kB")).expect("it is there");
        kib.parse::<u64>().expect("a whole number") << 10
    }

    /// Returns how many files and sockets the process has open.
    pub(crate) fn files_open(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it runs").count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let said = fs::read(&self.stderr).unwrap_or_default();
            println!("==> {}\n{}", self.stderr.display(), String::from_utf8_lossy(&said));
        }
    }
}

/// Returns a base port for three nodes of `steadfast dev`, at whose ports nobody listens. It is a
/// multiple of ten, so that documents can be made to fit it.
pub(crate) fn free_base() -> u16 {
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    loop {
        let base = free().port() / 10 * 10;
        if (1..=3).flat_map(|n| [base + n, base + 100 + n]).all(is_free) {
            return base;
        }
    }
}

/// Returns an address of this machine that nobody listens at.
pub(crate) fn free() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let ports = PORTS.end - PORTS.start;
    let start = u16::try_from(std::process::id() % u32::from(ports)).expect("less than a port");
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(start) % ports;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS.start + offset));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
