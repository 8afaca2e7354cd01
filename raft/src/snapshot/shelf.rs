//! The directories that snapshots stand in, and their way from begun over published to gone.
//!
//! The picture and the promises are in the parent module. A name is made of fixed-width numbers,
//! and counts only if it is exactly what this file would write; with a suffix it is debris.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::ReadFailure;
use crate::disk::Disk;
use crate::words::{GroupId, LogPosition, ReplicaId, Term};

/// All snapshots of a node, by name.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

impl Shelf {
    /// Opens the shelf at `root`, and creates it, durably, if it is not there.
    ///
    /// A process that was killed between a rename and its fsync has left a name that a power cut
    /// may still take back, so all names are made durable before anybody looks at them.
    pub(super) fn open(disk: Arc<dyn Disk>, root: &Path) -> io::Result<Self> {
        disk.create_dir_all(root)?;
        if let Some(parent) = root.parent() {
            disk.sync_dir(parent)?;
        }
        let shelf = Self { disk, root: root.to_owned() };
        for group in shelf.groups()? {
            shelf.disk.sync_dir(&group)?;
        }
        Ok(shelf)
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Removes what is not published, of all groups.
    pub(super) fn clean(&self) -> io::Result<()> {
        for group in self.groups()? {
            for place in self.disk.list(&group)? {
                if is_debris(&place) {
                    self.disk.remove_dir_all(&place)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the positions of the published snapshots of `group`, newest first.
    pub(super) fn list(&self, group: GroupId) -> io::Result<Vec<LogPosition>> {
        let places = found(self.disk.list(&self.group_place(group)))?.unwrap_or_default();
        let mut positions: Vec<_> = places.iter().filter_map(|place| position_of(place)).collect();
        positions.sort_unstable_by(|a, b| b.cmp(a));
        Ok(positions)
    }

    /// Returns where the published snapshot is, or would be.
    pub(super) fn place(&self, group: GroupId, position: LogPosition) -> PathBuf {
        let LogPosition { term, index } = position;
        self.group_place(group).join(name([term.number, term.leader.0, index]))
    }

    /// Returns where the published snapshot is.
    pub(super) fn find(&self, group: GroupId, position: LogPosition) -> io::Result<PathBuf> {
        if !self.list(group)?.contains(&position) {
            let what = format!("there is no snapshot of {group} at {position}");
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        Ok(self.place(group, position))
    }

    /// Returns an empty directory for the files of a snapshot that is not published yet.
    pub(super) fn begin(&self, group: GroupId, position: LogPosition) -> io::Result<PathBuf> {
        if self.list(group)?.contains(&position) {
            let what = format!("the snapshot of {group} at {position} is published already");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        let begun = with_suffix(&self.place(group, position), "tmp");
        found(self.disk.remove_dir_all(&begun))?;
        self.disk.create_dir_all(&begun)?;
        self.disk.sync_dir(&self.root)?;
        Ok(begun)
    }

    /// Publishes what was begun. Its files and their directories are durable already.
    pub(super) fn publish(&self, group: GroupId, position: LogPosition) -> io::Result<()> {
        let place = self.place(group, position);
        self.disk.rename(&with_suffix(&place, "tmp"), &place)?;
        self.disk.sync_dir(&self.group_place(group))
    }

    /// Removes a snapshot, begun or published.
    pub(super) fn remove(&self, group: GroupId, position: LogPosition) -> io::Result<()> {
        let place = self.place(group, position);
        let gone = with_suffix(&place, "gone");
        found(self.disk.remove_dir_all(&gone))?;
        // Under its own name it must not lose a part and keep the rest, nor may a power cut bring
        // that name back once the files go.
        if found(self.disk.rename(&place, &gone))?.is_some() {
            self.disk.sync_dir(&self.group_place(group))?;
            self.disk.remove_dir_all(&gone)?;
        }
        found(self.disk.remove_dir_all(&with_suffix(&place, "tmp")))?;
        Ok(())
    }

    /// Returns the directories of all groups.
    fn groups(&self) -> io::Result<Vec<PathBuf>> {
        let mut groups = self.disk.list(&self.root)?;
        groups.retain(|place| parse::<1>(place).is_some());
        Ok(groups)
    }

    fn group_place(&self, group: GroupId) -> PathBuf {
        self.root.join(name([group.to_bits()]))
    }
}

/// Reads a file of a published snapshot, which is damaged where there is none or a larger one.
pub(super) fn read_file(
    disk: &dyn Disk,
    path: &Path,
    bytes_max: usize,
) -> Result<Bytes, ReadFailure> {
    let damaged = |what| ReadFailure::Damaged(format!("{} {what}", path.display()));
    let file = match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged("is missing")),
        opened => Ok(opened?),
    }?;
    let mut bytes = match usize::try_from(file.len_bytes()?) {
        Ok(len_bytes) if len_bytes <= bytes_max => vec![0; len_bytes],
        Ok(_) | Err(_) => return Err(damaged("is too large")),
    };
    if file.read_at(&mut bytes, 0)? != bytes.len() {
        return Err(damaged("has changed"));
    }
    Ok(bytes.into())
}

/// Returns `None` where there was nothing.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the name of what is beside `place` and not published.
pub(super) fn with_suffix(place: &Path, suffix: &str) -> PathBuf {
    place.with_extension(suffix)
}

fn is_debris(place: &Path) -> bool {
    place.extension().is_some() && position_of(&place.with_extension("")).is_some()
}

fn position_of(place: &Path) -> Option<LogPosition> {
    let [number, leader, index] = parse(place)?;
    Some(LogPosition { term: Term { number, leader: ReplicaId(leader) }, index })
}

/// Returns `numbers` in hexadecimal: `00000000000000a0-0000000000000007`.
fn name<const N: usize>(numbers: [u64; N]) -> String {
    let mut name = String::new();
    for (index, number) in numbers.iter().enumerate() {
        let dash = if index == 0 { "" } else { "-" };
        write!(name, "{dash}{number:016x}").expect("a string takes all that is written");
    }
    name
}

/// Reads what [`name`] returned, and nothing else.
fn parse<const N: usize>(place: &Path) -> Option<[u64; N]> {
    let text = place.file_name()?.to_str()?;
    let numbers: Result<Vec<_>, _> =
        text.split('-').map(|part| u64::from_str_radix(part, 16)).collect();
    let numbers: [u64; N] = numbers.ok()?.try_into().ok()?;
    (name(numbers) == text).then_some(numbers)
}
