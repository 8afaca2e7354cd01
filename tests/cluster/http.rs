//! HTTP/1.1 by hand: one connection, one request at a time, any bytes.
//!
//! It exists because a test of outcomes must know whether a request was sent at all.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take: longer than any request of these tests asks for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was sent.
    Refused(io::Error),
    /// Something was sent.
    Lost(io::Error),
}

/// A client of one node.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Answer {
    /// Returns a header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(it, _)| it.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// Returns the body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the code of a problem, or nothing.
    pub(crate) fn code(&self) -> String {
        let problem: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        problem.and_then(|it| Some(it.get("code")?.as_str()?.to_owned())).unwrap_or_default()
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends a request and returns its answer.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Failure> {
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        if !matches!(method, "GET" | "HEAD") {
            bytes.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        bytes.push_str("\r\n");
        self.raw(&[bytes.as_bytes(), body].concat(), method == "HEAD")
    }

    /// Sends several requests at once, and returns their answers in the order in which they come.
    pub(crate) fn pipeline(&mut self, requests: &[String]) -> Result<Vec<Answer>, Failure> {
        let mut stream = self.connect().map_err(Failure::Refused)?;
        let sent = stream.get_mut().write_all(requests.concat().as_bytes());
        sent.map_err(Failure::Lost)?;
        requests.iter().map(|_| answer(&mut stream, false).map_err(Failure::Lost)).collect()
    }

    /// Sends bytes and goes away.
    pub(crate) fn abandon(&self, bytes: &[u8]) {
        let mut stream = self.connect().expect("the node accepts");
        // The node may have answered, and closed, before it has read everything.
        stream.get_mut().write_all(bytes).ok();
    }

    /// Sends bytes and returns the answer to them.
    pub(crate) fn raw(&mut self, bytes: &[u8], head: bool) -> Result<Answer, Failure> {
        let mut stream = match self.stream.take().filter(is_open) {
            Some(stream) => stream,
            None => self.connect().map_err(Failure::Refused)?,
        };
        // A node may answer, and close, before it has read everything.
        let written = stream.get_mut().write_all(bytes);
        match (answer(&mut stream, head), written) {
            (Ok(answer), written) => {
                let closes = answer.header("connection") == Some("close");
                self.stream = Some(stream).filter(|_| written.is_ok() && !closes);
                Ok(answer)
            }
            (Err(_), Err(error)) | (Err(error), Ok(())) => Err(Failure::Lost(error)),
        }
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(BufReader::new(stream))
    }
}

/// Returns whether a connection that stood idle is still open, as far as was heard.
fn is_open(stream: &BufReader<TcpStream>) -> bool {
    let stream = stream.get_ref();
    let peek = || {
        stream.set_nonblocking(true)?;
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        peeked
    };
    peek().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn answer(stream: &mut BufReader<TcpStream>, head: bool) -> io::Result<Answer> {
    let first = line(stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status: {first:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = line(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    let bodiless = head || matches!(status, 204 | 304);
    if let Some(length) = answer.header("content-length").filter(|_| !bodiless) {
        answer.body = vec![0; length.parse().expect("a length is a number")];
        stream.read_exact(&mut answer.body)?;
    }
    if answer.header("transfer-encoding") == Some("chunked") && !bodiless {
        answer.body = chunks(stream)?;
    }
    Ok(answer)
}

/// Reads a body that comes in pieces. One whose end does not come is an error.
fn chunks(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let length = line(stream)?;
        let length = usize::from_str_radix(&length, 16).map_err(io::Error::other)?;
        let begin = body.len();
        body.resize(begin + length, 0);
        stream.read_exact(&mut body[begin..])?;
        line(stream)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
