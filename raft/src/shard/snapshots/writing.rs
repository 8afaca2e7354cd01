//! Writing a snapshot, at a pace that leaves the disk to the log.

use bytes::BytesMut;

use crate::limits;
use crate::shard::machine::Content;
use crate::shard::rpc::put_stored_membership;
use crate::snapshot::{Manifest, SnapshotError, Snapshots, Tally, Thread};
use crate::words::{GroupId, LogPosition};

/// Writes and publishes the snapshot of `group` at `position`.
pub(super) fn write(
    store: &dyn Snapshots,
    group: GroupId,
    position: LogPosition,
    content: &Content,
) -> Result<Manifest, SnapshotError> {
    let mut writer = store.write(group, position)?;
    let mut tally = Tally::default();
    let mut unpaused_bytes = 0;
    for chunk in content.state.chunks() {
        tally.add(&chunk);
        writer.chunk(&chunk)?;
        unpaused_bytes += chunk.len();
        if limits::SNAPSHOT_PACE_BYTES <= unpaused_bytes && store.thread() == Thread::Blocking {
            unpaused_bytes = 0;
            pause();
        }
    }
    let mut membership = BytesMut::new();
    put_stored_membership(&mut membership, &content.membership);
    let manifest = tally.manifest(group, position, membership.freeze());
    writer.publish(&manifest)?;
    Ok(manifest)
}

#[expect(clippy::disallowed_methods, reason = "it is on a blocking thread, so nobody waits for it")]
fn pause() {
    std::thread::sleep(limits::SNAPSHOT_PACE_PAUSE);
}
