//! Registers: reads in all modes, writes, swaps and deletions of a few keys at a time.

use super::session::Session;
use crate::history::Mode;

/// What clients do, and how often out of a hundred times.
pub(super) const MIX: [(Act, u32); 6] = [
    (Act::Read(Mode::Linearizable), 35),
    (Act::Read(Mode::Lease), 10),
    (Act::Read(Mode::Stale), 10),
    (Act::Write, 25),
    (Act::Swap, 17),
    (Act::Delete, 3),
];

#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Read(Mode),
    Write,
    /// A read, then a compare-and-swap of what it saw.
    Swap,
    Delete,
}

/// Works until told to stop.
pub(super) async fn run(mut session: Session) {
    while !session.shared.stopped() {
        let key = session.choose_key();
        // How it ended is in the history, and a client goes on in any case.
        match session.draw(&MIX) {
            Act::Read(mode) => drop(session.read(&key, mode).await),
            Act::Write => {
                let value = session.shared.next_value();
                session.write(&key, value).await;
            }
            Act::Swap => {
                if let Ok(saw) = session.read(&key, Mode::Linearizable).await {
                    let value = session.shared.next_value();
                    drop(session.cas(&key, saw, value).await);
                }
            }
            Act::Delete => {
                session.delete(&key).await;
            }
        }
    }
}
