//! What a run makes outside of its folder, written down before it is made.
//!
//! A namespace, a link or a mount outlives the process that made it. So each is noted first, in a
//! file that is synced, and undone from there: at the end of the run, or at the start of the next
//! run if this one was killed. The ledgers lie in a folder of their own, below `/run`, which a
//! reboot clears as it clears what they list. A ledger goes when all that it lists is gone.
//!
//! Several runs may live side by side: one heals only what a process left that lives no more, and
//! what two could do at a time, heal the same or choose the same network, is done in turn ([`turn`]).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::pid::Process;
use super::tool::{FSFREEZE, IP, LOSETUP, UMOUNT, text};

#[cfg(test)]
mod tests;

/// Where ledgers are.
pub const FOLDER: &str = "/run/steadfast-jepsen";

/// Held by whoever heals or chooses, in the folder of the ledgers.
const LOCK: &str = "lock";

/// Something outside of the run's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// Whose ledger this is. The first line.
    Owner(Process),
    /// A process.
    Process(Process),
    /// A network namespace.
    Namespace(String),
    /// A link of the network.
    Link(String),
    /// A file system, mounted through a loop device.
    Mount {
        /// Where.
        at: PathBuf,
        /// The file that holds it.
        image: PathBuf,
    },
}

/// The list of what one run made.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
}

impl Ledger {
    /// Begins a ledger for the run called `run`.
    pub fn begin(folder: &Path, run: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{run}.jsonl"));
        let file = File::options().create_new(true).append(true).open(&path)?;
        let mut ledger = Self { path, file };
        ledger.note(&Made::Owner(Process::own()))?;
        Ok(ledger)
    }

    /// Writes down what is about to be made.
    pub fn note(&mut self, made: &Made) -> io::Result<()> {
        let mut line = serde_json::to_vec(made).expect("it becomes JSON");
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()
    }

    /// Undoes all that it lists. Returns what could not be undone; if that is nothing, the ledger
    /// is gone.
    pub fn undo(&self) -> Vec<String> {
        undo(&self.path)
    }
}

/// Waits until no other run heals or chooses. None does until what is returned is dropped, or this
/// process ends.
pub fn turn(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let lock = File::options().create(true).append(true).open(folder.join(LOCK))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    Ok(lock)
}

/// Undoes what runs left behind whose process is gone. Returns what was done, and what could not be.
pub fn heal(folder: &Path) -> (Vec<String>, Vec<String>) {
    if !folder.exists() {
        return (Vec::new(), Vec::new());
    }
    let _turn = match turn(folder) {
        Ok(turn) => turn,
        Err(error) => return (Vec::new(), vec![format!("{}: {error}", folder.display())]),
    };
    let (mut healed, mut left) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let abandoned = match read(&path).first() {
            Some(Made::Owner(owner)) => !owner.lives(),
            // It lists nothing yet: whoever began it may be about to write its first line.
            _ => false,
        };
        if abandoned {
            healed.push(entry.file_name().to_string_lossy().into_owned());
            left.extend(undo(&path));
        }
    }
    (healed, left)
}

/// Reads a ledger. Its last line may be torn: then what it names was not made yet.
fn read(path: &Path) -> Vec<Made> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
}

fn undo(path: &Path) -> Vec<String> {
    let made = read(path);
    made.iter().rev().for_each(Made::undo);
    let mut left: Vec<_> = made.iter().rev().filter_map(Made::remains).collect();
    if left.is_empty()
        && let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        left.push(format!("{}: {error}", path.display()));
    }
    left
}

impl Made {
    /// Undoes it. What fails here is seen by [`Self::remains`].
    fn undo(&self) {
        match self {
            Self::Owner(_) => {}
            Self::Process(process) => {
                process.signal(Signal::KILL);
                process.signal(Signal::CONT);
            }
            Self::Namespace(name) => drop(IP.run_now(&["netns", "delete", name])),
            Self::Link(name) => drop(IP.run_now(&["link", "delete", name])),
            Self::Mount { at, image } => {
                if is_mounted(at) {
                    drop(FSFREEZE.run_now(&["--unfreeze", text(at)]));
                    drop(UMOUNT.run_now(&[text(at)]));
                }
                if is_mounted(at) {
                    drop(UMOUNT.run_now(&["--lazy", text(at)]));
                }
                for device in loops(image) {
                    drop(LOSETUP.run_now(&["--detach", &device]));
                }
            }
        }
    }

    /// Returns what is still there of it.
    fn remains(&self) -> Option<String> {
        match self {
            Self::Owner(_) => None,
            Self::Process(process) => {
                process.lives().then(|| format!("process {} lives", process.pid))
            }
            Self::Namespace(name) => {
                let there = Path::new("/run/netns").join(name).exists();
                there.then(|| format!("the network namespace {name}: ip netns delete {name}"))
            }
            Self::Link(name) => {
                let there = Path::new("/sys/class/net").join(name).exists();
                there.then(|| format!("the link {name}: ip link delete {name}"))
            }
            Self::Mount { at, image } => {
                let shown = at.display();
                if is_mounted(at) {
                    return Some(format!("the mount {shown}: umount {shown}"));
                }
                let device = loops(image).into_iter().next()?;
                Some(format!("the loop device {device}: losetup --detach {device}"))
            }
        }
    }
}

/// Returns whether something is mounted there.
pub fn is_mounted(at: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1) == Some(text(at)))
}

/// Returns the loop devices that show this file.
fn loops(image: &Path) -> Vec<String> {
    if !image.exists() {
        return Vec::new();
    }
    let listed =
        LOSETUP.run_now(&["--associated", text(image), "--output", "NAME", "--noheadings"]);
    listed.unwrap_or_default().lines().map(|line| line.trim().to_owned()).collect()
}
