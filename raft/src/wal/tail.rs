//! The end of the log, where it grows: the plain struct that owns the files.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::batch::{BLOCK_BYTES, BatchBuffer, HEAD_BYTES, HEADER_BYTES, Header, Secret, SegmentId};
use super::index::{BatchAt, Index};
use super::record::{Record, records};
use super::segment::Segments;
use super::space::Gauges;
use super::{LogEntry, WalConfig};
use crate::limits;
use crate::mutant::Mutant;
use crate::words::{Boot, DirectoryId, GroupId, Sequence};

/// The log as its writer sees it.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) id: DirectoryId,
    pub(super) boot: Boot,
    pub(super) config: WalConfig,
    /// What batches are aligned to: a block, or the device's sector if that is larger.
    pub(super) align: usize,
    pub(super) segments: Segments,
    pub(super) index: Index,
    pub(super) gauges: Arc<Gauges>,
    /// The segment that is written to, and where in it the next batch goes.
    pub(super) segment: SegmentId,
    pub(super) offset: u64,
    /// The last batch written, and the last for which a sync has returned.
    pub(super) sequence: Sequence,
    pub(super) synced: Sequence,
    /// The secret of the next segment, once the closing batch has announced it.
    pub(super) announced: Option<Secret>,
    pub(super) buffer: BatchBuffer,
}

impl Tail {
    /// Returns the most bytes of records in one batch, but for a single larger record.
    pub(super) fn batch_bytes_max(&self) -> usize {
        let quarter = usize::try_from(self.config.segment_bytes / 4).unwrap_or(usize::MAX);
        quarter.min(limits::BATCH_BYTES_MAX)
    }

    /// Writes a batch, in the next segment if this one has no room. Does not sync it.
    pub(super) fn write(&mut self, records: &[Record]) -> io::Result<()> {
        let bytes = HEADER_BYTES + records.iter().map(Record::bytes).sum::<usize>();
        if !self.fits(bytes) {
            self.rotate()?;
            self.relieve()?;
        }
        if !self.fits(bytes) {
            self.rotate()?;
        }
        assert!(self.fits(bytes), "a batch of {bytes} bytes fits into no segment");
        self.gauges.records.fetch_add(records.len() as u64, Ordering::Relaxed);
        self.put(records)
    }

    /// Returns whether a batch of `bytes` bytes leaves room for the closing batch.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        let span = bytes.next_multiple_of(self.align) as u64;
        self.announced.is_none() && self.offset + span + self.align as u64 <= self.capacity()
    }

    /// Returns the bytes of the segment that is written to.
    fn capacity(&self) -> u64 {
        self.segments.live[&self.segment].file.bytes
    }

    /// Writes an empty batch, which tells what was synced before it (invariant 6), if there is
    /// room. Where there is none, the next head will tell.
    pub(super) fn mark(&mut self) -> io::Result<()> {
        if self.fits(HEADER_BYTES) { self.put(&[]) } else { Ok(()) }
    }

    /// Makes all that was written durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let began = Instant::now();
        if !Mutant::NoFsync.is_on() {
            self.segments.live[&self.segment].file.file.sync_data()?;
        }
        self.gauges.sync_seconds.observe(began.elapsed().as_secs_f64());
        self.gauges.syncs.fetch_add(1, Ordering::Relaxed);
        self.synced = self.sequence;
        self.gauges.set_synced(self.synced);
        // Every batch is synced now, so what its `first` says holds (invariant 4).
        self.segments.release(self.first())
    }

    /// Returns the oldest segment that is still needed.
    fn first(&self) -> SegmentId {
        self.index.oldest().map_or(self.segment, |oldest| oldest.min(self.segment))
    }

    /// Returns whether segments are kept only because nothing was synced since they were needed.
    pub(super) fn retains(&self) -> bool {
        let oldest = self.segments.live.first_key_value();
        oldest.is_some_and(|(&oldest, _)| oldest < self.first())
    }

    fn put(&mut self, records: &[Record]) -> io::Result<()> {
        let at = BatchAt { segment: self.segment, offset: self.offset };
        self.buffer.begin();
        for record in records {
            self.buffer.push(record);
            let fits = self.index.apply(record, at);
            assert!(fits.is_ok(), "the handles let only records pass that fit: {record:?}");
        }
        self.put_buffer()
    }

    /// Seals the batch in the buffer and writes it.
    fn put_buffer(&mut self) -> io::Result<()> {
        let header = Header {
            directory: self.id,
            segment: self.segment,
            offset: self.offset,
            boot: self.boot,
            sequence: Sequence(self.sequence.0 + 1),
            synced: self.synced,
            first: self.first(),
            blocks: 0,
            len: 0,
            payload_crc: 0,
        };
        let live = &self.segments.live[&self.segment];
        let bytes = self.buffer.seal(header, live.secret, self.align);
        live.file.file.write_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        self.sequence = header.sequence;
        self.gauges.batches.fetch_add(1, Ordering::Relaxed);
        self.gauges.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Ends this segment and begins the next.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        let secret = match self.announced {
            Some(secret) => secret,
            None => {
                let secret = Secret::random()?;
                self.put(&[Record::Close(secret)])?;
                self.announced = Some(secret);
                secret
            }
        };
        // Before the next head is written, all before it is durable (invariant 3).
        self.sync()?;
        self.begin(self.segment.next(), secret)
    }

    /// Begins a segment with its head.
    pub(super) fn begin(&mut self, segment: SegmentId, secret: Secret) -> io::Result<()> {
        let segment_bytes = self.segments.begin(segment, secret)?.file.bytes;
        (self.segment, self.offset, self.announced) = (segment, 0, None);
        self.buffer.begin_head(secret, segment_bytes);
        for (group, holding) in &self.index.groups {
            self.buffer.push(&Record::State(*group, holding.state));
        }
        self.put_buffer()
    }

    /// Frees the oldest segments where only a few entries of quiet groups pin them, by writing
    /// those groups' entries once more. Groups with more entries are made to snapshot instead.
    fn relieve(&mut self) -> io::Result<()> {
        if self.segments.live.len() <= 2.max(self.config.segments_max / 2) {
            return Ok(());
        }
        let oldest = self.index.oldest();
        if oldest.is_none_or(|oldest| oldest == self.segment) {
            return Ok(());
        }
        let pinning = self.index.groups.iter().filter(|(_, holding)| holding.oldest() == oldest);
        let pinning: Vec<_> =
            pinning.map(|(group, holding)| (*group, holding.disk_bytes)).collect();
        let bytes = pinning.iter().map(|(_, bytes)| bytes).sum::<u64>();
        if self.config.segment_bytes / limits::LOG_REPLACE_PART < bytes {
            return Ok(());
        }
        let mut records = Vec::with_capacity(pinning.len());
        for (group, _) in pinning {
            let state = self.index.groups[&group].state;
            let entries = self.read(group, state.start..state.next)?;
            records.push(Record::Replace(group, state.start, entries));
        }
        self.put(&records)
    }

    /// Returns entries of a group, from memory or else from the segments.
    pub(super) fn read(&self, group: GroupId, range: Range<u64>) -> io::Result<Vec<LogEntry>> {
        let mut entries = Vec::new();
        let mut cached: Option<(BatchAt, Vec<Record>)> = None;
        for index in range {
            let slot = self.index.groups.get(&group).and_then(|holding| holding.slot(index));
            let Some((position, at, payload)) = slot else {
                return Err(io::Error::other(format!("{group} has no entry {index} in the log")));
            };
            if let Some(payload) = payload {
                entries.push(LogEntry { position, payload: payload.clone() });
                continue;
            }
            let batch = match cached.take() {
                Some((cached_at, batch)) if cached_at == at => batch,
                Some(_) | None => self.read_batch(at)?,
            };
            let written = batch.iter().filter(|record| record.group() == Some(group));
            let mut written = written.flat_map(Record::entries);
            let entry = written.find(|entry| entry.position == position).cloned();
            entries.push(entry.ok_or_else(|| damaged(at))?);
            cached = Some((at, batch));
        }
        Ok(entries)
    }

    /// Reads a batch back and verifies it.
    fn read_batch(&self, at: BatchAt) -> io::Result<Vec<Record>> {
        let live = self.segments.live.get(&at.segment).ok_or_else(|| damaged(at))?;
        let mut bytes = vec![0; BLOCK_BYTES];
        live.file.file.read_at(&mut bytes, at.offset)?;
        let header = Header::read(&bytes).filter(|_| Header::verifies(&bytes, live.secret));
        let header = header.ok_or_else(|| damaged(at))?;
        bytes.resize(HEADER_BYTES + header.len as usize, 0);
        live.file.file.read_at(&mut bytes, at.offset)?;
        let payload = header.payload(&bytes, live.secret).ok_or_else(|| damaged(at))?;
        records(payload).ok_or_else(|| damaged(at))
    }

    /// Reads entries back that are purged or not in memory, and keeps them there.
    pub(super) fn recall(
        &mut self,
        group: GroupId,
        range: Range<u64>,
    ) -> io::Result<Vec<LogEntry>> {
        let entries = self.read(group, range)?;
        self.index.recall(group, &entries);
        Ok(entries)
    }

    /// Reads back what a start from an older snapshot had taken back into memory.
    pub(super) fn restore_memory(&mut self) -> io::Result<()> {
        let groups = self.index.groups.iter();
        let absent: Vec<_> = groups.map(|(group, holding)| (*group, holding.absent())).collect();
        for (group, range) in absent {
            self.recall(group, range)?;
        }
        Ok(())
    }

    /// Publishes how much room there is.
    pub(super) fn measure(&self) -> io::Result<()> {
        let align = self.align as u64;
        let states =
            self.index.groups.keys().map(|group| Record::State(*group, Default::default()));
        let head = HEADER_BYTES + HEAD_BYTES + states.map(|state| state.bytes()).sum::<usize>();
        let capacity = self.config.segment_bytes - align - head.next_multiple_of(self.align) as u64;
        let left = self.capacity().saturating_sub(self.offset + align);
        let used = self.segments.live.len() as u64;
        let more = (2 * self.config.segments_max as u64).saturating_sub(used);
        let files = self.segments.ready().saturating_add(self.segments.creatable()?);
        // One segment stays in reserve.
        let disk_room =
            left.saturating_add(files.saturating_mul(capacity)).saturating_sub(capacity);
        let set = |gauge: &AtomicU64, value| gauge.store(value, Ordering::Relaxed);
        set(&self.gauges.log_room_bytes, left + more * capacity);
        set(&self.gauges.disk_room_bytes, disk_room);
        set(&self.gauges.segments, used);
        set(&self.gauges.disk_bytes, self.segments.disk_bytes());
        set(&self.gauges.memory_bytes, self.index.memory_bytes());
        Ok(())
    }

    /// Returns the groups that should snapshot now, in order.
    ///
    /// A log that holds much asks the group that holds most: its snapshot gives back most, and those
    /// of all groups at the same time would take memory and delay writes in proportion. Where that
    /// does not help, for that group's snapshots fail, say, all that hold their share are asked.
    pub(super) fn pressed(&self) -> Vec<GroupId> {
        let groups = self.index.groups.values().filter(|holding| 0 < holding.state.next).count();
        let disk_bytes = self.config.segments_max as u64 * self.config.segment_bytes;
        let much = self.config.memory_bytes_max.min(disk_bytes) / limits::LOG_SNAPSHOT_PART;
        let share = much / (groups as u64).max(1);
        let held = self.index.memory_bytes();
        let most = self.index.groups.values().map(|holding| holding.memory_bytes).max();
        let long = self.config.segments_max < self.segments.live.len();
        let oldest = self.index.oldest();
        let pressed = self.index.groups.iter().filter(|(_, holding)| {
            let bytes = holding.memory_bytes;
            let first = much <= held && Some(bytes) == most;
            let urgent = 2 * much <= held && share <= bytes;
            0 < bytes && (first || urgent) || long && holding.oldest() == oldest
        });
        pressed.map(|(group, _)| *group).collect()
    }
}

fn damaged(at: BatchAt) -> io::Error {
    let BatchAt { segment, offset } = at;
    let what = format!("the batch at {offset} of segment {} no longer verifies", segment.0);
    io::Error::new(io::ErrorKind::InvalidData, what)
}
