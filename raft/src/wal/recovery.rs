//! Opening: what is found at start, and what is made of it.
//!
//! Batch b follows a when both checksums hold, it lies where a ends (or is the head of the next
//! segment), its sequence is one more and its boot not smaller. The chain is walked from the
//! segment that its last batch names as the first needed. Before its last head nothing may be
//! missing; after its end nothing may verify that says more was synced. Everything that is done
//! can be done again, from any point at which it may be cut off.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::{
    BLOCK_BYTES, HEAD_BYTES, HEADER_BYTES, Header, MAGIC, Secret, SegmentId, VERSION, head_secret,
};
use super::index::{BatchAt, Index};
use super::opening::{failed, open_file, read};
use super::record::{Record, records};
use super::segment::{Live, SegmentFile, Segments};
use super::{Place, WalConfig, WalError};
use crate::mutant::Mutant;
use crate::words::Sequence;

/// Bytes of a closing batch's payload.
const CLOSING_BYTES: usize = 17;

/// A batch as it was found.
struct Batch<'a> {
    header: Header,
    payload: &'a [u8],
}

impl Batch<'_> {
    /// Returns the length of the segment that this is the head of, in bytes.
    fn segment_bytes(&self) -> Option<u64> {
        let bytes = self.payload.get(HEAD_BYTES - 8..HEAD_BYTES)?;
        Some(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }
}

/// Returns the header at `offset`, if it verifies. Its payload may not.
fn header_at(place: &Place, bytes: &[u8], offset: usize, secret: Secret) -> Option<Header> {
    let bytes = bytes.get(offset..)?;
    let header = Header::read(bytes)?;
    let here = header.directory == place.id && header.offset == offset as u64;
    (here && Header::verifies(bytes, secret)).then_some(header)
}

/// What is known of a log while it is opened.
pub(super) struct Recovery<'a> {
    place: &'a Place,
    files: Vec<SegmentFile>,
    /// The files whose heads are whole.
    heads: BTreeMap<SegmentId, usize>,
    /// All secrets that were found in clear.
    secrets: BTreeMap<SegmentId, Secret>,
}

/// The last batch of the chain.
pub(super) struct End {
    pub(super) header: Header,
    /// The secret of the next segment, if this is a closing batch.
    pub(super) announced: Option<Secret>,
}

impl<'a> Recovery<'a> {
    /// Reads the head of every file.
    pub(super) fn examine(place: &'a Place) -> Result<Self, WalError> {
        let mut recovery =
            Self { place, files: Vec::new(), heads: BTreeMap::new(), secrets: BTreeMap::new() };
        let paths = place.disk.list(&place.directory);
        for path in paths.map_err(failed("list", &place.directory))? {
            recovery.examine_file(open_file(place, path)?)?;
        }
        Ok(recovery)
    }

    fn examine_file(&mut self, file: SegmentFile) -> Result<(), WalError> {
        let mut bytes = vec![0; BLOCK_BYTES];
        let len = file.file.read_at(&mut bytes, 0).map_err(failed("read", &file.path))?;
        bytes.truncate(len);
        if bytes.starts_with(&MAGIC) && bytes.get(MAGIC.len()).is_some_and(|&v| v != VERSION) {
            return Err(WalError::Version { path: file.path, found: bytes[MAGIC.len()] });
        }
        let secret = head_secret(&bytes).filter(|&secret| Header::verifies(&bytes, secret));
        if let (Some(secret), Some(header)) = (secret, Header::read(&bytes)) {
            if header.directory != self.place.id {
                let (found, expected) = (header.directory, self.place.id);
                return Err(WalError::Foreign { path: file.path, found, expected });
            }
            self.secrets.insert(header.segment, secret);
            bytes.resize(HEADER_BYTES + header.len as usize, 0);
            file.file.read_at(&mut bytes, 0).map_err(failed("read", &file.path))?;
            let whole = header.offset == 0 && header.payload(&bytes, secret).is_some();
            if whole && self.heads.insert(header.segment, self.files.len()).is_some() {
                return Err(self.damaged(format!("two files hold segment {}", header.segment.0)));
            }
        }
        self.files.push(file);
        Ok(())
    }

    fn damaged(&self, what: String) -> WalError {
        WalError::Damaged { directory: self.place.directory.clone(), what }
    }

    /// Returns the batches of a segment, as far as they follow one another.
    fn chain<'b>(&self, segment: SegmentId, bytes: &'b [u8]) -> Vec<Batch<'b>> {
        let secret = self.secrets[&segment];
        let mut batches: Vec<Batch<'b>> = Vec::new();
        let mut offset = 0;
        while let Some(header) = header_at(self.place, bytes, offset, secret) {
            let follows = batches.last().is_none_or(|last| follows(&last.header, &header));
            let payload = header.payload(&bytes[offset..], secret);
            let Some(payload) = payload.filter(|_| follows && header.segment == segment) else {
                break;
            };
            batches.push(Batch { header, payload });
            let Ok(span) = usize::try_from(header.span()) else { break };
            offset += span;
        }
        batches
    }

    /// Walks the whole chain. Returns what it says, and where it ends.
    pub(super) fn walk(&self) -> Result<(Index, End), WalError> {
        let Some((&highest, &file)) = self.heads.last_key_value() else {
            return Err(self.damaged("no segment has a head that verifies".to_owned()));
        };
        let bytes = read(&self.files[file])?;
        let last = self.chain(highest, &bytes).pop();
        let mut segment = last.expect("its head verifies").header.first;
        let mut index = Index::default();
        let mut end: Option<End> = None;
        loop {
            let Some(&file) = self.heads.get(&segment) else {
                return Err(self.damaged(format!("segment {} is missing", segment.0)));
            };
            let bytes = read(&self.files[file])?;
            let batches = self.chain(segment, &bytes);
            let head = batches.first().expect("its head verifies");
            if head.segment_bytes() != Some(self.files[file].bytes) {
                let path = self.files[file].path.display();
                return Err(
                    self.damaged(format!("{path} has not the length that it was made with"))
                );
            }
            if end.as_ref().is_some_and(|end| !end.leads_to(&head.header, self.secrets[&segment])) {
                return Err(self.damaged(format!("batches before segment {} are gone", segment.0)));
            }
            let announced = self.replay(&mut index, &batches, end.is_none())?;
            let header = batches.last().expect("there is the head").header;
            end = Some(End { header, announced });
            if segment == highest {
                break;
            }
            segment = segment.next();
        }
        match (index.broken(), end) {
            (Some(group), _) => Err(self.damaged(format!("entries of {group} are missing"))),
            (None, None) => unreachable!("the loop saw a segment"),
            (None, Some(end)) => Ok((index, end)),
        }
    }

    /// Follows the records of a segment. Returns the secret that its closing batch announces.
    fn replay(
        &self,
        index: &mut Index,
        batches: &[Batch<'_>],
        first: bool,
    ) -> Result<Option<Secret>, WalError> {
        let mut announced = None;
        for batch in batches {
            let Header { segment, offset, sequence, .. } = batch.header;
            let at = BatchAt { segment, offset };
            let skip = if offset == 0 { HEAD_BYTES } else { 0 };
            let read = batch.payload.get(skip..).and_then(records);
            for record in
                read.ok_or_else(|| self.damaged(format!("batch {sequence} is strange")))?
            {
                if let Record::Close(secret) = record {
                    announced = Some(secret);
                }
                // A later head repeats what the walk has found so far.
                let agrees = if let (Record::State(group, state), false) = (&record, first) {
                    index.state(*group) == *state
                } else {
                    index.apply(&record, at).is_ok()
                };
                if !agrees {
                    return Err(self.damaged(format!("batch {sequence} contradicts earlier ones")));
                }
            }
        }
        Ok(announced)
    }

    /// Looks through every file for batches that say that more was synced than was found.
    ///
    /// Their payloads need not be whole. Closing batches tell the secrets of segments whose heads
    /// are not, even closing batches that the chain does not reach.
    pub(super) fn check_rest(&mut self, last: Sequence) -> Result<(), WalError> {
        for (header, bytes) in self.claims()? {
            let Some(&secret) = self.secrets.get(&header.segment) else { continue };
            if !Header::verifies(&bytes, secret) {
                continue;
            }
            if last < header.synced && !Mutant::DamagedLogAccepted.is_on() {
                return Err(self.damaged(format!(
                    "it ends with batch {last}, yet batch {} says that up to {} all was durable",
                    header.sequence, header.synced
                )));
            }
            if let Some([Record::Close(next)]) =
                header.payload(&bytes, secret).and_then(records).as_deref()
            {
                self.secrets.entry(header.segment.next()).or_insert(*next);
            }
        }
        Ok(())
    }

    /// Returns what looks like a header, with as many bytes as a closing batch has, from all
    /// files, in the order of the segments that they name.
    fn claims(&self) -> Result<Vec<(Header, Vec<u8>)>, WalError> {
        let mut claims = Vec::new();
        for file in &self.files {
            let bytes = read(file)?;
            for offset in (0..bytes.len()).step_by(BLOCK_BYTES) {
                let bytes = &bytes[offset..];
                let header = Header::read(bytes).filter(|header| {
                    header.directory == self.place.id && header.offset == offset as u64
                });
                if let Some(header) = header {
                    let len = bytes.len().min(HEADER_BYTES + CLOSING_BYTES);
                    claims.push((header, bytes[..len].to_vec()));
                }
            }
        }
        claims.sort_by_key(|(header, _)| header.segment);
        Ok(claims)
    }

    /// Writes the batches that may not be durable once more, as they are, and syncs them
    /// (invariant 7). They lie in the last segment: all before its head were synced.
    pub(super) fn rewrite(&self, end: &End) -> Result<(), WalError> {
        let segment = end.header.segment;
        let file = &self.files[self.heads[&segment]];
        let bytes = read(file)?;
        let unsure = self.chain(segment, &bytes).into_iter().map(|batch| batch.header);
        let unsure = unsure.filter(|header| end.header.synced < header.sequence);
        let offset = unsure.map(|header| header.offset).min().unwrap_or(end.header.offset);
        let range = offset..end.header.offset + end.header.span();
        let part = |edge: u64| usize::try_from(edge).expect("a segment fits in memory");
        let part = &bytes[part(range.start)..part(range.end)];
        file.file.write_at(part, offset).map_err(failed("write", &file.path))?;
        file.file.sync_data().map_err(failed("sync", &file.path))
    }

    /// Sorts the files into those in use and those that can be used again.
    pub(super) fn segments(self, end: &End, config: WalConfig) -> Result<Segments, WalError> {
        let Place { disk, directory, .. } = self.place;
        let mut segments = Segments::new(Arc::clone(disk), directory, config.segment_bytes);
        let in_use = end.header.first..=end.header.segment;
        let mut numbers: BTreeMap<usize, SegmentId> =
            self.heads.iter().map(|(segment, file)| (*file, *segment)).collect();
        for (i, file) in self.files.into_iter().enumerate() {
            let path = file.path.clone();
            match numbers.remove(&i).filter(|segment| in_use.contains(segment)) {
                Some(segment) => {
                    let secret = self.secrets[&segment];
                    segments.live.insert(segment, Live { file, secret });
                }
                None => {
                    // Whoever made it may have died before it was durable.
                    file.file.sync_all().map_err(failed("sync", &path))?;
                    segments.put_back(file).map_err(failed("remove", &path))?;
                }
            }
        }
        disk.sync_dir(directory).map_err(failed("sync", directory))?;
        Ok(segments)
    }
}

impl End {
    /// Returns whether `head`, under `secret`, is what comes after this last batch of a segment.
    fn leads_to(&self, head: &Header, secret: Secret) -> bool {
        self.announced == Some(secret) && follows(&self.header, head)
    }
}

/// Returns whether b can come right after a, wherever they lie.
fn follows(a: &Header, b: &Header) -> bool {
    b.sequence.0 == a.sequence.0 + 1 && a.boot <= b.boot
}
