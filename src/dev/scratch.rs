//! A temporary directory that goes whatever becomes of its user.
//!
//! A process of its own makes the directory, says where, and removes it when its standard input
//! closes. The system closes that when dev ends, however it ends. It removes only what it made.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

/// How often to try to remove it, and how long to wait in between: nodes that were just killed
/// may still end a write.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// A temporary directory. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) path: PathBuf,
    holder: Child,
}

impl Scratch {
    /// Starts the process that makes it.
    pub(super) fn new(program: &Path) -> anyhow::Result<Self> {
        let mut holder = Command::new(program)
            .arg("dev-scratch")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("this program cannot be started again")?;
        let mut line = Vec::new();
        let stdout = holder.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            holder.wait()?;
            bail!(
                "no temporary directory could be made; nothing was started. Give one with --data"
            );
        }
        Ok(Self { path: PathBuf::from(OsString::from_vec(line)), holder })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        if let Err(error) = self.holder.wait() {
            tracing::warn!(%error, "who removes the temporary directory is gone");
        }
    }
}

/// Makes a temporary directory, waits until standard input closes, and removes the directory.
pub(crate) fn serve() -> anyhow::Result<()> {
    let name = format!("steadfast-dev-{:016x}", getrandom::u64().context("no randomness")?);
    let path = std::env::temp_dir().join(name);
    DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    let mut said = io::stdout().lock();
    let told = said.write_all(path.as_os_str().as_bytes()).and_then(|()| said.write_all(b"\n"));
    if told.and_then(|()| said.flush()).is_ok() {
        // Nothing is ever sent; whatever this returns, the other end is gone.
        drop(io::stdin().lock().read_to_end(&mut Vec::new()));
    }
    remove(&path)
}

#[expect(clippy::disallowed_methods, reason = "this process has nothing else to do")]
fn remove(path: &Path) -> anyhow::Result<()> {
    let mut attempt = 1;
    loop {
        match std::fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if attempt == ATTEMPTS => {
                let shown = path.display();
                return Err(error).with_context(|| format!("{shown} is left behind; remove it"));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
        attempt += 1;
    }
}
