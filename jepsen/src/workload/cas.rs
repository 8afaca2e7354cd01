//! Versioned compare-and-swap, with contention: clients keep the version that they saw last, and most
//! of them lose. A refusal shows the version that the key has, which is as good as a read.

use std::collections::BTreeMap;

use super::session::{Saw, Session};
use crate::history::Mode;

/// What clients do, and how often out of a hundred times.
pub(super) const MIX: [(Act, u32); 6] = [
    (Act::Swap, 60),
    (Act::Read(Mode::Linearizable), 20),
    (Act::Read(Mode::Lease), 6),
    (Act::Read(Mode::Stale), 6),
    (Act::Write, 4),
    (Act::Delete, 4),
];

#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// A compare-and-swap of what the client holds of the key, old or not.
    Swap,
    Read(Mode),
    Write,
    Delete,
}

/// Works until told to stop.
pub(super) async fn run(mut session: Session) {
    // What this client saw last of a key: a value, or that there was none.
    let mut held: BTreeMap<String, Option<Saw>> = BTreeMap::new();
    while !session.shared.stopped() {
        let key = session.choose_key();
        let mut act = session.draw(&MIX);
        if matches!(act, Act::Swap) && !held.contains_key(&key) {
            act = Act::Read(Mode::Stale);
        }
        match act {
            Act::Swap => {
                let value = session.shared.next_value();
                let saw = held.remove(&key).flatten();
                if let Ok(made) = session.cas(&key, saw, value).await {
                    held.insert(key, Some(made));
                }
            }
            Act::Read(mode) => {
                if let Ok(saw) = session.read(&key, mode).await {
                    held.insert(key, saw);
                }
            }
            Act::Write => {
                let value = session.shared.next_value();
                session.write(&key, value).await;
            }
            Act::Delete => {
                session.delete(&key).await;
            }
        }
    }
}
