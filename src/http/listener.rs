//! Connections of clients: bounded in number, and none of them idle, slow or silent for long.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use steadfast_raft::node::Node;
use steadfast_raft::runtime::{Task, spawn};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::App;
use super::patience::Patient;

/// Most connections of clients. Those beyond wait in the kernel's queue.
const CONNECTIONS_MAX: u32 = 4_096;
/// How long the head of a request may take to come, idle time before it included. The client of
/// this workspace closes idle connections earlier, so that it never writes to one that closes.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a write of an answer may stand still.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a connection's buffer, which a request's head must fit in.
const BUFFER_BYTES_MAX: usize = 128 << 10;
/// How long to wait when the system has no more files to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The running HTTP server.
#[derive(Debug)]
pub(crate) struct Server {
    accepting: Task<()>,
    connections: Arc<Semaphore>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Starts to serve `node` at `listener`.
    pub(crate) fn start(listener: TcpListener, node: Node) -> Self {
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
        let (stop, stopped) = watch::channel(false);
        let accepting = accept(listener, App::new(node), Arc::clone(&connections), stopped);
        Self { accepting: spawn(accepting), connections, stop }
    }

    /// Accepts no more, lets the requests in progress end, and returns when all connections are
    /// closed, or at the deadline.
    pub(crate) async fn shutdown(self, deadline: Instant) {
        self.stop.send_replace(true);
        let drained = async {
            // It ends because it is told to; a panic in it was printed.
            drop(self.accepting.await);
            drop(self.connections.acquire_many(CONNECTIONS_MAX).await);
        };
        if timeout_at(deadline, drained).await.is_err() {
            tracing::warn!("some requests were still in progress at the end");
        }
    }
}

/// Accepts connections until told to stop.
async fn accept(
    listener: TcpListener,
    app: App,
    connections: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) {
    let next = async || {
        let permit = Arc::clone(&connections).acquire_owned().await;
        let permit = permit.expect("nothing closes this semaphore");
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return (stream, permit),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    loop {
        let (stream, permit) = tokio::select! {
            accepted = next() => accepted,
            () = told(&mut stopped) => return,
        };
        // The permit counts the task: whoever holds them all knows that all tasks have ended.
        drop(spawn(connection(stream, app.clone(), stopped.clone(), permit)));
    }
}

/// Waits until the server is told to stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // It fails if the server is gone, which tells the same.
    drop(stopped.wait_for(|stop| *stop).await);
}

/// Serves one connection until it closes.
async fn connection(
    stream: TcpStream,
    app: App,
    mut stopped: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection closed at once");
        return;
    }
    app.metrics.connections.inc();
    let io = TokioIo::new(Patient::new(stream, WRITE_TIMEOUT));
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.answer(request.map(Body::new)).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(io, service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = told(&mut stopped) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
    app.metrics.connections.dec();
    drop(permit);
}
