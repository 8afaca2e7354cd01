//! What becomes of requests to a node that takes leave.

use super::*;

const PATIENCE: Duration = Duration::from_secs(4);

#[tokio::test(start_paused = true)]
async fn whoever_takes_leave_answers_all_that_it_was_asked() {
    with_seed(41, async {
        let fabric = Fabric::new(41);
        fabric.set_latency(Duration::from_millis(3), Duration::from_millis(9));
        let [a, b] = pair(&fabric).await;
        let began = Instant::now();
        // Some are being answered, some on their way, and some queued when the word arrives.
        let asking = async {
            let (mut asked, mut refused) = (Vec::new(), 0);
            while refused == 0 {
                match a.request(2, if asked.len() % 3 == 0 { "slow" } else { "fast" }) {
                    Ok(waiting) => asked.push(waiting),
                    Err(NotSent::NotConnected { .. }) => refused += 1,
                    Err(other) => panic!("{other}"),
                }
                sleep(Duration::from_millis(1)).await;
            }
            let count = asked.len();
            for waiting in asked {
                waiting.await.expect("it is answered");
            }
            count
        };
        let leaving = async {
            sleep(Duration::from_millis(40)).await;
            b.transport.take_leave(began + PATIENCE).await;
        };
        let (count, ()) = tokio::join!(asking, leaving);
        assert_eq!(b.asked().len(), count);
        assert!(began.elapsed() < Duration::from_millis(1_200), "{:?}", began.elapsed());
        let again = fabric.host("h1").connect(&address(2)).await;
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        // It may still ask others.
        assert_eq!(b.request(1, "still here").unwrap().await.unwrap(), "still here");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_leave_ends_at_its_deadline() {
    with_seed(42, async {
        let [a, b] = pair(&Fabric::new(42)).await;
        let lost = a.request(2, "never").unwrap();
        sleep(Duration::from_millis(50)).await;
        let began = Instant::now();
        b.transport.take_leave(began + PATIENCE).await;
        assert_eq!(began.elapsed(), PATIENCE);
        assert_eq!(lost.await, Err(NoAnswer::Lost { node: NodeId(2) }));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_leave_without_callers_is_short() {
    with_seed(43, async {
        let fabric = Fabric::new(43);
        let alone = Node::start(Arc::new(fabric.host("h1")), &address(1), Spec::node(1)).await;
        let began = Instant::now();
        alone.transport.take_leave(began + PATIENCE).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        let [a, b] = pair(&Fabric::new(44)).await;
        let began = Instant::now();
        b.transport.take_leave(began + PATIENCE).await;
        assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
        // The other end dials in vain, until it is told otherwise.
        a.wait_connected(2, false).await;
    })
    .await;
}

#[tokio::test]
async fn the_same_leave_over_tcp() {
    with_seed(45, async {
        let listen = Address("127.0.0.1:0".into());
        let a = Node::start(Arc::new(TcpNet), &listen, Spec::node(1)).await;
        let b = Node::start(Arc::new(TcpNet), &listen, Spec::node(2)).await;
        a.transport.set_peers(&BTreeMap::from([(NodeId(2), b.transport.address())]));
        b.transport.set_peers(&BTreeMap::from([(NodeId(1), a.transport.address())]));
        a.wait_connected(2, true).await;
        let asked: Vec<_> = (0..500).map(|_| a.request(2, "fast").unwrap()).collect();
        let slow = a.request(2, "slow").unwrap();
        b.transport.take_leave(Instant::now() + PATIENCE).await;
        for waiting in asked {
            assert_eq!(waiting.await.unwrap(), "fast");
        }
        assert_eq!(slow.await.unwrap(), "slow");
        a.wait_connected(2, false).await;
    })
    .await;
}
