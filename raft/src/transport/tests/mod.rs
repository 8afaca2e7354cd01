use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use super::boots::Boots;
use super::dialled::End;
use super::frame::{FrameReader, GOODBYE, REFUSED, Reason};
use super::handshake::{Member, Message};
use super::refusal::Code;
use super::*;
use crate::net::sim::Fabric;
use crate::net::{Stream, TcpNet};
use crate::runtime::with_seed;
use crate::words::{ClusterId, DirectoryId, Sequence, ShardId};

mod bytes;
mod faults;
mod leave;
mod outgoing;
mod requests;
mod tokens;

const GROUP: GroupId = GroupId::first(ShardId(1));

/// What a test says of its nodes.
#[derive(Clone)]
struct Spec {
    cluster: u128,
    node: u32,
    token: Token,
    /// Each with its nonce.
    boots: Vec<u64>,
    /// Where peers are told to find it, if elsewhere.
    announces: Option<Address>,
    /// Refuse whoever is not at this boot or later.
    refuse: Option<Refusal>,
    refuse_exchange: Option<Refusal>,
}

impl Spec {
    fn node(node: u32) -> Self {
        Self {
            cluster: 9,
            node,
            token: Token::default(),
            boots: vec![70],
            announces: None,
            refuse: None,
            refuse_exchange: None,
        }
    }

    fn presented(&self) -> Presented {
        let directory = DirectoryId(u128::from(self.node));
        let mut boots = Boots::first(directory, self.boots[0]);
        self.boots[1..].iter().for_each(|nonce| boots.add(*nonce));
        let member = Member { cluster: ClusterId(self.cluster), node: NodeId(self.node) };
        Presented {
            member: (self.cluster != 0).then_some(member),
            directory,
            boots,
            recovered: Sequence(5),
            synced: Sequence(6),
            lease: Duration::from_millis(600),
            peer: self.announces.clone().unwrap_or_else(|| address(self.node)),
            http: format!("http://h{}:1", self.node),
        }
    }
}

fn address(node: u32) -> Address {
    Address(format!("h{node}:1"))
}

/// A transport whose handler echoes, and what it was asked.
struct Node {
    transport: Transport,
    asked: Arc<Mutex<Vec<Bytes>>>,
    exchanges: Arc<Mutex<Vec<NodeId>>>,
}

impl Node {
    async fn start(net: Arc<dyn Net>, listen: &Address, spec: Spec) -> Self {
        let (asked, exchanges) = (Arc::default(), Arc::default());
        let callbacks = callbacks(&spec, &asked, &exchanges);
        let token = spec.token.clone();
        let transport = Transport::start(net, listen, token, callbacks).await.unwrap();
        Self { transport, asked, exchanges }
    }

    fn asked(&self) -> Vec<Bytes> {
        self.asked.lock().unwrap().clone()
    }

    fn request(&self, to: u32, body: &'static str) -> Result<link::Waiting, NotSent> {
        let peer = self.transport.peer(NodeId(to)).unwrap();
        peer.request(Kind::Forward, GROUP, Bytes::from_static(body.as_bytes()))
    }

    fn is_connected(&self, to: u32) -> bool {
        self.transport.peer(NodeId(to)).unwrap().is_connected()
    }

    async fn wait_connected(&self, to: u32, connected: bool) {
        wait(|| self.is_connected(to) == connected).await;
    }
}

fn callbacks(
    spec: &Spec,
    asked: &Arc<Mutex<Vec<Bytes>>>,
    exchanges: &Arc<Mutex<Vec<NodeId>>>,
) -> Callbacks {
    let (presented, asked, exchanges) = (spec.clone(), Arc::clone(asked), Arc::clone(exchanges));
    let (refuse, refuse_exchange) = (spec.refuse.clone(), spec.refuse_exchange.clone());
    Callbacks {
        present: Arc::new(move || presented.presented()),
        accept: Arc::new(move |_| refuse.clone().map_or(Ok(()), Err)),
        make_exchange: Arc::new(Exchange::default),
        take_exchange: Arc::new(move |node, _| {
            exchanges.lock().unwrap().push(node);
            refuse_exchange.clone().map_or(Ok(()), Err)
        }),
        lost: Arc::new(|_| {}),
        handle: Arc::new(move |incoming| {
            let asked = Arc::clone(&asked);
            Box::pin(async move {
                // At the first poll, as whoever sends into a channel, which takes of tokio's budget:
                // what counts is the order of those.
                tokio::task::consume_budget().await;
                asked.lock().unwrap().push(incoming.body.clone());
                match &incoming.body[..] {
                    b"never" => std::future::pending().await,
                    b"slow" => sleep(Duration::from_secs(1)).await,
                    b"no" => return Err(Refused::new(Reason::NotNow, "not now")),
                    _ => {}
                }
                Ok(incoming.body)
            })
        }),
    }
}

/// Waits until something holds, for half a minute of simulated time at most.
async fn wait(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come to hold");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Starts nodes with these specs on hosts `h<id>`; each knows all others.
async fn nodes<const N: usize>(fabric: &Fabric, specs: [Spec; N]) -> [Node; N] {
    let ids: Vec<u32> = specs.iter().map(|spec| spec.node).collect();
    let mut nodes = Vec::new();
    for spec in specs {
        let (net, address) = (fabric.host(&format!("h{}", spec.node)), address(spec.node));
        nodes.push(Node::start(Arc::new(net), &address, spec).await);
    }
    for (node, id) in nodes.iter().zip(&ids) {
        let others = ids.iter().filter(|other| *other != id);
        node.transport.set_peers(&others.map(|id| (NodeId(*id), address(*id))).collect());
    }
    nodes.try_into().unwrap_or_else(|_| unreachable!("as many nodes as specs"))
}

async fn pair(fabric: &Fabric) -> [Node; 2] {
    let pair = nodes(fabric, [Spec::node(1), Spec::node(2)]).await;
    pair[0].wait_connected(2, true).await;
    pair[1].wait_connected(1, true).await;
    pair
}
