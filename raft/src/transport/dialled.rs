//! Connections that this node makes: it asks, the other end answers.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Inner;
use super::exchange::Exchange;
use super::frame::{Frame, FrameReader, GO_AWAY, GOODBYE, Kind};
use super::handshake::{self, Hello, Member, Presented, Purpose, Unread};
use super::link::{Link, Waiting};
use super::outgoing::Outgoing;
use super::peer::{Known, Newest};
use super::refusal::{Code, Refusal};
use super::shake;
use super::wire::Malformed;
use crate::limits;
use crate::net::{Address, Stream};
use crate::runtime::{self, watch};
use crate::words::{Boot, GroupId, NodeId};

/// How long an end that closes a connection tries to say why.
pub(super) const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a connection ended, or was not made.
#[derive(Debug)]
pub(super) enum End {
    /// The stream broke, or never came to be.
    Lost(io::Error),
    /// The other end said why it closes. `Some`: it is the member that was meant.
    Told(Refusal, Option<Member>),
    /// This end closes.
    Closing(Refusal),
    /// The acceptor is about to stop, and everything that was asked has been answered.
    Answered,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(error) => error.fmt(f),
            Self::Told(refusal, _) => write!(f, "the other end says: {refusal}"),
            Self::Closing(refusal) => write!(f, "refused here: {refusal}"),
            Self::Answered => f.write_str("the acceptor stops, and all was answered"),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl From<Malformed> for End {
    fn from(malformed: Malformed) -> Self {
        Self::Closing(malformed.into())
    }
}

impl From<Unread> for End {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Lost(error) => Self::Lost(error),
            Unread::Refused(refusal) => Self::Closing(refusal),
        }
    }
}

/// A stream whose other end is known.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) member: Option<Member>,
    /// The process at the other end.
    pub(super) boot: Boot,
}

/// Keeps one connection to a peer, for ever.
pub(super) async fn keep(inner: Arc<Inner>, known: Arc<Known>) {
    let mut try_number = 0;
    loop {
        let address = known.address(try_number);
        let end = match connect(&inner, &known, Purpose::Requests, &address).await {
            Ok(connection) => {
                tracing::info!(peer = %known.node, %address, "connected");
                known.reached();
                try_number = 0;
                let opened = known.link.open();
                known.set_connected(Some(Instant::now()));
                let end = serve(&inner, &known, &known.link, connection).await;
                known.set_connected(None);
                drop(opened);
                if let End::Lost(_) = &end {
                    (inner.callbacks.lost)(known.node);
                }
                end
            }
            Err(end) => {
                known.missed_at(&address, &end);
                end
            }
        };
        report(&inner, known.node, &address, &end);
        let pause = pause(try_number);
        try_number = try_number.saturating_add(1);
        drop(timeout(pause, known.redial.notified()).await);
    }
}

/// Returns how long to wait before the next try: doubling, within bounds, half of it by chance.
fn pause(try_number: u32) -> Duration {
    let longest = limits::REDIAL_MIN.saturating_mul(1 << try_number.min(16));
    longest.min(limits::REDIAL_MAX).mul_f64(runtime::random().random_range(0.5..1.0))
}

/// Traces the end of a connection with `address`, and stops the node where a peer says that it must.
pub(super) fn report(inner: &Inner, peer: NodeId, address: &Address, end: &End) {
    match end {
        End::Lost(error) => tracing::debug!(%peer, %address, %error, "no connection"),
        End::Answered => tracing::info!(%peer, %address, %end, "connection closed"),
        End::Told(refusal, Some(_)) if refusal.stops() => inner.stop(refusal),
        // While a cluster is founded its nodes do not all know each other yet.
        End::Told(Refusal { code: Code::Stranger | Code::WrongCluster, .. }, _) => {
            tracing::info!(%peer, %address, %end, "not accepted yet");
        }
        End::Told(..) | End::Closing(_) => {
            tracing::warn!(%peer, %address, %end, "connection refused");
        }
    }
}

/// Connects and shakes hands.
pub(super) async fn connect(
    inner: &Inner,
    known: &Known,
    purpose: Purpose,
    address: &Address,
) -> Result<Connection, End> {
    let presented = (inner.callbacks.present)();
    let Some(own) = presented.member else {
        let refusal = Refusal::new(Code::WrongCluster, "this node belongs to no cluster yet");
        return Err(End::Closing(refusal));
    };
    let own_address = presented.peer.clone();
    let hello = Hello { purpose, to: Some(known.node), presented };
    let shaking = shake(inner, address, hello, |theirs| {
        handshake::check_callee(own, known.node, theirs)?;
        handshake::check_address(own.node, &own_address, &theirs.presented)?;
        (inner.callbacks.accept)(&theirs.presented)
    });
    let (connection, theirs) = shaking.await?;
    known.note(&theirs);
    Ok(connection)
}

/// Connects to `address`, presents this node, and judges the answer.
pub(super) async fn shake(
    inner: &Inner,
    address: &Address,
    hello: Hello,
    judge: impl FnOnce(&Hello) -> Result<(), Refusal>,
) -> Result<(Connection, Presented), End> {
    let steps = async {
        let mut stream = inner.net.connect(address).await?;
        let theirs = match shake::dial(&*inner.net, &inner.token, &mut stream, hello).await {
            Err(End::Closing(refusal)) if refusal.code == Code::Token => {
                return Err(goodbye(&mut stream, refusal).await);
            }
            theirs => theirs?,
        };
        if let Err(refusal) = judge(&theirs) {
            return Err(goodbye(&mut stream, refusal).await);
        }
        let presented = theirs.presented;
        let (member, boot) = (presented.member, presented.start().boot);
        Ok((Connection { stream, member, boot }, presented))
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no handshake with {address}"));
    timeout(limits::HANDSHAKE_TIMEOUT, steps).await.unwrap_or_else(|_late| Err(late().into()))
}

/// Tells the other end why this one closes, if it listens.
async fn goodbye(stream: &mut Stream, refusal: Refusal) -> End {
    let mut reader = FrameReader::new(&mut stream.reader);
    say_goodbye(Outgoing::default(), &mut stream.writer, &mut reader, &refusal).await;
    End::Closing(refusal)
}

/// Sends what is left to send, and then why the connection ends.
pub(super) async fn say_goodbye<W, R>(
    mut outgoing: Outgoing,
    writer: &mut W,
    reader: &mut FrameReader<R>,
    refusal: &Refusal,
) where
    W: AsyncWrite + Unpin,
    R: AsyncRead + Unpin,
{
    let body = refusal.encode();
    outgoing.push(Frame { kind: GOODBYE, group: GroupId::default(), correlation: 0, body });
    let steps = async {
        outgoing.flush(writer).await?;
        hang_up(writer, reader).await
    };
    // The connection ends either way.
    drop(timeout(GOODBYE_TIMEOUT, steps).await);
}

/// Says that nothing follows, and reads until the other end agrees. A socket that closes with
/// unread bytes takes back what it has sent, and with it the reason.
pub(super) async fn hang_up<W, R>(writer: &mut W, reader: &mut FrameReader<R>) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
    R: AsyncRead + Unpin,
{
    writer.shutdown().await?;
    loop {
        reader.fill().await?;
        reader.discard();
    }
}

/// Sends what is asked and hands out what is answered, until the connection ends.
pub(super) async fn serve(
    inner: &Inner,
    known: &Known,
    link: &Link,
    connection: Connection,
) -> End {
    let Connection { stream, member, boot } = connection;
    let mut asking = Asking {
        inner,
        known,
        link,
        member,
        boot,
        newest: known.newest.subscribe(),
        reader: FrameReader::new(stream.reader),
        outgoing: Outgoing::default(),
        heard: Instant::now(),
        exchange: None,
        sending: Sending::Open,
    };
    let mut writer = stream.writer;
    let Err(end) = asking.run(&mut writer).await;
    if let End::Closing(refusal) = &end {
        say_goodbye(asking.outgoing, &mut writer, &mut asking.reader, refusal).await;
    }
    end
}

/// A connection on which this end asks.
struct Asking<'a> {
    inner: &'a Inner,
    known: &'a Known,
    link: &'a Link,
    member: Option<Member>,
    boot: Boot,
    newest: watch::Receiver<Newest>,
    reader: FrameReader<Box<dyn AsyncRead + Send + Unpin>>,
    outgoing: Outgoing,
    heard: Instant,
    /// The answer to the last exchange, until it comes.
    exchange: Option<Waiting>,
    sending: Sending,
}

/// How far an asking end is with its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sending {
    /// More may come.
    Open,
    /// The acceptor wants no more: what is queued is the last.
    Last,
    /// All are sent, and the acceptor knows; answers are still to come.
    Done,
}

/// There is no way to end but for a reason.
type Never = std::convert::Infallible;

impl Asking<'_> {
    async fn run<W>(&mut self, writer: &mut W) -> Result<Never, End>
    where
        W: AsyncWrite + Unpin,
    {
        let mut tick = interval(limits::EXCHANGE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.outgoing.is_empty() {
                self.link.drain(&mut self.outgoing);
            }
            let idle = self.outgoing.is_empty();
            if idle && self.sending == Sending::Last {
                writer.shutdown().await?;
                self.sending = Sending::Done;
            }
            tokio::select! {
                biased;
                _changed = self.newest.changed() => self.check_newest()?,
                _now = tick.tick() => self.tick()?,
                written = self.outgoing.flush(writer), if !idle => written?,
                read = self.reader.fill() => self.read(read)?,
                () = self.link.queued(), if idle => {}
                answer = answered(&mut self.exchange) => self.take_exchange(answer)?,
                () = self.known.tell.notified(), if self.exchange.is_none() => self.ask_exchange(),
            }
        }
    }

    fn read(&mut self, read: io::Result<()>) -> Result<(), End> {
        if self.sending == Sending::Done && is_end(&read) && self.link.is_answered() {
            return Err(End::Answered);
        }
        read?;
        self.heard = Instant::now();
        self.known.hear();
        while let Some(frame) = self.reader.next()? {
            match frame.kind {
                GOODBYE => return Err(End::Told(Refusal::decode(frame.body)?, self.member)),
                GO_AWAY => {
                    self.link.close();
                    self.sending = self.sending.max(Sending::Last);
                }
                _answer => self.link.answer(frame)?,
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), End> {
        if limits::PEER_SILENCE_MAX <= self.heard.elapsed() {
            return Err(silent(self.known.node));
        }
        if self.exchange.is_none() {
            self.ask_exchange();
        }
        Ok(())
    }

    fn ask_exchange(&mut self) {
        let body = (self.inner.callbacks.make_exchange)().encode();
        let asked = self.link.request(Kind::Exchange, GroupId::default(), body);
        self.exchange = asked.ok();
    }

    fn take_exchange(&mut self, answer: Option<bytes::Bytes>) -> Result<(), End> {
        self.exchange = None;
        let Some(body) = answer else { return Ok(()) };
        let exchange = Exchange::decode(body)?;
        let taken = (self.inner.callbacks.take_exchange)(self.known.node, &exchange);
        taken.map_err(End::Closing)
    }

    fn check_newest(&mut self) -> Result<(), End> {
        check_newest(self.boot, *self.newest.borrow_and_update())
    }
}

/// Whether the other end has said all it had to say.
pub(super) fn is_end(read: &io::Result<()>) -> bool {
    read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

/// Waits for the answer to an exchange, for ever if there is none under way.
async fn answered(exchange: &mut Option<Waiting>) -> Option<bytes::Bytes> {
    match exchange {
        Some(waiting) => waiting.await.ok(),
        None => std::future::pending().await,
    }
}

/// Refuses to go on with a process whose successor was seen, and with a node that has left.
pub(super) fn check_newest(boot: Boot, newest: Newest) -> Result<(), End> {
    if newest.gone {
        let text = "this node is no longer in the cluster's list";
        return Err(End::Closing(Refusal::new(Code::Stranger, text)));
    }
    if boot < newest.boot {
        let later = newest.boot;
        let text = format!("boot {later} of this directory has started; this is boot {boot}");
        return Err(End::Closing(Refusal::new(Code::OldBoot, text)));
    }
    Ok(())
}

/// Gives up on a peer that says nothing.
pub(super) fn silent(node: NodeId) -> End {
    let text = format!("{node} was silent for {} s", limits::PEER_SILENCE_MAX.as_secs());
    End::Closing(Refusal::new(Code::Silent, text))
}
