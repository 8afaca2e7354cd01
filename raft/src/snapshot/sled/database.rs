//! The only place that calls sled.

use std::fmt;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::limits::SLED_CACHE_BYTES;
use crate::snapshot::ReadFailure;

/// A sled database, with sled's panics turned into errors.
pub(super) struct Database {
    path: PathBuf,
    /// `None` once closed.
    db: Option<sled::Db>,
}

impl Database {
    /// Creates a database in an empty directory.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Self::start(path, &config(path).create_new(true)).map_err(io_error)
    }

    /// Opens a database that is a copy: sled need not take care that it survives.
    pub(super) fn open_copy(path: &Path) -> Result<Self, ReadFailure> {
        Self::start(path, &config(path).temporary(true))
    }

    fn start(path: &Path, config: &sled::Config) -> Result<Self, ReadFailure> {
        let db = guarded(|| config.open())?;
        Ok(Self { path: path.to_owned(), db: Some(db) })
    }

    pub(super) fn insert(&self, key: &[u8], value: Vec<u8>) -> io::Result<()> {
        guarded(|| self.db().insert(key, value)).map_err(io_error)?;
        Ok(())
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadFailure> {
        let value = guarded(|| self.db().get(key))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    /// Hands everything to the operating system, and returns once sled is done with the files.
    /// What they hold is not durable yet.
    pub(super) fn close(mut self) -> io::Result<()> {
        guarded(|| self.db().flush()).map_err(io_error)?;
        self.drop_db().map_err(io_error)?;
        // A thread of sled's that still works on the files holds on to its locked descriptor.
        File::open(self.path.join("db"))?.lock()
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("only close and drop take it, and nothing is called after")
    }

    /// Drops sled's handle, which syncs, and panics where it cannot.
    fn drop_db(&mut self) -> Result<(), ReadFailure> {
        let db = self.db.take();
        guarded(|| {
            drop(db);
            Ok(())
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Err(failure) = self.drop_db() {
            let path = self.path.display();
            tracing::warn!(%path, ?failure, "a database that nobody needs did not close");
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Returns how all databases are opened: with a small cache, since each chunk is touched once, and
/// without the thread that flushes now and then.
fn config(path: &Path) -> sled::Config {
    sled::Config::new()
        .path(path)
        .cache_capacity(SLED_CACHE_BYTES)
        .flush_every_ms(None)
        .mode(sled::Mode::HighThroughput)
}

/// Calls sled, which panics on files and I/O errors that it does not expect.
///
/// A node must survive that: a snapshot that cannot be written or read is an error like others.
/// What sled leaves behind after a panic is not used again: writers and readers give up on their
/// first error.
pub(super) fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, ReadFailure> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failure(error)),
        Err(_panic) => Err(ReadFailure::Io(io::Error::other("sled panicked; see standard error"))),
    }
}

/// Says of each of sled's errors whether it tells of damage. Only one does.
pub(super) fn failure(error: sled::Error) -> ReadFailure {
    match error {
        sled::Error::Corruption { .. } => ReadFailure::Damaged(error.to_string()),
        sled::Error::Io(error) => ReadFailure::Io(error),
        sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_) => ReadFailure::Io(io::Error::other(error)),
    }
}

/// Returns the failure of something that reads nothing back.
fn io_error(failure: ReadFailure) -> io::Error {
    match failure {
        ReadFailure::Damaged(what) => io::Error::other(what),
        ReadFailure::Io(error) => error,
    }
}
