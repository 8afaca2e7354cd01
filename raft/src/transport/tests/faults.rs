//! What becomes of those that do not belong here, or no longer.

use super::*;

fn refusal(code: Code) -> Refusal {
    Refusal::new(code, "for the test")
}

/// Sends `bytes` to a node as a first message, and returns the stream.
async fn dial(fabric: &Fabric, to: u32, bytes: &[u8]) -> Stream {
    let mut stream = fabric.host("stranger").connect(&address(to)).await.unwrap();
    stream.writer.write_all(bytes).await.unwrap();
    stream
}

/// Goes through the handshake with node 2, under its token, and returns the stream or the refusal.
async fn shake(fabric: &Fabric, spec: &Spec, to: u32) -> Result<Stream, Refusal> {
    let net = fabric.host("stranger");
    let mut stream = net.connect(&address(2)).await.unwrap();
    let (purpose, to) = (Purpose::Requests, Some(NodeId(to)));
    let hello = Hello { purpose, to, presented: spec.presented() };
    match shake::dial(&net, &spec.token, &mut stream, hello).await {
        Ok(_theirs) => Ok(stream),
        Err(End::Told(refusal, _)) => Err(refusal),
        Err(end) => panic!("{end}"),
    }
}

/// Sends a hello to node 2 and returns the code of its refusal.
async fn refused(fabric: &Fabric, spec: &Spec, to: u32) -> Option<Code> {
    shake(fabric, spec, to).await.err().map(|refusal| refusal.code)
}

async fn code_of_answer(stream: &mut Stream) -> Code {
    match handshake::receive(&mut stream.reader).await.unwrap() {
        Message::Refusal(refusing) => refusing.refusal.code,
        Message::Hello(_) | Message::Challenge(_) | Message::Proof { .. } | Message::Seal(_) => {
            panic!("no refusal")
        }
    }
}

#[tokio::test(start_paused = true)]
async fn callers_that_do_not_belong_are_told_why() {
    with_seed(21, async {
        let fabric = Fabric::new(21);
        let [a, _b] = pair(&fabric).await;
        let (one, spec) = (Spec::node(1), Spec::node);
        assert_eq!(refused(&fabric, &one, 2).await, None);
        assert_eq!(refused(&fabric, &one, 3).await, Some(Code::WrongNode));
        assert_eq!(refused(&fabric, &spec(7), 2).await, Some(Code::Stranger));
        assert_eq!(refused(&fabric, &spec(2), 2).await, Some(Code::Stranger));
        let other = Spec { cluster: 8, ..spec(1) };
        assert_eq!(refused(&fabric, &other, 2).await, Some(Code::WrongCluster));
        let none = Spec { cluster: 0, ..spec(1) };
        assert_eq!(refused(&fabric, &none, 2).await, Some(Code::WrongCluster));
        a.wait_connected(2, true).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_announces_the_address_of_another_is_told_so_by_both_ends() {
    with_seed(34, async {
        let fabric = Fabric::new(34);
        let twin = Spec { announces: Some(address(1)), ..Spec::node(2) };
        let [a, b] = nodes(&fabric, [Spec::node(1), twin]).await;
        sleep(Duration::from_secs(10)).await;
        let text = "n1 and n2 both announce the address h1:1; ";
        for (node, other) in [(&a, 2), (&b, 1)] {
            assert!(!node.is_connected(other));
            let unreachable = node.transport.peer(NodeId(other)).unwrap().unreachable().unwrap();
            assert!(unreachable.why.contains(&address(other).0), "{unreachable:?}");
            assert!(unreachable.why.contains(text), "{unreachable:?}");
            assert!(8_000 < unreachable.for_ms, "{unreachable:?}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_leads_to_another_node_is_named() {
    with_seed(35, async {
        let [a, _b] = pair(&Fabric::new(35)).await;
        a.transport.set_peers(&BTreeMap::from([(NodeId(2), address(2)), (NodeId(3), address(2))]));
        let peer = a.transport.peer(NodeId(3)).unwrap();
        wait(|| peer.unreachable().is_some()).await;
        let why = peer.unreachable().unwrap().why;
        assert!(why.starts_with("h2:1: ") && why.contains("this is n2, not n3"), "{why}");
        assert_eq!(a.transport.peer(NodeId(2)).unwrap().unreachable(), None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn garbage_and_other_versions_are_told_so() {
    with_seed(22, async {
        let fabric = Fabric::new(22);
        let [a, b] = pair(&fabric).await;
        let mut stream =
            dial(&fabric, 2, b"GET / HTTP/1.1\r\nHost: nobody in particular\r\n\r\n").await;
        assert_eq!(code_of_answer(&mut stream).await, Code::Garbage);
        let presented = Spec::node(1).presented();
        let hello = Hello { purpose: Purpose::Requests, to: Some(NodeId(2)), presented };
        let hello = Message::Hello(hello).encode();
        let mut newer = hello.to_vec();
        newer[9] += 1;
        let mut stream = dial(&fabric, 2, &newer).await;
        assert_eq!(code_of_answer(&mut stream).await, Code::Version);
        let mut long = hello.to_vec();
        long[36] = 0xff;
        let mut stream = dial(&fabric, 2, &long).await;
        assert_eq!(code_of_answer(&mut stream).await, Code::Garbage);
        let mut torn = hello.to_vec();
        torn[56..].fill(0xff);
        let mut stream = dial(&fabric, 2, &torn).await;
        assert_eq!(code_of_answer(&mut stream).await, Code::Garbage);
        // None of this disturbed anyone.
        assert_eq!(a.request(2, "still there").unwrap().await.unwrap(), "still there");
        assert_eq!(b.asked(), ["still there"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn half_open_handshakes_are_bounded_and_end() {
    with_seed(23, async {
        let fabric = Fabric::new(23);
        let [a, _b] = pair(&fabric).await;
        let mut idle = Vec::new();
        for _ in 0..limits::HANDSHAKES_INFLIGHT_MAX {
            idle.push(dial(&fabric, 2, b"steadfst").await);
        }
        sleep(Duration::from_millis(10)).await;
        let mut beyond = dial(&fabric, 2, b"").await;
        // Past the bound the connection closes at once.
        let read = timeout(Duration::from_millis(100), beyond.reader.read(&mut [0])).await;
        assert!(!matches!(read.unwrap(), Ok(1..)));
        assert!(a.is_connected(2));
        sleep(limits::HANDSHAKE_TIMEOUT).await;
        for mut stream in idle {
            assert!(!matches!(stream.reader.read(&mut [0]).await, Ok(1..)));
        }
        assert_eq!(refused(&fabric, &Spec::node(1), 2).await, None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn unknown_kinds_are_refused_and_impossible_frames_end_the_connection() {
    with_seed(24, async {
        let fabric = Fabric::new(24);
        let b = Node::start(Arc::new(fabric.host("h2")), &address(2), Spec::node(2)).await;
        b.transport.set_peers(&BTreeMap::from([(NodeId(1), address(1))]));
        let mut stream = shake(&fabric, &Spec::node(1), 2).await.unwrap();
        for kind in [99, Kind::Claim as u8] {
            let mut head = vec![0, 0, 0, 17, kind];
            head.resize(frame::HEAD_BYTES, 3);
            stream.writer.write_all(&head).await.unwrap();
        }
        let mut reader = FrameReader::new(stream.reader);
        for _ in 0..2 {
            let frame = next(&mut reader).await;
            assert_eq!((frame.kind, frame.correlation), (REFUSED, 0x0303_0303_0303_0303));
            assert_eq!(Refused::decode(frame.body).unwrap().reason, Reason::UnknownKind);
        }
        stream.writer.write_all(&[0xff; frame::HEAD_BYTES]).await.unwrap();
        let goodbye = next(&mut reader).await;
        assert_eq!(goodbye.kind, GOODBYE);
        assert_eq!(Refusal::decode(goodbye.body).unwrap().code, Code::Garbage);
        assert!(b.asked().is_empty());
    })
    .await;
}

/// What a node reads when it goes on after a stall: far more at once than tokio lets a task do.
#[tokio::test(start_paused = true)]
async fn a_burst_is_taken_in_its_order() {
    with_seed(29, async {
        let fabric = Fabric::new(29);
        let b = Node::start(Arc::new(fabric.host("h2")), &address(2), Spec::node(2)).await;
        b.transport.set_peers(&BTreeMap::from([(NodeId(1), address(1))]));
        let mut stream = shake(&fabric, &Spec::node(1), 2).await.unwrap();
        let bodies: Vec<_> =
            (0..2_000_u32).map(|n| Bytes::copy_from_slice(&n.to_be_bytes())).collect();
        let mut burst = ::bytes::BytesMut::new();
        for (correlation, body) in (1..).zip(&bodies) {
            let kind = Kind::Append as u8;
            let frame = frame::Frame { kind, group: GROUP, correlation, body: body.clone() };
            frame.put_head(&mut burst);
            burst.extend_from_slice(body);
        }
        stream.writer.write_all(&burst).await.unwrap();
        wait(|| b.asked().len() == bodies.len()).await;
        assert_eq!(b.asked(), bodies);
    })
    .await;
}

pub(super) async fn next<R: tokio::io::AsyncRead + Unpin>(
    reader: &mut FrameReader<R>,
) -> frame::Frame {
    loop {
        if let Some(frame) = reader.next().unwrap() {
            return frame;
        }
        reader.fill().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_boot_closes_the_older_ones_connections_and_stops_it() {
    with_seed(25, async {
        let fabric = Fabric::new(25);
        let [old, b] = pair(&fabric).await;
        let lost = old.request(2, "never").unwrap();
        let spec = Spec { boots: vec![70, 71], ..Spec::node(1) };
        let net = fabric.host("elsewhere");
        let new = Node::start(Arc::new(net), &Address("elsewhere:1".into()), spec).await;
        sleep(Duration::from_millis(50)).await;
        new.transport.set_peers(&BTreeMap::from([(NodeId(2), address(2))]));
        let before = Instant::now();
        assert_eq!(old.transport.must_stop().await.code, Code::OldBoot);
        assert_eq!(lost.await, Err(NoAnswer::Lost { node: NodeId(2) }));
        assert!(before.elapsed() < Duration::from_millis(200));
        assert_eq!(new.request(2, "new").unwrap().await.unwrap(), "new");
        assert_eq!(b.asked(), ["never", "new"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_is_refused_for_its_directory_must_stop() {
    for code in [Code::LostLog, Code::CopiedDirectory, Code::OldBoot, Code::OtherDirectory] {
        with_seed(26, async {
            let refusing = Spec { refuse: Some(refusal(code)), ..Spec::node(2) };
            let [a, b] = nodes(&Fabric::new(26), [Spec::node(1), refusing]).await;
            assert_eq!(a.transport.must_stop().await, refusal(code));
            assert!(!a.is_connected(2) && !b.is_connected(1));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_dialled_end_is_judged_too() {
    with_seed(27, async {
        let fabric = Fabric::new(27);
        let refusing = Spec { refuse: Some(refusal(Code::LostLog)), ..Spec::node(2) };
        let [a, b] = nodes(&fabric, [Spec::node(1), refusing]).await;
        // Only b dials.
        a.transport.set_peers(&BTreeMap::from([(NodeId(2), Address("nowhere:1".into()))]));
        assert_eq!(a.transport.must_stop().await.code, Code::LostLog);
        assert!(!b.is_connected(1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_exchange_can_end_a_connection() {
    with_seed(28, async {
        let refusing = Spec { refuse_exchange: Some(refusal(Code::LostLog)), ..Spec::node(2) };
        let [a, _b] = nodes(&Fabric::new(28), [Spec::node(1), refusing]).await;
        assert_eq!(a.transport.must_stop().await.code, Code::LostLog);
        a.wait_connected(2, false).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_stops_is_believed_from_the_member_meant_alone() {
    for (cluster, node, token, believed) in [
        (9, 2, "", true),
        (8, 2, "", false),
        (9, 3, "", false),
        // Only who knows the token can say so.
        (9, 2, "another-token-than-theirs", false),
    ] {
        with_seed(29, async {
            let fabric = Fabric::new(29);
            let a = Node::start(Arc::new(fabric.host("h1")), &address(1), Spec::node(1)).await;
            let net = fabric.host("h2");
            let mut listener = net.listen(&address(2)).await.unwrap();
            a.transport.set_peers(&BTreeMap::from([(NodeId(2), address(2))]));
            let (mut stream, _) = listener.accept().await.unwrap();
            let member = Some(Member { cluster: ClusterId(cluster), node: NodeId(node) });
            let refusing = handshake::Refusing { member, refusal: refusal(Code::LostLog) };
            let mut caller = shake::Caller::new(&Token::default(), &mut stream);
            caller.greet(&net).await.unwrap();
            if token.is_empty() {
                caller.answer(&Message::Refusal(refusing)).await.unwrap();
            } else {
                let forged = token::Transcript::new(&Token::new(token.as_bytes()).unwrap()).seal();
                for message in [Message::Refusal(refusing), forged] {
                    handshake::send(&mut stream.writer, &message).await.unwrap();
                }
            }
            let told = timeout(Duration::from_secs(2), a.transport.must_stop()).await;
            assert_eq!(told.is_ok(), believed);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_connection_takes_the_place_of_an_older() {
    with_seed(33, async {
        let fabric = Fabric::new(33);
        let b = Node::start(Arc::new(fabric.host("h2")), &address(2), Spec::node(2)).await;
        b.transport.set_peers(&BTreeMap::from([(NodeId(1), address(1))]));
        let older = shake(&fabric, &Spec::node(1), 2).await.unwrap();
        let _newer = shake(&fabric, &Spec::node(1), 2).await.unwrap();
        let goodbye = next(&mut FrameReader::new(older.reader)).await;
        assert_eq!(Refusal::decode(goodbye.body).unwrap().code, Code::Replaced);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_caller_is_given_up() {
    with_seed(32, async {
        let fabric = Fabric::new(32);
        let b = Node::start(Arc::new(fabric.host("h2")), &address(2), Spec::node(2)).await;
        b.transport.set_peers(&BTreeMap::from([(NodeId(1), address(1))]));
        let stream = shake(&fabric, &Spec::node(1), 2).await.unwrap();
        let before = Instant::now();
        let goodbye = next(&mut FrameReader::new(stream.reader)).await;
        assert_eq!(Refusal::decode(goodbye.body).unwrap().code, Code::Silent);
        assert!((5..=6).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_cluster_takes_bootstrap_alone() {
    with_seed(30, async {
        let fabric = Fabric::new(30);
        let new = Spec { cluster: 0, ..Spec::node(2) };
        let b = Node::start(Arc::new(fabric.host("h2")), &address(2), new).await;
        let net = Arc::new(fabric.host("h1"));
        let a = Node::start(net, &address(1), Spec { cluster: 0, ..Spec::node(1) }).await;
        let ask = |kind, body: &'static str| {
            a.transport.ask(const { &Address(String::new()) }, kind, Bytes::from(body))
        };
        assert!(matches!(ask(Kind::Claim, "x").await, Err(AskError::NotSent { .. })));
        let to = address(2);
        let ask = |kind, body: &'static str| a.transport.ask(&to, kind, Bytes::from(body));
        assert_eq!(ask(Kind::Claim, "claim").await.unwrap(), "claim");
        assert!(matches!(ask(Kind::Release, "no").await, Err(AskError::Refused { .. })));
        assert!(matches!(ask(Kind::Append, "append").await, Err(AskError::Refused { .. })));
        assert_eq!(refused(&fabric, &Spec::node(1), 2).await, Some(Code::WrongCluster));
        let crash = async {
            sleep(Duration::from_millis(100)).await;
            fabric.crash("h2");
        };
        let (lost, ()) = tokio::join!(ask(Kind::Claim, "never"), crash);
        assert!(matches!(lost, Err(AskError::Lost { .. })), "{lost:?}");
        assert_eq!(b.asked(), ["claim", "no", "never"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_left_is_cut_off() {
    with_seed(31, async {
        let [a, b] = pair(&Fabric::new(31)).await;
        b.transport.set_peers(&BTreeMap::new());
        a.wait_connected(2, false).await;
        sleep(Duration::from_secs(5)).await;
        assert!(!a.is_connected(2));
        assert!(b.transport.peer(NodeId(1)).is_none());
    })
    .await;
}
