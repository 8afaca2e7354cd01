//! Somebody who makes the syncs of a process fail: strace.

use std::process::{Child, Command, Stdio};

use super::tool::STRACE;
use super::{EnvError, cannot};

/// Makes every sync of a process fail with EIO, from when it is taken hold of until the child is killed.
pub fn fail_syncs(pid: u32) -> Result<Child, EnvError> {
    trace(pid, "inject=fdatasync,fsync:error=EIO")
}

/// Makes every sync of data take six seconds, likewise.
pub fn slow_syncs(pid: u32) -> Result<Child, EnvError> {
    trace(pid, "inject=fdatasync:delay_enter=6000000")
}

fn trace(pid: u32, inject: &str) -> Result<Child, EnvError> {
    Command::new(STRACE.path()?)
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"])
        .args(["-e", inject, "-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| cannot("strace does not start", error))
}

/// Returns whether somebody has taken hold of a process.
pub fn is_traced(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}
