//! Single keys from a terminal, and the terminal's mode.
//!
//! Only two things change: keys come without Enter, and are not shown. Ctrl-C is still a signal,
//! and what is printed is printed as ever. Reads never wait (VMIN = VTIME = 0), so the terminal
//! itself need not become non-blocking, which others who share it would notice.

use std::io::{self, IsTerminal, Stdin};

use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};
use tokio::io::unix::AsyncFd;

/// A terminal whose keys are read one by one. Dropping it restores its mode.
#[derive(Debug)]
pub(super) struct Keys {
    stdin: AsyncFd<Stdin>,
    before: Termios,
}

impl Keys {
    /// Takes the terminal at standard input. `None`: there is none, or it is not ours.
    pub(super) fn take() -> Option<Self> {
        let stdin = io::stdin();
        // In the background, as after `dev &`, the terminal belongs to the shell. On a terminal
        // that controls nobody there is no background.
        let ours = tcgetpgrp(&stdin).is_ok_and(|group| group == getpgrp());
        let uncontrolled = tcgetpgrp(&stdin).is_err();
        if !stdin.is_terminal() || !(ours || uncontrolled) {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut mode = before.clone();
        mode.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        mode.special_codes[SpecialCodeIndex::VMIN] = 0;
        mode.special_codes[SpecialCodeIndex::VTIME] = 0;
        #[expect(
            deprecated,
            reason = "its successor is unsafe and asks that the descriptor never changes: it is 0"
        )]
        let keys = Self { stdin: AsyncFd::new(stdin).ok()?, before };
        tcsetattr(keys.stdin.get_ref(), OptionalActions::Now, &mode).ok()?;
        Some(keys)
    }

    /// Waits for the next key.
    pub(super) async fn next(&mut self) -> Option<u8> {
        loop {
            let mut ready = self.stdin.readable().await.ok()?;
            let mut byte = [0];
            match rustix::io::read(ready.get_inner(), &mut byte) {
                Ok(0) => ready.clear_ready(),
                Ok(_) => return Some(byte[0]),
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(self.stdin.get_ref(), OptionalActions::Now, &self.before) {
            tracing::warn!(%error, "the terminal's mode is not restored; type `stty sane`");
        }
    }
}
