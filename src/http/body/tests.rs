use super::*;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Frame;

/// A body in chunks, which never says how long it is, and never ends if `endless`.
struct Chunks {
    left: Vec<Bytes>,
    endless: bool,
}

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left.pop() {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            None if self.endless => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

async fn read_chunks(sizes: &[usize], endless: bool) -> Result<Bytes, (u16, String)> {
    let left = sizes.iter().map(|size| Bytes::from(vec![0; *size])).collect();
    let deadline = Instant::now() + Duration::from_secs(5);
    let read = read(Body::new(Chunks { left, endless }), 100, deadline).await;
    read.map_err(|problem| (problem.status, problem.code))
}

#[tokio::test]
async fn chunks_are_counted_while_they_are_read() {
    assert_eq!(read_chunks(&[60, 40], false).await.map(|bytes| bytes.len()), Ok(100));
    let refused = Err((413, "too-large".to_owned()));
    assert_eq!(read_chunks(&[60, 41], false).await, refused);
    assert_eq!(read_chunks(&[60, 41], true).await, refused, "before the end is there");
}

#[tokio::test]
async fn a_body_that_knows_its_length_is_refused_unread() {
    let deadline = Instant::now() + Duration::from_secs(5);
    let read = read(Body::from(vec![0; 101]), 100, deadline).await;
    assert_eq!(read.expect_err("one byte too many").status, 413);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up_at_the_deadline() {
    let started = Instant::now();
    assert_eq!(read_chunks(&[60], true).await, Err((408, "body-timeout".to_owned())));
    assert_eq!(started.elapsed().as_secs(), 5);
}
