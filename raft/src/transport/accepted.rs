//! Connections that others make: they ask, this node answers.

use std::io;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::unconstrained;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::dialled::{
    End, GOODBYE_TIMEOUT, check_newest, hang_up, is_end, report, say_goodbye, silent,
};
use super::exchange::Exchange;
use super::frame::{
    ANSWER, BODY_BYTES_MAX, Frame, FrameReader, GO_AWAY, GOODBYE, Kind, REFUSED, Reason, Refused,
};
use super::handshake::{self, Hello, Member, Message, Purpose, Refusing};
use super::outgoing::Outgoing;
use super::peer::{Known, Newest};
use super::refusal::{Code, Refusal};
use super::shake::Caller;
use super::{Incoming, Inner};
use crate::limits;
use crate::net::{Address, Listener, Stream};
use crate::runtime::watch;
use crate::words::{Boot, GroupId, NodeId};

/// Accepts connections, until the transport closes.
pub(super) async fn listen(inner: Arc<Inner>, mut listener: Box<dyn Listener>) {
    let handshakes = Arc::new(Semaphore::new(limits::HANDSHAKES_INFLIGHT_MAX));
    let mut closing = inner.closing.subscribe();
    let mut number = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = told(&mut closing) => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "peers cannot be accepted");
                sleep(limits::REDIAL_MIN).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
            tracing::warn!(from, "too many unfinished handshakes");
            continue;
        };
        number += 1;
        let answering = answer(Arc::clone(&inner), stream, from, (permit, number));
        inner.keep(answering);
    }
}

/// Waits until the transport closes.
async fn told(closing: &mut watch::Receiver<bool>) {
    // It fails if the transport is gone, which tells the same.
    closing.wait_for(|closing| *closing).await.ok();
}

/// Shakes hands and answers, until the connection ends.
async fn answer(
    inner: Arc<Inner>,
    mut stream: Stream,
    from: String,
    (permit, number): (OwnedSemaphorePermit, u64),
) {
    let shaken = timeout(limits::HANDSHAKE_TIMEOUT, shake(&inner, &mut stream)).await;
    drop(permit);
    let hello = match shaken {
        Ok(Ok(hello)) => hello,
        Ok(Err(end)) => return tracing::warn!(from, %end, "handshake failed"),
        Err(_late) => return tracing::warn!(from, "handshake took too long"),
    };
    let member = hello.presented.member;
    let node = member.map_or(NodeId::default(), |member| member.node);
    let known = inner.known(node).filter(|_| hello.purpose != Purpose::Bootstrap);
    if let Some(known) = &known {
        known.note(&hello.presented);
        if hello.purpose == Purpose::Requests {
            known.newest.send_modify(|newest| newest.connection = number);
            known.redial.notify_one();
        }
    }
    let purpose = hello.purpose;
    let about = About { node, member, purpose, number, boot: hello.presented.start().boot };
    let end = serve(&inner, known.as_deref(), about, stream).await;
    if purpose == Purpose::Bootstrap {
        return tracing::debug!(from, %end, "bootstrap connection closed");
    }
    report(&inner, node, &Address(from), &end);
}

/// Has the caller present and prove itself, and answers it, or refuses it.
async fn shake(inner: &Inner, stream: &mut Stream) -> Result<Hello, End> {
    let mut caller = Caller::new(&inner.token, stream);
    let hello = match caller.greet(&*inner.net).await {
        Ok(hello) => hello,
        Err(End::Closing(refusal)) => {
            // A stranger, as far as anyone knows: it is told why, and nothing else.
            let refusing = Refusing { member: None, refusal: refusal.clone() };
            handshake::send(&mut stream.writer, &Message::Refusal(refusing)).await?;
            return Err(closed(stream, refusal).await);
        }
        Err(end) => return Err(end),
    };
    let own = (inner.callbacks.present)();
    match judge(inner, &own, &hello) {
        Ok(()) => {
            let to = hello.presented.member.map(|member| member.node);
            let answer = Hello { purpose: hello.purpose, to, presented: own };
            caller.answer(&Message::Hello(answer)).await?;
            Ok(hello)
        }
        Err(refusal) => {
            let refusing = Refusing { member: own.member, refusal: refusal.clone() };
            caller.answer(&Message::Refusal(refusing)).await?;
            Err(closed(caller.stream(), refusal).await)
        }
    }
}

/// Hangs up on a caller that was refused, once it has heard why.
async fn closed(stream: &mut Stream, refusal: Refusal) -> End {
    let mut reader = FrameReader::new(&mut stream.reader);
    drop(timeout(GOODBYE_TIMEOUT, hang_up(&mut stream.writer, &mut reader)).await);
    End::Closing(refusal)
}

fn judge(inner: &Inner, own: &handshake::Presented, hello: &Hello) -> Result<(), Refusal> {
    let node = hello.presented.member.map(|member| member.node);
    let known = node.is_some_and(|node| inner.known(node).is_some());
    handshake::check_caller(own, hello, known)?;
    match hello.purpose {
        Purpose::Bootstrap => Ok(()),
        Purpose::Requests | Purpose::Snapshot => (inner.callbacks.accept)(&hello.presented),
    }
}

/// Who is at the other end, and why.
struct About {
    node: NodeId,
    member: Option<Member>,
    purpose: Purpose,
    number: u64,
    boot: Boot,
}

async fn serve(inner: &Inner, known: Option<&Known>, about: About, stream: Stream) -> End {
    // A caller without a name is nobody's successor, so nothing ever changes for it.
    let nobody = watch::Sender::default();
    let newest = known.map_or_else(|| nobody.subscribe(), |known| known.newest.subscribe());
    let mut answering = Answering {
        inner,
        known,
        about,
        newest,
        reader: FrameReader::new(stream.reader),
        outgoing: Outgoing::default(),
        running: FuturesUnordered::new(),
        running_bytes: 0,
        heard: Instant::now(),
        closing: inner.closing.subscribe(),
        hearing: Hearing::Open,
    };
    let mut writer = stream.writer;
    let Err(end) = answering.run(&mut writer).await;
    if let End::Closing(refusal) = &end {
        say_goodbye(answering.outgoing, &mut writer, &mut answering.reader, refusal).await;
    }
    end
}

type Answer = Result<Bytes, Refused>;

/// A request that was carried out, or refused.
struct Done {
    group: GroupId,
    correlation: u64,
    /// Bytes of its body.
    bytes: usize,
    answer: Answer,
}

/// A connection on which this end answers.
struct Answering<'a> {
    inner: &'a Inner,
    known: Option<&'a Known>,
    about: About,
    newest: watch::Receiver<Newest>,
    reader: FrameReader<Box<dyn AsyncRead + Send + Unpin>>,
    outgoing: Outgoing,
    /// Requests whose answer is not ready yet.
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Bytes of their bodies.
    running_bytes: usize,
    heard: Instant,
    closing: watch::Receiver<bool>,
    hearing: Hearing,
}

/// How far an answering end is with the requests of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    /// More may come.
    Open,
    /// The other end was asked to send no more: what is on its way is the last.
    Last,
    /// All have come.
    Done,
}

impl Answering<'_> {
    async fn run<W>(&mut self, writer: &mut W) -> Result<std::convert::Infallible, End>
    where
        W: AsyncWrite + Unpin,
    {
        let mut tick = interval(limits::EXCHANGE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while self.has_room() && self.start_next().await? {}
            if self.hearing == Hearing::Done && self.running.is_empty() && self.outgoing.is_empty()
            {
                return Err(End::Answered);
            }
            let listens = self.has_room() && self.hearing != Hearing::Done;
            tokio::select! {
                biased;
                _changed = self.newest.changed() => self.check_newest()?,
                _now = tick.tick() => self.check_silence()?,
                () = told(&mut self.closing), if self.hearing == Hearing::Open => self.go_away(),
                written = self.outgoing.flush(writer), if !self.outgoing.is_empty() => written?,
                Some(done) = self.running.next() => self.finish(done),
                read = self.reader.fill(), if listens => self.hear(read)?,
            }
        }
    }

    /// Whether another request may be taken on. While not, the other end's queue fills instead.
    fn has_room(&self) -> bool {
        self.running.len() < limits::FRAMES_INFLIGHT_MAX
            && self.running_bytes < limits::SEND_QUEUE_BYTES_MAX
            && self.outgoing.bytes() < limits::SEND_QUEUE_BYTES_MAX
    }

    /// Asks the other end to ask no more.
    fn go_away(&mut self) {
        self.hearing = Hearing::Last;
        let (group, body) = (GroupId::default(), Bytes::new());
        self.outgoing.push(Frame { kind: GO_AWAY, group, correlation: 0, body });
    }

    fn hear(&mut self, read: io::Result<()>) -> Result<(), End> {
        if self.hearing == Hearing::Last && is_end(&read) && self.reader.is_empty() {
            self.hearing = Hearing::Done;
            return Ok(());
        }
        read?;
        self.heard = Instant::now();
        if let Some(known) = self.known {
            known.hear();
        }
        Ok(())
    }

    /// Starts the next request that has arrived whole; returns whether there was one.
    async fn start_next(&mut self) -> Result<bool, End> {
        let Some(frame) = self.reader.next()? else { return Ok(false) };
        let Frame { kind, group, correlation, body } = frame;
        if kind == GOODBYE {
            return Err(End::Told(Refusal::decode(body)?, self.about.member));
        }
        let kind = match self.kind(kind) {
            Ok(Kind::Exchange) => {
                let answer = self.exchange(body)?;
                self.push(group, correlation, Ok(answer));
                return Ok(true);
            }
            Ok(kind) => kind,
            Err(refused) => {
                self.push(group, correlation, Err(refused));
                return Ok(true);
            }
        };
        let bytes = body.len();
        let incoming = Incoming { from: self.about.node, kind, group, body };
        let mut handling = (self.inner.callbacks.handle)(incoming);
        // Polled once at once, so that what it enqueues is enqueued in the order of arrival. Without
        // tokio's budget: when a burst has used it up, channels that have room say that they have
        // none, and what then waits together goes on in any order.
        match futures_util::poll!(unconstrained(&mut handling)) {
            Poll::Ready(answer) => self.push(group, correlation, answer),
            Poll::Pending => {
                self.running_bytes += bytes;
                self.running.push(Box::pin(async move {
                    Done { group, correlation, bytes, answer: handling.await }
                }));
            }
        }
        Ok(true)
    }

    /// Returns the kind of a request, if it may come over this connection.
    fn kind(&self, tag: u8) -> Result<Kind, Refused> {
        let kind = Kind::from_tag(tag).ok_or_else(|| {
            Refused::new(Reason::UnknownKind, format!("requests of kind {tag} are unknown here"))
        })?;
        let bootstrap = matches!(kind, Kind::Claim | Kind::Release | Kind::Found);
        if bootstrap != (self.about.purpose == Purpose::Bootstrap) {
            let text = format!("{kind:?} does not belong on this connection");
            return Err(Refused::new(Reason::UnknownKind, text));
        }
        Ok(kind)
    }

    fn exchange(&self, body: Bytes) -> Result<Bytes, End> {
        let exchange = Exchange::decode(body)?;
        let taken = (self.inner.callbacks.take_exchange)(self.about.node, &exchange);
        taken.map_err(End::Closing)?;
        Ok((self.inner.callbacks.make_exchange)().encode())
    }

    /// Queues an answer, and with it those that are ready by now.
    fn finish(&mut self, done: Done) {
        let mut next = Some(done);
        while let Some(done) = next {
            self.running_bytes -= done.bytes;
            self.push(done.group, done.correlation, done.answer);
            next = self.running.next().now_or_never().flatten();
        }
    }

    fn push(&mut self, group: GroupId, correlation: u64, answer: Answer) {
        let (kind, body) = match answer {
            Ok(body) => (ANSWER, body),
            Err(refused) => (REFUSED, refused.encode()),
        };
        assert!(body.len() <= BODY_BYTES_MAX, "answers are bounded by those who make them");
        self.outgoing.push(Frame { kind, group, correlation, body });
    }

    fn check_newest(&mut self) -> Result<(), End> {
        let newest = *self.newest.borrow_and_update();
        check_newest(self.about.boot, newest)?;
        if self.about.purpose == Purpose::Requests && self.about.number < newest.connection {
            let text = "a newer connection took this one's place";
            return Err(End::Closing(Refusal::new(Code::Replaced, text)));
        }
        Ok(())
    }

    fn check_silence(&self) -> Result<(), End> {
        if limits::PEER_SILENCE_MAX <= self.heard.elapsed() {
            return Err(silent(self.about.node));
        }
        Ok(())
    }
}
