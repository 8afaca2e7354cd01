//! The handshake step by step, as either end goes through it: see [`super::token`].

use std::io;

use super::dialled::End;
use super::handshake::{self, Hello, Member, Message};
use super::refusal::Code;
use super::token::{self, Token, Transcript};
use super::wire::Malformed;
use crate::net::{Net, Stream};

/// Presents this end to the one that was dialled, and returns what that says of itself. A refusal is
/// taken for that of the member that was meant only if it is sealed.
pub(super) async fn dial(
    net: &dyn Net,
    token: &Token,
    stream: &mut Stream,
    hello: Hello,
) -> Result<Hello, End> {
    let meant = hello.presented.member.zip(hello.to).map(|(own, node)| Member { node, ..own });
    let mut talk = Talk { transcript: Transcript::new(token), stream };
    talk.say(&Message::Hello(hello)).await?;
    match talk.hear().await? {
        Message::Challenge(_) => {}
        Message::Refusal(refusing) => return Err(End::Told(refusing.refusal, None)),
        other @ (Message::Hello(_) | Message::Proof { .. } | Message::Seal(_)) => {
            return Err(out_of_turn(&other));
        }
    }
    let proof = talk.transcript.prove(net.nonce()?);
    talk.say(&proof).await?;
    let answer = talk.hear().await?;
    // Whoever refuses the token can prove nothing by it.
    let sealed =
        !matches!(&answer, Message::Refusal(refusing) if refusing.refusal.code == Code::Token);
    if sealed {
        let seal = handshake::receive(&mut talk.stream.reader).await?;
        let Message::Seal(mac) = &seal else { return Err(out_of_turn(&seal)) };
        talk.transcript.check(token::End::Acceptor, &[], mac).map_err(End::Closing)?;
    }
    match answer {
        Message::Hello(theirs) => Ok(theirs),
        Message::Refusal(refusing) => {
            let member = refusing.member.filter(|member| sealed && Some(*member) == meant);
            Err(End::Told(refusing.refusal, member))
        }
        other @ (Message::Challenge(_) | Message::Proof { .. } | Message::Seal(_)) => {
            Err(out_of_turn(&other))
        }
    }
}

/// The end that dialled, as the acceptor hears it.
pub(super) struct Caller<'a>(Talk<'a>);

impl<'a> Caller<'a> {
    pub(super) fn new(token: &Token, stream: &'a mut Stream) -> Self {
        Self(Talk { transcript: Transcript::new(token), stream })
    }

    /// Has it present and prove itself.
    pub(super) async fn greet(&mut self, net: &dyn Net) -> Result<Hello, End> {
        let Self(talk) = self;
        let hello = match talk.hear().await? {
            Message::Hello(hello) => hello,
            Message::Refusal(refusing) => return Err(End::Told(refusing.refusal, None)),
            other @ (Message::Challenge(_) | Message::Proof { .. } | Message::Seal(_)) => {
                return Err(out_of_turn(&other));
            }
        };
        talk.say(&Message::Challenge(net.nonce()?)).await?;
        let proof = handshake::receive(&mut talk.stream.reader).await?;
        let Message::Proof { nonce, mac } = &proof else { return Err(out_of_turn(&proof)) };
        talk.transcript.check(token::End::Dialler, nonce, mac).map_err(End::Closing)?;
        talk.transcript.add(&proof);
        Ok(hello)
    }

    /// Answers it, sealed.
    pub(super) async fn answer(&mut self, answer: &Message) -> io::Result<()> {
        let Self(talk) = self;
        talk.say(answer).await?;
        let seal = talk.transcript.seal();
        handshake::send(&mut talk.stream.writer, &seal).await
    }

    /// Returns the stream.
    pub(super) fn stream(&mut self) -> &mut Stream {
        self.0.stream
    }
}

/// A connection whose messages are kept track of.
struct Talk<'a> {
    transcript: Transcript,
    stream: &'a mut Stream,
}

impl Talk<'_> {
    async fn say(&mut self, message: &Message) -> io::Result<()> {
        self.transcript.add(message);
        handshake::send(&mut self.stream.writer, message).await
    }

    async fn hear(&mut self) -> Result<Message, End> {
        let message = handshake::receive(&mut self.stream.reader).await?;
        self.transcript.add(&message);
        Ok(message)
    }
}

fn out_of_turn(message: &Message) -> End {
    Malformed::new(format!("a handshake out of turn: {}", message.name())).into()
}
