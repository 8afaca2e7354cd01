//! Where the work of snapshots runs.

use std::io;

/// Which thread may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thread {
    /// One beside the runtime. Sled's snapshots need it.
    Blocking,
    /// The runtime's own: in simulations, which must repeat.
    Runtime,
}

impl Thread {
    /// Does `work` there.
    pub async fn run<T, E, F>(self, work: F) -> Result<T, E>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<io::Error> + Send + 'static,
    {
        match self {
            Self::Runtime => work(),
            Self::Blocking => match tokio::task::spawn_blocking(work).await {
                Ok(done) => done,
                Err(panicked) => Err(io::Error::other(panicked).into()),
            },
        }
    }
}
