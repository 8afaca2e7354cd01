//! Times to live: keys are written for a while, written anew for longer, shorter or for good, and read
//! in all modes. In the end all that was written for a while must be gone.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::session::Session;
use super::{Shared, keys};
use crate::history::Mode;

/// Times to live, in milliseconds. The ends are drawn as often as the middle, on a scale of factors.
const TTL_MS: std::ops::RangeInclusive<u64> = 50..=5000;
/// How long it takes until all is gone, by a clock that runs as slow as one may.
const GONE: Duration = Duration::from_millis(5500);

/// What clients do, and how often out of a hundred times. Few writes: a key that is written all the
/// time never expires.
pub(super) const MIX: [(Act, u32); 6] = [
    (Act::WriteFor, 16),
    (Act::Write, 3),
    (Act::Delete, 1),
    (Act::Read(Mode::Linearizable), 40),
    (Act::Read(Mode::Lease), 20),
    (Act::Read(Mode::Stale), 20),
];

#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// A write with a time to live.
    WriteFor,
    /// A write for good.
    Write,
    Delete,
    Read(Mode),
}

/// Works until told to stop.
pub(super) async fn run(mut session: Session) {
    while !session.shared.stopped() {
        let key = session.choose_key();
        let value = session.shared.next_value();
        // How it ended is in the history, and a client goes on in any case.
        match session.draw(&MIX) {
            Act::WriteFor => {
                let ttl_ms = ttl_ms(session.random.random());
                session.write_for(&key, value, Some(ttl_ms)).await;
            }
            Act::Write => {
                session.write(&key, value).await;
            }
            Act::Delete => {
                session.delete(&key).await;
            }
            Act::Read(mode) => drop(session.read(&key, mode).await),
        }
    }
}

/// Reads all keys once what was written for a while has had its time.
pub(super) async fn read_all(shared: &Arc<Shared>) {
    tokio::time::sleep(GONE).await;
    keys::read_all(shared).await;
}

/// Returns a time to live by a number between 0 and 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range")]
fn ttl_ms(fraction: f64) -> u64 {
    let (least, most) = (*TTL_MS.start() as f64, *TTL_MS.end() as f64);
    (least * (most / least).powf(fraction)) as u64
}
