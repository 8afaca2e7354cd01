//! The names of simulated files: which are durable, and which a power cut may take back.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

use super::Tearing;
use super::content::Content;

/// A file, shared by its names (old, new, durable) and its handles.
pub(super) type File = Arc<Mutex<Content>>;
/// A directory, shared likewise.
pub(super) type Folder = Arc<Mutex<Directory>>;

/// Locks a part of the tree. All parts are used under the lock of the disk, so nobody waits here;
/// a test that panicked meanwhile leaves a tree that the other handles can still be dropped into.
pub(super) fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Node {
    File(File),
    Directory(Folder),
}

/// A change to the names of one directory.
#[derive(Debug)]
pub(super) enum Change {
    Put(OsString, Node),
    Remove(OsString),
    Rename(OsString, OsString),
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<OsString, Node>) {
        match self {
            Self::Put(name, node) => {
                names.insert(name.clone(), node.clone());
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename(from, to) => {
                let node = names.remove(from).expect("the change that made the name came before");
                names.insert(to.clone(), node);
            }
        }
    }

    fn names(&self) -> Vec<&OsStr> {
        match self {
            Self::Put(name, _) | Self::Remove(name) => vec![name],
            Self::Rename(from, to) => vec![from, to],
        }
    }
}

/// The names in one directory.
#[derive(Debug, Default)]
pub(super) struct Directory {
    live: BTreeMap<OsString, Node>,
    durable: BTreeMap<OsString, Node>,
    /// What leads from `durable` to `live`, oldest first.
    unsynced: Vec<Change>,
}

impl Directory {
    pub(super) fn get(&self, name: &OsStr) -> Option<Node> {
        self.live.get(name).cloned()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &OsString> {
        self.live.keys()
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        self.unsynced.clear();
        self.durable = self.live.clone();
    }

    /// Removes all names here and below.
    pub(super) fn clear(&mut self) {
        for (name, node) in self.live.clone() {
            if let Node::Directory(folder) = node {
                lock(&folder).clear();
            }
            self.change(Change::Remove(name));
        }
    }

    /// Returns the bytes of all files here and below.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |node: &Node| match node {
            Node::File(file) => lock(file).len_bytes(),
            Node::Directory(folder) => lock(folder).bytes(),
        };
        self.live.values().map(bytes).sum()
    }

    /// Takes some of the unsynced changes back, here and below, and some of the unsynced bytes of
    /// the files that are left.
    pub(super) fn power_cut(&mut self, rng: &mut Xoshiro256PlusPlus, tearing: Tearing, unit: u64) {
        let odds = [0.0, 0.5, 0.9, 1.0][rng.random_range(0..4)];
        self.settle(|| rng.random_bool(odds));
        for node in self.live.values() {
            match node {
                Node::File(file) => lock(file).power_cut(rng, tearing, unit),
                Node::Directory(folder) => lock(folder).power_cut(rng, tearing, unit),
            }
        }
    }

    /// Keeps the changes that `keep` chooses, but none that builds on one that is lost: two
    /// changes that share a name reach the disk in order.
    fn settle(&mut self, mut keep: impl FnMut() -> bool) {
        let changes = std::mem::take(&mut self.unsynced);
        let mut lost: BTreeSet<&OsStr> = BTreeSet::new();
        for change in &changes {
            let names = change.names();
            if names.iter().any(|name| lost.contains(name)) || !keep() {
                lost.extend(names);
            } else {
                change.apply(&mut self.durable);
            }
        }
        self.live = self.durable.clone();
    }
}

/// Finds the directory at `path`.
pub(super) fn folder(root: &Folder, path: &Path) -> io::Result<Folder> {
    let mut folder = Arc::clone(root);
    for name in names(path) {
        let node = lock(&folder).get(name).ok_or(io::ErrorKind::NotFound)?;
        folder = match node {
            Node::Directory(folder) => folder,
            Node::File(_) => return Err(io::ErrorKind::NotADirectory.into()),
        };
    }
    Ok(folder)
}

/// Finds the directory that holds `path`, and the name of `path` in it.
pub(super) fn parent<'a>(root: &Folder, path: &'a Path) -> io::Result<(Folder, &'a OsStr)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((folder(root, path.parent().unwrap_or(Path::new("")))?, name))
}

/// Finds the file at `path`.
pub(super) fn file(root: &Folder, path: &Path) -> io::Result<File> {
    let (folder, name) = parent(root, path)?;
    let node = lock(&folder).get(name).ok_or(io::ErrorKind::NotFound)?;
    match node {
        Node::File(file) => Ok(file),
        Node::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
    }
}

/// Creates the directory at `path` and those above it.
pub(super) fn create_folders(root: &Folder, path: &Path) -> io::Result<()> {
    let mut folder = Arc::clone(root);
    for name in names(path) {
        let node = lock(&folder).get(name);
        folder = match node {
            Some(Node::Directory(folder)) => folder,
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => {
                let new = Folder::default();
                let node = Node::Directory(Arc::clone(&new));
                lock(&folder).change(Change::Put(name.to_owned(), node));
                new
            }
        };
    }
    Ok(())
}

/// Returns the names on the way to `path`. There is one root, and no working directory.
fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::RootDir | Component::CurDir => None,
        Component::ParentDir | Component::Prefix(_) => {
            panic!("the simulated disk has no links, so no {component:?}")
        }
    })
}
