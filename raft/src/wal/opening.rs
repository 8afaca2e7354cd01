//! Opening a log: making it at first, finding it again later.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::batch::{
    BLOCK_BYTES, BatchBuffer, HEADER_BYTES, Header, Secret, SegmentId, head_secret,
};
use super::front::Front;
use super::group::Wal;
use super::index::Index;
use super::recovery::Recovery;
use super::segment::{SegmentFile, Segments};
use super::space::Gauges;
use super::tail::Tail;
use super::writer::Writer;
use super::{Place, Start, WalConfig, WalError};
use crate::limits;
use crate::runtime::watch;
use crate::words::Sequence;

/// Opens the log of a directory, or makes it.
///
/// [`Start::First`] makes an empty log, durable with its directory; it erases one that holds
/// nothing but its first head, which an earlier first start may have left. [`Start::Again`] finds
/// all that was durable, and makes durable what it shows.
///
/// # Errors
///
/// [`WalError`]: the node must not start.
///
/// # Panics
///
/// If `config` is out of its bounds.
pub fn open(place: &Place, start: Start, config: WalConfig) -> Result<(Wal, Writer), WalError> {
    assert!(config.segment_bytes.is_multiple_of(BLOCK_BYTES as u64), "segments are whole blocks");
    assert!(16 * BLOCK_BYTES as u64 <= config.segment_bytes, "a segment has sixteen blocks");
    assert!(2 <= config.segments_max, "the log has two segments");
    let directory = place.directory.clone();
    let failed = |action| failed(action, &directory);
    place.disk.create_dir_all(&directory).map_err(failed("create"))?;
    let sector_bytes = place.disk.sector_bytes(&directory).map_err(failed("examine"))?;
    let align = BLOCK_BYTES.max(sector_bytes);
    let tail = match start {
        Start::First => found(place, config, align)?,
        Start::Again => recover(place, config, align)?,
    };
    tail.measure().map_err(failed("examine"))?;
    Ok(handles(tail))
}

fn handles(tail: Tail) -> (Wal, Writer) {
    let (sender, queue) = mpsc::channel(limits::LOG_QUEUE_MAX);
    let (pressure, watched) = watch::channel(tail.pressed());
    let groups = tail.index.groups.iter();
    let fronts = groups.map(|(group, holding)| {
        (*group, Front { state: holding.state, entries: holding.in_memory().collect() })
    });
    let gauges = Arc::clone(&tail.gauges);
    let wal = Wal::new(fronts.collect(), sender, gauges, watched, tail.batch_bytes_max());
    (wal, Writer::new(tail, queue, pressure))
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> WalError {
    let path = path.to_owned();
    move |source| WalError::Io { action, path, source }
}

/// Makes a log with nothing in it.
fn found(place: &Place, config: WalConfig, align: usize) -> Result<Tail, WalError> {
    let directory = place.directory.clone();
    for path in place.disk.list(&directory).map_err(failed("list", &directory))? {
        let bytes = read(&open_file(place, path.clone())?)?;
        let head = Header::read(&bytes)
            .filter(|_| head_secret(&bytes).is_some_and(|secret| Header::verifies(&bytes, secret)));
        let beyond = bytes.iter().skip(BLOCK_BYTES).any(|&byte| byte != 0);
        if beyond || head.is_some_and(|head| head.sequence != Sequence(1)) {
            return Err(WalError::Orphaned { path });
        }
        place.disk.remove_file(&path).map_err(failed("remove", &path))?;
    }
    for directory in [Some(directory.as_path()), directory.parent()].into_iter().flatten() {
        place.disk.sync_dir(directory).map_err(failed("sync", directory))?;
    }
    let segments = Segments::new(Arc::clone(&place.disk), &directory, config.segment_bytes);
    let mut tail = new_tail(place, config, align, segments);
    let secret = Secret::random().map_err(failed("draw a secret for", &directory))?;
    tail.begin(SegmentId(1), secret).map_err(failed("begin a log in", &directory))?;
    tail.sync().map_err(failed("sync", &directory))?;
    Ok(tail)
}

/// Finds a log again.
fn recover(place: &Place, config: WalConfig, align: usize) -> Result<Tail, WalError> {
    let mut recovery = Recovery::examine(place)?;
    let (index, end) = recovery.walk()?;
    recovery.check_rest(end.header.sequence)?;
    if place.boot <= end.header.boot {
        return Err(WalError::Restored { boot: place.boot, last: end.header.boot });
    }
    recovery.rewrite(&end)?;
    let segments = recovery.segments(&end, config)?;
    let mut tail = new_tail(place, config, align, segments);
    tail.index = index;
    (tail.segment, tail.offset) = (end.header.segment, end.header.offset + end.header.span());
    (tail.sequence, tail.synced) = (end.header.sequence, end.header.sequence);
    tail.announced = end.announced;
    resume(&mut tail).map_err(failed("resume the log in", &place.directory))?;
    Ok(tail)
}

/// Writes and syncs a batch under the new boot: a marker, or where there is no room for one the
/// next head.
fn resume(tail: &mut Tail) -> std::io::Result<()> {
    tail.restore_memory()?;
    if tail.fits(HEADER_BYTES) && tail.offset.is_multiple_of(tail.align as u64) {
        tail.mark()?;
    } else {
        tail.rotate()?;
    }
    tail.sync()
}

/// Returns the end of a log that has no batch yet.
fn new_tail(place: &Place, config: WalConfig, align: usize, segments: Segments) -> Tail {
    Tail {
        id: place.id,
        boot: place.boot,
        config,
        align,
        segments,
        index: Index::default(),
        gauges: Arc::new(Gauges::new(config.memory_bytes_max, 2 * align as u64)),
        segment: SegmentId(0),
        offset: 0,
        sequence: Sequence(0),
        synced: Sequence(0),
        announced: None,
        buffer: BatchBuffer::default(),
    }
}

pub(super) fn open_file(place: &Place, path: PathBuf) -> Result<SegmentFile, WalError> {
    let file = place.disk.open(&path).map_err(failed("open", &path))?;
    let bytes = file.len_bytes().map_err(failed("examine", &path))?;
    Ok(SegmentFile { path, file, bytes })
}

/// Returns all bytes of a file, whose length a segment bounds.
pub(super) fn read(file: &SegmentFile) -> Result<Vec<u8>, WalError> {
    let mut bytes = vec![0; usize::try_from(file.bytes).expect("a segment fits in memory")];
    let len = file.file.read_at(&mut bytes, 0).map_err(failed("read", &file.path))?;
    bytes.truncate(len);
    Ok(bytes)
}
