//! What happened in a run, in order: every connection, every segment of bytes that is sent and
//! received, every change to a disk, every question and its answer, every fault.
//!
//! Two runs of a seed have the same trace. Its hash is always kept, and its lines if they are
//! asked for.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use steadfast_raft::disk::{Disk, DiskFile};
use steadfast_raft::net::{Address, Listener, Net, Nonce, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::locked;

/// The trace of one run. Clones share it.
#[derive(Clone)]
pub(crate) struct Trace(Arc<Mutex<Inner>>);

struct Inner {
    origin: Instant,
    hash: Xxh3Default,
    events: u64,
    line: String,
    lines: Option<Vec<String>>,
}

/// What a trace comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traced {
    pub(crate) events: u64,
    pub(crate) hash: u64,
    /// The events, if they were to be kept.
    pub(crate) lines: Option<Vec<String>>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

impl Trace {
    /// Returns an empty trace that begins now, and `keeps` its lines.
    pub(crate) fn new(keeps: bool) -> Self {
        let inner = Inner {
            origin: Instant::now(),
            hash: Xxh3Default::new(),
            events: 0,
            line: String::new(),
            lines: keeps.then(Vec::new),
        };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Adds what happened now.
    pub(crate) fn add(&self, event: fmt::Arguments<'_>) {
        let inner = &mut *locked(&self.0);
        let elapsed_us = inner.origin.elapsed().as_micros();
        inner.line.clear();
        let written = fmt::write(&mut inner.line, format_args!("{elapsed_us:>10} {event}\n"));
        written.expect("events can be shown");
        inner.events += 1;
        inner.hash.update(inner.line.as_bytes());
        if let Some(lines) = &mut inner.lines {
            lines.push(inner.line.clone());
        }
    }

    /// Ends the trace.
    pub(crate) fn finish(&self) -> Traced {
        let mut inner = locked(&self.0);
        Traced { events: inner.events, hash: inner.hash.digest(), lines: inner.lines.take() }
    }
}

/// A seam of one machine that is traced.
#[derive(Clone, Debug)]
pub(crate) struct Seen<T> {
    pub(crate) inner: T,
    pub(crate) machine: usize,
    pub(crate) trace: Trace,
}

impl<T> Seen<T> {
    fn with<U>(&self, inner: U) -> Seen<U> {
        Seen { inner, machine: self.machine, trace: self.trace.clone() }
    }

    /// Adds what happened to the seam, and whether it succeeded.
    fn add<R>(&self, event: fmt::Arguments<'_>, result: &io::Result<R>) {
        let failure = result.as_ref().err().map(io::Error::kind);
        match failure {
            None => self.trace.add(format_args!("m{} {event}", self.machine + 1)),
            Some(why) => self.trace.add(format_args!("m{} {event}: {why:?}", self.machine + 1)),
        }
    }
}

/// An open file that is traced. Of what is written only the length is: the log's secrets are the
/// system's, on purpose, and its checksums depend on them.
#[derive(Debug)]
struct SeenFile {
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl<D: Disk> Seen<D> {
    fn file(
        &self,
        what: &str,
        path: &Path,
        file: io::Result<Box<dyn DiskFile>>,
    ) -> io::Result<Box<dyn DiskFile>> {
        self.add(format_args!("{what} {}", path.display()), &file);
        let path = path.to_owned();
        Ok(Box::new(self.with(SeenFile { path, file: file? })))
    }

    fn path(&self, what: &str, path: &Path, done: io::Result<()>) -> io::Result<()> {
        self.add(format_args!("{what} {}", path.display()), &done);
        done
    }
}

impl<D: Disk> Disk for Seen<D> {
    fn simulated_sync(&self) -> Option<Duration> {
        self.inner.simulated_sync()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file("create", path, self.inner.create(path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file("open", path, self.inner.open(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file("lock", path, self.inner.lock(path))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(directory)
    }

    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        self.path("create", directory, self.inner.create_dir_all(directory))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let done = self.inner.rename(from, to);
        self.add(format_args!("rename {} to {}", from.display(), to.display()), &done);
        done
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.path("remove", path, self.inner.remove_file(path))
    }

    fn remove_dir_all(&self, directory: &Path) -> io::Result<()> {
        self.path("remove", directory, self.inner.remove_dir_all(directory))
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.path("sync", directory, self.inner.sync_dir(directory))
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        self.inner.free_bytes(directory)
    }

    fn sector_bytes(&self, directory: &Path) -> io::Result<usize> {
        self.inner.sector_bytes(directory)
    }
}

impl DiskFile for Seen<SeenFile> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let done = self.inner.file.write_at(bytes, offset);
        let (path, count) = (self.inner.path.display(), bytes.len());
        self.add(format_args!("write {path} {count} at {offset}"), &done);
        done
    }

    fn sync_data(&self) -> io::Result<()> {
        let done = self.inner.file.sync_data();
        self.add(format_args!("sync {}", self.inner.path.display()), &done);
        done
    }

    fn sync_all(&self) -> io::Result<()> {
        let done = self.inner.file.sync_all();
        self.add(format_args!("sync all {}", self.inner.path.display()), &done);
        done
    }

    fn len_bytes(&self) -> io::Result<u64> {
        self.inner.file.len_bytes()
    }
}

/// One end of a connection that is traced.
struct SeenEnd<T> {
    end: T,
    peer: String,
}

impl<N: Net> Seen<N> {
    fn stream(&self, stream: Stream, peer: &str) -> Stream {
        stream_of(&self.with(()), stream, peer)
    }
}

fn stream_of(seen: &Seen<()>, stream: Stream, peer: &str) -> Stream {
    let peer = || peer.to_owned();
    Stream {
        reader: Box::new(seen.with(SeenEnd { end: stream.reader, peer: peer() })),
        writer: Box::new(seen.with(SeenEnd { end: stream.writer, peer: peer() })),
    }
}

impl<N: Net> Net for Seen<N> {
    fn nonce(&self) -> io::Result<Nonce> {
        self.inner.nonce()
    }

    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Stream>> {
        async move {
            let stream = self.inner.connect(address).await;
            self.add(format_args!("connect to {address}"), &stream);
            Ok(self.stream(stream?, &address.0))
        }
        .boxed()
    }

    fn listen<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        async move {
            let listener = self.inner.listen(address).await;
            self.add(format_args!("listen at {address}"), &listener);
            let listener: Box<dyn Listener> = Box::new(self.with(listener?));
            Ok(listener)
        }
        .boxed()
    }
}

impl Listener for Seen<Box<dyn Listener>> {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Stream, String)>> {
        async {
            let (stream, peer) = self.inner.accept().await?;
            self.add(format_args!("accept {peer}"), &Ok(()));
            Ok((stream_of(&self.with(()), stream, &peer), peer))
        }
        .boxed()
    }

    fn address(&self) -> Address {
        self.inner.address()
    }
}

impl AsyncRead for Seen<SeenEnd<Box<dyn AsyncRead + Send + Unpin>>> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = ready!(Pin::new(&mut self.inner.end).poll_read(cx, buffer));
        let bytes = &buffer.filled()[before..];
        let (peer, count, hash) = (&self.inner.peer, bytes.len(), xxh3_64(bytes));
        self.add(format_args!("receive from {peer} {count} {hash:016x}"), &done);
        Poll::Ready(done)
    }
}

impl AsyncWrite for Seen<SeenEnd<Box<dyn AsyncWrite + Send + Unpin>>> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = ready!(Pin::new(&mut self.inner.end).poll_write(cx, bytes));
        let sent = &bytes[..done.as_ref().map_or(0, |&count| count)];
        let (peer, count, hash) = (&self.inner.peer, sent.len(), xxh3_64(sent));
        self.add(format_args!("send to {peer} {count} {hash:016x}"), &done);
        Poll::Ready(done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner.end).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner.end).poll_shutdown(cx)
    }
}
