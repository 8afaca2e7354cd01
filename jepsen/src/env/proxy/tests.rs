use std::time::Duration;

use super::*;

/// A hello of a node to another, as the product lays it out.
fn hello(from: u32, to: u32) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[9] = 2;
    head[10] = 1;
    head[28..32].copy_from_slice(&from.to_be_bytes());
    head[32..36].copy_from_slice(&to.to_be_bytes());
    head
}

#[test]
fn the_dialler_is_read_from_the_head() {
    assert_eq!(dialler(&hello(3, 1)), Some(3));
    assert_eq!(dialler(&hello(0, 0)), Some(0));
    assert_eq!(dialler(&[b'x'; HEAD_BYTES]), None);
}

#[tokio::test]
async fn a_cut_holds_one_way_and_healing_delivers() {
    let target = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it listens");
    let mut proxies = Proxies::default();
    proxies.add(listener, 1, target.local_addr().expect("it listens"));
    let mut near = TcpStream::connect(address).await.expect("it listens");
    near.write_all(&hello(2, 1)).await.expect("it is read");
    let (mut far, _) = target.accept().await.expect("it is dialled");
    let mut head = [0; HEAD_BYTES];
    far.read_exact(&mut head).await.expect("the head is passed on");
    assert_eq!(head, hello(2, 1));

    let link = Link { from: 2, to: 1 };
    proxies.cut(link);
    near.write_all(b"there").await.expect("it is buffered");
    far.write_all(b"back!").await.expect("it is buffered");
    let mut five = [0; 5];
    near.read_exact(&mut five).await.expect("the other way is whole");
    assert_eq!(&five, b"back!");
    let waited = tokio::time::timeout(Duration::from_millis(50), far.read_exact(&mut five));
    assert!(waited.await.is_err(), "what is cut does not arrive");
    assert_eq!(proxies.held(), 5);
    proxies.heal(link);
    far.read_exact(&mut five).await.expect("what waited arrives");
    assert_eq!(&five, b"there");
}
