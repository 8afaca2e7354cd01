//! What becomes of requests between two nodes that get on.

use super::*;
use crate::limits::{FRAMES_INFLIGHT_MAX, SEND_QUEUE_BYTES_MAX};

#[tokio::test(start_paused = true)]
async fn requests_arrive_in_order_and_answers_as_they_come() {
    with_seed(1, async {
        let [a, b] = pair(&Fabric::new(1)).await;
        let slow = a.request(2, "slow").unwrap();
        let fast = a.request(2, "fast").unwrap();
        let no = a.request(2, "no").unwrap();
        let before = Instant::now();
        assert_eq!(fast.await.unwrap(), "fast");
        let refused = Refused::new(Reason::NotNow, "not now");
        assert_eq!(no.await, Err(NoAnswer::Refused(refused)));
        assert!(before.elapsed() < Duration::from_millis(500));
        assert_eq!(slow.await.unwrap(), "slow");
        assert_eq!(b.asked(), ["slow", "fast", "no"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn many_requests_keep_their_order() {
    with_seed(2, async {
        let [a, b] = pair(&Fabric::new(2)).await;
        let peer = a.transport.peer(NodeId(2)).unwrap();
        let bodies: Vec<Bytes> = (0..3_000_u32)
            .map(|n| Bytes::from(vec![7; n as usize % 700]).into_iter().chain(n.to_be_bytes()))
            .map(|body| body.collect())
            .collect();
        let mut waiting = Vec::new();
        for (n, body) in bodies.iter().enumerate() {
            waiting.push(peer.request(Kind::Append, GROUP, body.clone()).unwrap());
            if n % 100 == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        }
        for (waiting, body) in waiting.into_iter().zip(&bodies) {
            assert_eq!(&waiting.await.unwrap(), body);
        }
        assert_eq!(b.asked(), bodies);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_queued_is_lost_and_what_was_not_is_not_sent() {
    with_seed(3, async {
        let fabric = Fabric::new(3);
        let [a, b] = pair(&fabric).await;
        let lost = a.request(2, "never").unwrap();
        sleep(Duration::from_millis(100)).await;
        fabric.crash("h2");
        assert_eq!(lost.await, Err(NoAnswer::Lost { node: NodeId(2) }));
        a.wait_connected(2, false).await;
        let not_sent = a.request(2, "not sent").map(drop);
        assert_eq!(not_sent, Err(NotSent::NotConnected { node: NodeId(2) }));
        assert_eq!(b.asked(), ["never"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_made_again() {
    with_seed(4, async {
        let fabric = Fabric::new(4);
        let [a, _b] = pair(&fabric).await;
        fabric.reset("h1", "h2");
        a.wait_connected(2, false).await;
        a.wait_connected(2, true).await;
        assert_eq!(a.request(2, "again").unwrap().await.unwrap(), "again");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_and_found_again() {
    with_seed(5, async {
        let fabric = Fabric::new(5);
        let [a, b] = pair(&fabric).await;
        fabric.partition("h1", "h2");
        let lost = a.request(2, "held").unwrap();
        let before = Instant::now();
        assert_eq!(lost.await, Err(NoAnswer::Lost { node: NodeId(2) }));
        assert!(before.elapsed() < Duration::from_secs(8), "{:?}", before.elapsed());
        b.wait_connected(1, false).await;
        let heard = a.transport.peer(NodeId(2)).unwrap().heard_ms_ago().unwrap();
        assert!((4_000..8_000).contains(&heard), "{heard}");
        fabric.heal_all();
        a.wait_connected(2, true).await;
        b.wait_connected(1, true).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_short_cut_loses_nothing() {
    with_seed(6, async {
        let fabric = Fabric::new(6);
        let [a, b] = pair(&fabric).await;
        fabric.partition("h1", "h2");
        let held = a.request(2, "held").unwrap();
        sleep(Duration::from_secs(2)).await;
        assert!(b.asked().is_empty());
        fabric.heal_all();
        assert_eq!(held.await.unwrap(), "held");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn too_much_at_once_is_not_sent() {
    with_seed(7, async {
        let fabric = Fabric::new(7);
        let [a, _b] = pair(&fabric).await;
        let peer = a.transport.peer(NodeId(2)).unwrap();
        let large = Bytes::from(vec![0; frame::BODY_BYTES_MAX + 1]);
        let too_large = peer.request(Kind::Append, GROUP, large.clone()).map(drop);
        assert_eq!(too_large, Err(NotSent::TooLarge { bytes: large.len() }));
        let full = |what: &'static str, bound| NotSent::Full { node: NodeId(2), what, bound };
        let body = large.slice(1..);
        let fits = SEND_QUEUE_BYTES_MAX / body.len();
        for _ in 0..fits {
            drop(peer.request(Kind::Append, GROUP, body.clone()).unwrap());
        }
        let refused = peer.request(Kind::Append, GROUP, body.clone()).map(drop);
        assert_eq!(refused, Err(full("bytes on their way", SEND_QUEUE_BYTES_MAX)));
        let [a, _b] = pair(&Fabric::new(77)).await;
        let peer = a.transport.peer(NodeId(2)).unwrap();
        while peer.request(Kind::Append, GROUP, Bytes::new()).is_ok() {}
        let refused = peer.request(Kind::Append, GROUP, Bytes::new()).map(drop);
        assert_eq!(refused, Err(full("requests without an answer", FRAMES_INFLIGHT_MAX)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nodes_exchange_once_a_second_and_announce_themselves() {
    with_seed(8, async {
        let [a, b] = pair(&Fabric::new(8)).await;
        let count = || a.exchanges.lock().unwrap().len();
        let before = count();
        sleep(Duration::from_secs(10)).await;
        // Ten that it asked for, and ten that it was asked for.
        assert!((18..=22).contains(&(count() - before)), "{}", count() - before);
        let announced = b.transport.peer(NodeId(1)).unwrap().announced().unwrap();
        assert_eq!((announced.peer, announced.http.as_str()), (address(1), "http://h1:1"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_has_a_connection_of_its_own() {
    with_seed(9, async {
        let fabric = Fabric::new(9);
        let [a, b] = pair(&fabric).await;
        let link = a.transport.peer(NodeId(2)).unwrap().connect_for_snapshot().await.unwrap();
        let chunk = Bytes::from(vec![1; 4 << 20]);
        let waiting = link.request(Kind::SnapshotChunk, GROUP, chunk.clone()).unwrap();
        assert_eq!(a.request(2, "fast").unwrap().await.unwrap(), "fast");
        assert_eq!(b.asked(), ["fast"]);
        assert_eq!(waiting.await.unwrap(), chunk);
        let lost = link.request(Kind::SnapshotChunk, GROUP, chunk).unwrap();
        drop(link);
        assert_eq!(lost.await, Err(NoAnswer::Lost { node: NodeId(2) }));
        assert!(a.is_connected(2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_closes_everything() {
    with_seed(10, async {
        let fabric = Fabric::new(10);
        let [a, b] = pair(&fabric).await;
        let lost = a.request(2, "never").unwrap();
        sleep(Duration::from_millis(50)).await;
        b.transport.shutdown().await;
        assert_eq!(lost.await, Err(NoAnswer::Lost { node: NodeId(2) }));
        a.wait_connected(2, false).await;
        assert!(b.transport.peers().is_empty());
        let again = fabric.host("h1").connect(&address(2)).await;
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    })
    .await;
}

#[tokio::test]
async fn the_same_over_tcp() {
    with_seed(11, async {
        let listen = Address("127.0.0.1:0".into());
        let a = Node::start(Arc::new(TcpNet), &listen, Spec::node(1)).await;
        let b = Node::start(Arc::new(TcpNet), &listen, Spec::node(2)).await;
        a.transport.set_peers(&BTreeMap::from([(NodeId(2), b.transport.address())]));
        b.transport.set_peers(&BTreeMap::from([(NodeId(1), a.transport.address())]));
        a.wait_connected(2, true).await;
        let peer = a.transport.peer(NodeId(2)).unwrap();
        let bodies: Vec<Bytes> = (0..200_u8).map(|n| vec![n; n as usize * 1_000].into()).collect();
        let ask = |body: &Bytes| peer.request(Kind::Append, GROUP, body.clone()).unwrap();
        let waiting: Vec<_> = bodies.iter().map(ask).collect();
        for (waiting, body) in waiting.into_iter().zip(&bodies) {
            assert_eq!(&waiting.await.unwrap(), body);
        }
        assert_eq!(b.asked(), bodies);
        b.transport.shutdown().await;
        a.wait_connected(2, false).await;
    })
    .await;
}
