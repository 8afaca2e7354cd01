//! The lines of a body, one after another as they come.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use steadfast_cli::api::problem::Problem;
use steadfast_raft::limits;
use tokio::time::{Instant, timeout_at};

use crate::http::body;
use crate::http::problem::refused;

/// A body, read line by line: it holds the line that it reads, and what came with it.
#[derive(Debug)]
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// How much of the buffer has no line end.
    looked: usize,
    ended: bool,
}

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Self { body, buffer: BytesMut::new(), looked: 0, ended: false }
    }

    /// Returns the next line without its end. The last one needs none.
    pub(super) async fn next(&mut self, deadline: Instant) -> Result<Option<Bytes>, Box<Problem>> {
        loop {
            let end = self.buffer[self.looked..].iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let mut line = self.buffer.split_to(self.looked + end + 1);
                line.truncate(line.len() - 1);
                self.looked = 0;
                return Ok(Some(line.freeze()));
            }
            self.looked = self.buffer.len();
            if limits::IMPORT_LINE_BYTES_MAX < self.looked {
                return Err(too_long());
            }
            if self.ended {
                self.looked = 0;
                let rest = self.buffer.split().freeze();
                return Ok(Some(rest).filter(|rest| !rest.is_empty()));
            }
            match timeout_at(deadline, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    // Trailers say nothing here.
                    self.buffer.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
                }
                Ok(Some(Err(error))) => return Err(body::incomplete(&error)),
                Ok(None) => self.ended = true,
                Err(_elapsed) => return Err(body::late()),
            }
        }
    }
}

fn too_long() -> Box<Problem> {
    let max = limits::IMPORT_LINE_BYTES_MAX;
    let detail = format!("it has more than {max} bytes; no key and value take as many");
    refused(413, "too-large", "A line is too long", detail, "one key is one line")
}
