//! Who does not know the token learns nothing, is believed nothing and changes nothing.

use super::token::{self, Transcript};
use super::*;

fn token(text: &str) -> Token {
    Token::new(text.as_bytes()).unwrap()
}

fn spec(node: u32, text: &str) -> Spec {
    Spec { token: token(text), ..Spec::node(node) }
}

const ONE: &str = "the-token-of-this-cluster";
const OTHER: &str = "the-token-of-another-one";

#[test]
fn tokens_are_what_a_header_can_carry_and_nobody_guesses() {
    assert_eq!(Token::new(b"  0123456789abcdef\n").unwrap(), token("0123456789abcdef"));
    let length = |bytes| Err(token::BadToken::Length { bytes });
    assert_eq!(Token::new(b""), length(0));
    assert_eq!(Token::new(b"0123456789abcde"), length(15));
    assert_eq!(Token::new(&[b'x'; 1_025]), length(1_025));
    for bad in ["0123456789abcde f", "0123456789abcdef\u{e9}", "0123456789\nabcdef"] {
        assert_eq!(Token::new(bad.as_bytes()), Err(token::BadToken::Bytes), "{bad:?}");
    }
    let secret = token(ONE);
    assert!(secret.is(ONE.as_bytes()) && !secret.is(OTHER.as_bytes()) && !secret.is(b""));
    for near in [format!("{ONE}x"), ONE[1..].to_owned(), ONE[..ONE.len() - 1].to_owned()] {
        assert!(!secret.is(near.as_bytes()), "{near}");
    }
    assert!(!format!("{secret:?}").contains(ONE));
}

#[test]
fn a_proof_is_good_for_one_end_and_one_nonce() {
    let mut said = Transcript::new(&token(ONE));
    let Message::Seal(seal) = said.seal() else { panic!("a seal is one") };
    assert!(said.check(token::End::Acceptor, &[], &seal).is_ok());
    assert!(said.check(token::End::Dialler, &[], &seal).is_err(), "it is not the other's");
    let Message::Proof { nonce, mac } = said.prove([7; 32]) else { panic!("a proof is one") };
    assert!(said.check(token::End::Dialler, &nonce, &mac).is_ok());
    assert!(said.check(token::End::Dialler, &[8; 32], &mac).is_err());
}

#[tokio::test(start_paused = true)]
async fn nodes_with_one_token_connect() {
    with_seed(41, async {
        let [a, b] = nodes(&Fabric::new(41), [spec(1, ONE), spec(2, ONE)]).await;
        a.wait_connected(2, true).await;
        b.wait_connected(1, true).await;
        assert_eq!(a.request(2, "hi").unwrap().await.unwrap(), "hi");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nodes_with_different_tokens_are_told_so_at_both_ends() {
    for other in [spec(2, OTHER), Spec::node(2)] {
        with_seed(42, async {
            let [a, b] = nodes(&Fabric::new(42), [spec(1, ONE), other]).await;
            sleep(Duration::from_secs(10)).await;
            for (node, peer) in [(&a, 2), (&b, 1)] {
                let peer = node.transport.peer(NodeId(peer)).unwrap();
                let why = peer.unreachable().expect("it was tried").why;
                assert!(why.contains("tokens of these two nodes differ"), "{why}");
                assert!(!peer.is_connected());
            }
            assert_eq!((a.exchanges.lock().unwrap().len(), b.asked().len()), (0, 0));
        })
        .await;
    }
}

/// A caller that does not know the token hears a challenge and a refusal, which name nobody, whatever
/// it sends.
#[tokio::test(start_paused = true)]
async fn a_stranger_learns_nothing_and_cannot_repeat_what_it_heard() {
    with_seed(43, async {
        let fabric = Fabric::new(43);
        let b = Node::start(Arc::new(fabric.host("h2")), &address(2), spec(2, ONE)).await;
        b.transport.set_peers(&BTreeMap::from([(NodeId(1), address(1))]));
        let (presented, to) = (Spec::node(1).presented(), Some(NodeId(2)));
        let hello = Message::Hello(Hello { purpose: Purpose::Requests, to, presented });
        let net = fabric.host("stranger");
        // What a member would say to the first challenge.
        let mut overheard = None;
        for _ in 0..2 {
            let mut stream = net.connect(&address(2)).await.unwrap();
            handshake::send(&mut stream.writer, &hello).await.unwrap();
            let challenge = handshake::receive(&mut stream.reader).await.unwrap();
            assert!(matches!(challenge, Message::Challenge(_)), "{challenge:?}");
            let mut transcript = Transcript::new(&token(ONE));
            transcript.add(&hello);
            transcript.add(&challenge);
            let proof = transcript.prove([7; 32]);
            let Some(repeated) = overheard.replace(proof) else { continue };
            handshake::send(&mut stream.writer, &repeated).await.unwrap();
            let Message::Refusal(refusing) = handshake::receive(&mut stream.reader).await.unwrap()
            else {
                panic!("a repeated proof was taken")
            };
            assert_eq!((refusing.member, refusing.refusal.code), (None, Code::Token));
        }
    })
    .await;
}

/// An acceptor that does not know the token is not believed to be the node that was dialled.
#[tokio::test(start_paused = true)]
async fn an_acceptor_proves_itself_too() {
    with_seed(44, async {
        let fabric = Fabric::new(44);
        let a = Node::start(Arc::new(fabric.host("h1")), &address(1), spec(1, ONE)).await;
        let net = fabric.host("h2");
        let mut listener = net.listen(&address(2)).await.unwrap();
        a.transport.set_peers(&BTreeMap::from([(NodeId(2), address(2))]));
        let (mut stream, _) = listener.accept().await.unwrap();
        let Message::Hello(hello) = handshake::receive(&mut stream.reader).await.unwrap() else {
            panic!("a hello comes first")
        };
        let challenge = Message::Challenge([1; 32]);
        handshake::send(&mut stream.writer, &challenge).await.unwrap();
        let proof = handshake::receive(&mut stream.reader).await.unwrap();
        // The dialler's own proof is no seal.
        let Message::Proof { mac, .. } = proof else { panic!("a proof comes next") };
        let to = hello.presented.member.map(|member| member.node);
        let answer = Hello { purpose: hello.purpose, to, presented: Spec::node(2).presented() };
        for message in [Message::Hello(answer), Message::Seal(mac)] {
            handshake::send(&mut stream.writer, &message).await.unwrap();
        }
        let goodbye = FrameReader::new(stream.reader);
        let goodbye = faults::next(&mut { goodbye }).await;
        assert_eq!(Refusal::decode(goodbye.body).unwrap().code, Code::Token);
        assert!(!a.is_connected(2));
    })
    .await;
}
