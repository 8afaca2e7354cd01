//! Tools of the system, each with the Debian package that has it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// What it is called.
    pub name: &'static str,
    /// The package that has it.
    pub package: &'static str,
}

/// Links, addresses and namespaces.
pub const IP: Tool = Tool { name: "ip", package: "iproute2" };
/// Rules for packets.
pub const TC: Tool = Tool { name: "tc", package: "iproute2" };
/// Starts a program in a namespace.
pub const NSENTER: Tool = Tool { name: "nsenter", package: "util-linux" };
/// Makes a file system.
pub const MKFS: Tool = Tool { name: "mkfs.ext4", package: "e2fsprogs" };
/// Mounts it, through a loop device that goes with the mount.
pub const MOUNT: Tool = Tool { name: "mount", package: "mount" };
/// Unmounts it.
pub const UMOUNT: Tool = Tool { name: "umount", package: "mount" };
/// Lists and frees loop devices.
pub const LOSETUP: Tool = Tool { name: "losetup", package: "mount" };
/// Keeps a file system from writing.
pub const FSFREEZE: Tool = Tool { name: "fsfreeze", package: "util-linux" };
/// Lets system calls fail.
pub const STRACE: Tool = Tool { name: "strace", package: "strace" };

/// Where tools for administrators are, also where `PATH` does not say so.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Why a tool did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not there.
    #[error("{name} is not installed: apt-get install {package}")]
    Missing {
        /// What it is called.
        name: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// It could not.
    #[error("`{line}` failed: {why}")]
    Failed {
        /// What was typed.
        line: String,
        /// What it said.
        why: String,
    },
}

impl Tool {
    /// Returns where it is.
    pub fn path(&self) -> Result<PathBuf, ToolError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from));
        let mut files = folders.map(|folder| folder.join(self.name));
        let missing = ToolError::Missing { name: self.name, package: self.package };
        files.find(|file| file.is_file()).ok_or(missing)
    }

    /// Runs it to its end, and returns what it printed.
    pub fn run_now(&self, arguments: &[&str]) -> Result<String, ToolError> {
        let line = format!("{} {}", self.name, arguments.join(" "));
        let failed = |why: String| ToolError::Failed { line: line.clone(), why };
        let ended = Command::new(self.path()?).args(arguments).stdin(Stdio::null()).output();
        let ended = ended.map_err(|error| failed(error.to_string()))?;
        if ended.status.success() {
            return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        Err(failed(format!("{} ({})", said.trim(), ended.status)))
    }

    /// Runs it to its end while other tasks go on.
    pub async fn run(self, arguments: &[&str]) -> Result<String, ToolError> {
        let arguments: Vec<_> = arguments.iter().map(|&one| one.to_owned()).collect();
        off_the_runtime(move || {
            self.run_now(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        })
        .await
    }
}

/// Does what blocks on another thread.
pub async fn off_the_runtime<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(what).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Returns a path as an argument. The harness makes all of its paths, in UTF-8.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("the run's folder was checked to be UTF-8")
}
