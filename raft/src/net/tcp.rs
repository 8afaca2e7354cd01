//! Streams over TCP.

use std::io;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};

use super::{Address, Listener, Net, Nonce, Stream};

/// The network of this machine.
///
/// Names are resolved at each connect, so a peer may move. Nagle's algorithm is off at both ends:
/// frames are gathered before they are written, and must not wait for more.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpNet;

#[derive(Debug)]
struct Tcp {
    listener: TcpListener,
    address: Address,
}

impl Net for TcpNet {
    fn nonce(&self) -> io::Result<Nonce> {
        let mut nonce = Nonce::default();
        getrandom::fill(&mut nonce).map_err(|error| {
            io::Error::other(format!("the system gives no randomness: {error}"))
        })?;
        Ok(nonce)
    }

    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Stream>> {
        async { split(TcpStream::connect(address.0.as_str()).await?) }.boxed()
    }

    fn listen<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        async {
            let listener = TcpListener::bind(address.0.as_str()).await?;
            let address = Address(listener.local_addr()?.to_string());
            Ok(Box::new(Tcp { listener, address }) as Box<dyn Listener>)
        }
        .boxed()
    }
}

impl Listener for Tcp {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Stream, String)>> {
        async {
            let (stream, from) = self.listener.accept().await?;
            Ok((split(stream)?, from.to_string()))
        }
        .boxed()
    }

    fn address(&self) -> Address {
        self.address.clone()
    }
}

fn split(stream: TcpStream) -> io::Result<Stream> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    Ok(Stream { reader: Box::new(reader), writer: Box::new(writer) })
}
