//! Strangers at the port of the peers: turned away, forgotten, and no trouble to anyone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::harness::{Cluster, SMALL};
use crate::{eventually, seed, within};

/// Connections of each kind.
const STRANGERS: usize = 20;
/// Within this time a node lets go of a connection that says nothing.
const SILENCE_MAX: Duration = Duration::from_secs(10);

fn connect(cluster: &Cluster) -> TcpStream {
    let stream = TcpStream::connect(cluster.nodes[0].peer).expect("it listens");
    stream.set_read_timeout(Some(SILENCE_MAX)).expect("a socket");
    stream
}

/// The fixed head of a hello: magic, version, what, purpose, cluster, from, to, length.
fn hello(version: u16, length: u32) -> Vec<u8> {
    let mut head = b"steadfst".to_vec();
    head.extend(version.to_be_bytes());
    head.extend([1, 1]);
    head.extend([7; 16]);
    head.extend(2_u32.to_be_bytes());
    head.extend(1_u32.to_be_bytes());
    head.extend(length.to_be_bytes());
    head
}

/// Returns what the other end says until it closes.
fn rest(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    // A reset closes as well.
    stream.read_to_end(&mut said).ok();
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn garbage_does_not_disturb_the_peers() {
    let cluster = Cluster::found(SMALL);
    let node = &cluster.nodes[0];
    let before = node.files_open();
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..STRANGERS {
        let mut bytes = vec![0; random.random_range(1..10_000)];
        random.fill_bytes(&mut bytes);
        let mut stream = connect(&cluster);
        // It may be turned away before it has said all.
        stream.write_all(&bytes).ok();
        let began = Instant::now();
        rest(stream);
        assert!(began.elapsed() < SILENCE_MAX, "it holds a stranger");
    }
    for request in ["GET / HTTP/1.1\r\n\r\n", "steadfst"] {
        let mut stream = connect(&cluster);
        stream.write_all(request.as_bytes()).expect("a socket");
        rest(stream);
    }
    cluster.put(0, "k", b"v");
    within(SILENCE_MAX, "sockets are closed", || (node.files_open() <= before).then_some(()));
    cluster.check_equal();
}

#[test]
fn another_version_and_another_cluster_are_told_why() {
    let cluster = Cluster::found(SMALL);
    let mut stream = connect(&cluster);
    stream.write_all(&hello(99, 0)).expect("a socket");
    let said = rest(stream);
    assert!(said.contains("protocol 99 is spoken there, 4 here"), "{said:?}");
    let mut stream = connect(&cluster);
    stream.write_all(&[hello(4, u32::MAX), vec![0; 1_000]].concat()).expect("a socket");
    rest(stream);
    cluster.put(0, "k", b"v");
}

#[test]
fn silent_connections_are_let_go() {
    let cluster = Cluster::found(SMALL);
    let node = &cluster.nodes[0];
    let before = node.files_open();
    let silent: Vec<_> = (0..STRANGERS).map(|_| connect(&cluster)).collect();
    let half: Vec<_> = (0..STRANGERS)
        .map(|_| {
            let mut stream = connect(&cluster);
            stream.write_all(&hello(4, 500)).expect("a socket");
            stream
        })
        .collect();
    cluster.put(1, "k", b"v");
    within(SILENCE_MAX, "sockets are closed", || (node.files_open() <= before).then_some(()));
    drop((silent, half));
    assert!(node.answers("/readyz"));
}

#[test]
fn peers_connect_while_strangers_wait_in_crowds() {
    let mut cluster = Cluster::found(SMALL);
    // More than the node shakes hands with at a time.
    let crowd: Vec<_> = (0..200).map(|_| connect(&cluster)).collect();
    cluster.nodes[1].kill();
    cluster.nodes[1].start();
    let node = &cluster.nodes[1];
    eventually("the node is ready", || node.answers("/readyz").then_some(()));
    cluster.put(1, "k", b"v");
    cluster.check_equal();
    drop(crowd);
}
