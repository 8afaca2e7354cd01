//! Connections of clients: bounded in number, and none of them idle, slow or silent for long.
//!
//! HTTP/1.1 cannot say that an idle connection is about to close: a request that is on its way when
//! it does is lost, and its client cannot know what became of it. So a server that stops closes no
//! idle connection for a while. It takes no new ones, and each gets one more answer, which says
//! that it is the last:
//!
//! ```text
//!   Serving --> Refusing: take no more connections
//!                  |
//!                  +----> Draining: answer with `Connection: close`
//!                            |
//!                            +----> Closing, at the end of the window: close what is still idle
//! ```
//!
//! In this order: a client that was told to close may connect anew at once, and must be refused. A
//! connection that is made in the very moment in which the listener closes is reset.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
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
pub(super) const CONNECTIONS_MAX: u32 = 4_096;
/// How long the head of a request may take to come, idle time before it included. The client of
/// this workspace closes idle connections earlier, so that it never writes to one that closes.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a write of an answer may stand still.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a connection's buffer, which a request's head must fit in.
const BUFFER_BYTES_MAX: usize = 128 << 10;
/// How long to wait when the system has no more files to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The running HTTP server.
#[derive(Debug)]
pub(crate) struct Server {
    accepting: Task<()>,
    connections: Arc<Semaphore>,
    phase: watch::Sender<Phase>,
}

/// How far a server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It takes connections and requests.
    #[default]
    Serving,
    /// It takes no more connections.
    Refusing,
    /// Each answer is the last of its connection.
    Draining,
    /// It takes no more requests.
    Closing,
}

/// Knows when the server wants to be done with what it has.
#[derive(Clone, Debug)]
pub(super) struct Draining(watch::Receiver<Phase>);

impl Draining {
    /// Waits until then.
    pub(super) async fn begun(&mut self) {
        reached(&mut self.0, Phase::Draining).await;
    }
}

impl Server {
    /// Starts to serve `node` at `listener`.
    pub(crate) fn start(listener: TcpListener, node: Node) -> Self {
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
        let phase = watch::Sender::default();
        let app = App::new(node, Draining(phase.subscribe()));
        let accepting = accept(listener, app, Arc::clone(&connections), phase.subscribe());
        Self { accepting: spawn(accepting), connections, phase }
    }

    /// Accepts no more, answers what is in progress and, until `idle_until`, one more request of each
    /// connection. Returns when all connections are closed, or at the deadline.
    pub(crate) async fn shutdown(self, idle_until: Instant, deadline: Instant) {
        self.phase.send_replace(Phase::Refusing);
        // It ends because it is told to; a panic in it was printed.
        drop(self.accepting.await);
        self.phase.send_replace(Phase::Draining);
        let drained = self.connections.acquire_many(CONNECTIONS_MAX);
        tokio::pin!(drained);
        if timeout_at(idle_until, &mut drained).await.is_ok() {
            return;
        }
        self.phase.send_replace(Phase::Closing);
        if timeout_at(deadline, drained).await.is_err() {
            tracing::warn!("some requests were still in progress at the end");
        }
    }
}

/// Accepts connections until the server refuses them.
async fn accept(
    listener: TcpListener,
    app: App,
    connections: Arc<Semaphore>,
    mut phase: watch::Receiver<Phase>,
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
            () = reached(&mut phase, Phase::Refusing) => break,
        };
        // The permit counts the task: whoever holds them all knows that all tasks have ended.
        drop(spawn(connection(stream, app.clone(), phase.clone(), permit)));
    }
    for stream in accepted_by_the_kernel(listener) {
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else { return };
        drop(spawn(connection(stream, app.clone(), phase.clone(), permit)));
    }
}

/// Closes the listener, and returns the connections that were made and not accepted yet: the
/// kernel would reset them.
fn accepted_by_the_kernel(listener: TcpListener) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    let Ok(listener) = listener.into_std() else { return streams };
    // It does not block: there are none left when it fails.
    while let Ok((stream, _)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok() {
            streams.extend(TcpStream::from_std(stream));
        }
    }
    streams
}

/// Waits until the server is that far.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    // It fails if the server is gone, which tells the same.
    drop(phase.wait_for(|phase| wanted <= *phase).await);
}

/// Serves one connection until it closes.
async fn connection(
    stream: TcpStream,
    app: App,
    mut phase: watch::Receiver<Phase>,
    permit: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection closed at once");
        return;
    }
    app.metrics.connections.inc();
    let io = TokioIo::new(Patient::new(stream, WRITE_TIMEOUT));
    let (app, answered_in) = (&app, &phase.clone());
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
        let mut response = app.answer(request.map(Body::new)).await;
        if Phase::Draining <= *answered_in.borrow() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, Infallible>(response)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(io, service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = reached(&mut phase, Phase::Closing) => {
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
