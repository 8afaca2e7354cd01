//! A disk of its own for a node: a file with an ext4 file system, mounted through a loop device.
//!
//! A power cut is a kill, then a shutdown of the file system that writes nothing more, not even its
//! journal, then a mount anew. What the node wrote and did not sync is gone then, as it is when a
//! machine loses power; what it synced went through the real page cache and the real journal. It
//! models no cache inside a disk that ignores flushes, and no torn sectors.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ledger::{Ledger, Made, is_mounted};
use super::shutdown::shut_down;
use super::tool::{FSFREEZE, MKFS, MOUNT, UMOUNT, off_the_runtime, text};
use super::{EnvError, cannot};

#[cfg(test)]
mod tests;

/// What a disk holds. The file is sparse.
const IMAGE_BYTES: u64 = 1 << 30;
/// What is compared before and after a cut.
const BLOCK_BYTES: usize = 4096;
/// What the harness itself writes just before a cut and does not sync, in bytes.
const CANARY_BYTES: usize = 128 << 10;
/// The file that it writes that to, and the one that it fills a disk with.
const CANARY: &str = "canary";
const BALLAST: &str = "ballast";

/// The disk of a node.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Where it is mounted.
    pub at: PathBuf,
    image: PathBuf,
    /// Seconds between two commits of its journal; `None`: as the system does.
    commit_s: Option<u32>,
}

/// What a power cut took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Bytes that the node had written and that are gone or as they were before.
    pub node_bytes: u64,
    /// The same of bytes that the harness wrote just before.
    pub canary_bytes: u64,
}

impl Disk {
    /// Makes the file, the file system and the mount.
    pub async fn make(
        folder: &Path,
        node: u32,
        commit_s: Option<u32>,
        ledger: &mut Ledger,
    ) -> Result<Self, EnvError> {
        let at = folder.join(format!("disk{node}"));
        let image = folder.join(format!("disk{node}.ext4"));
        let made = File::create_new(&image).and_then(|file| file.set_len(IMAGE_BYTES));
        made.map_err(|error| cannot(&format!("{} cannot be made", image.display()), error))?;
        fs::create_dir(&at)
            .map_err(|error| cannot(&format!("{} cannot be made", at.display()), error))?;
        MKFS.run(&["-q", "-F", "-m", "0", text(&image)]).await?;
        ledger
            .note(&Made::Mount { at: at.clone(), image: image.clone() })
            .map_err(|error| cannot("the ledger cannot be written", error))?;
        let disk = Self { at, image, commit_s };
        disk.mount().await?;
        Ok(disk)
    }

    async fn mount(&self) -> Result<(), EnvError> {
        let commit = self.commit_s.map_or_else(String::new, |s| format!(",commit={s}"));
        let options = format!("loop{commit}");
        MOUNT.run(&["-o", &options, text(&self.image), text(&self.at)]).await?;
        Ok(())
    }

    /// Removes the file, which must not be mounted.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.image)?;
        fs::remove_dir(&self.at)
    }

    /// Writes a canary, which the next cut is to take.
    pub fn write_canary(&self) -> io::Result<()> {
        // Others than last time: where that one was kept, this one must not look as if it was.
        let bytes = rand::random::<[u8; 8]>().repeat(CANARY_BYTES / 8);
        File::create(self.at.join(CANARY))?.write_all(&bytes)
    }

    /// Cuts the power of a disk whose node was just killed, and switches it on again.
    pub async fn cut(&self) -> Result<Lost, EnvError> {
        let before = self.read().await;
        let at = self.at.clone();
        off_the_runtime(move || shut_down(&at))
            .await
            .map_err(|error| cannot(&format!("{} is not shut down", self.at.display()), error))?;
        UMOUNT.run(&[text(&self.at)]).await?;
        self.mount().await?;
        Ok(before.lost_in(&self.read().await))
    }

    async fn read(&self) -> Contents {
        let at = self.at.clone();
        off_the_runtime(move || Contents::read(&at)).await
    }

    /// Lets nobody write to it, not even data that is there already.
    pub async fn freeze(&self) -> Result<(), EnvError> {
        FSFREEZE.run(&["--freeze", text(&self.at)]).await?;
        Ok(())
    }

    /// Lets everybody write again.
    pub async fn thaw(&self) -> Result<(), EnvError> {
        FSFREEZE.run(&["--unfreeze", text(&self.at)]).await?;
        Ok(())
    }

    /// Fills it, and returns with how many bytes.
    pub async fn fill(&self) -> Result<u64, EnvError> {
        let path = self.at.join(BALLAST);
        let filled = off_the_runtime(move || fill(&path)).await;
        filled.map_err(|error| cannot(&format!("{} cannot be filled", self.at.display()), error))
    }

    /// Makes room again.
    pub fn clear(&self) -> io::Result<()> {
        fs::remove_file(self.at.join(BALLAST))
    }

    /// Returns whether it is mounted.
    pub fn is_mounted(&self) -> bool {
        is_mounted(&self.at)
    }
}

/// Takes space until there is none.
fn fill(path: &Path) -> io::Result<u64> {
    let file = File::create(path)?;
    let (mut filled, mut step) = (0, IMAGE_BYTES);
    while BLOCK_BYTES as u64 <= step {
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(&file, flags, filled, step) {
            Ok(()) => filled += step,
            Err(rustix::io::Errno::NOSPC) => step /= 2,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

/// What files hold: a hash of each block.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contents(BTreeMap<PathBuf, Vec<u64>>);

impl Contents {
    /// Reads all files. One that cannot be read counts as empty.
    fn read(root: &Path) -> Self {
        let (mut files, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else {
                    let blocks = blocks(&path).unwrap_or_default();
                    files.insert(path, blocks);
                }
            }
        }
        Self(files)
    }

    /// Returns what is not as it was.
    fn lost_in(&self, after: &Self) -> Lost {
        let mut lost = Lost::default();
        for (path, before) in &self.0 {
            let now = after.0.get(path).map_or(&[][..], Vec::as_slice);
            let gone = before.iter().enumerate().filter(|(i, hash)| now.get(*i) != Some(*hash));
            let bytes = (gone.count() * BLOCK_BYTES) as u64;
            if path.ends_with(CANARY) {
                lost.canary_bytes += bytes;
            } else {
                lost.node_bytes += bytes;
            }
        }
        lost
    }
}

fn blocks(path: &Path) -> io::Result<Vec<u64>> {
    let mut file = File::open(path)?;
    let (mut hashes, mut block) = (Vec::new(), vec![0; BLOCK_BYTES]);
    loop {
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match file.read(&mut block[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            return Ok(hashes);
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(&block[..filled]);
        hashes.push(hasher.finish());
    }
}
