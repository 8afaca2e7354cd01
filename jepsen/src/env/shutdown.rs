//! The one call of the system that has no safe wrapper: a file system loses its power.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

/// `EXT4_IOC_SHUTDOWN`: `_IOR('X', 125, __u32)`.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`: not even the journal is written.
const NO_LOG_FLUSH: u32 = 2;

/// Makes the ext4 file system that is mounted at `at` lose all that it has not on disk.
pub(super) fn shut_down(at: &Path) -> io::Result<()> {
    let folder = File::open(at)?;
    #[expect(unsafe_code, reason = "a system call that takes a number by its address")]
    // SAFETY: the call reads a `u32` behind the pointer that it is given, which `Setter` points at
    // the value that it holds, and keeps no pointer.
    unsafe {
        ioctl(&folder, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH))?;
    }
    Ok(())
}
