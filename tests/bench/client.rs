//! A raw HTTP/1.1 client that keeps its connection: as little as measures the server
//! and not itself. It knows what the server answers with, and no more of HTTP.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Failure;

/// How long an answer may take before the bench gives up.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// More than any answer has.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// An answer to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The header `X-Event-Sequence`.
    pub sequence: Option<u64>,
    pub body: String,
}

/// A connection on which one request at a time is sent and answered.
pub struct Connection {
    stream: TcpStream,
    is_blocking: bool,
    received: Vec<u8>,
}

impl Connection {
    /// Connects; [`receive`](Self::receive) waits until something arrives.
    pub fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { stream, is_blocking: true, received: Vec::with_capacity(4 * 1024) })
    }

    /// From now on [`receive`](Self::receive) waits for nothing.
    pub fn set_nonblocking(&mut self) -> Result<(), Failure> {
        self.is_blocking = false;
        Ok(self.stream.set_nonblocking(true)?)
    }

    /// The socket, to be waited on.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends a request as it is. On a socket that does not block, too: one request
    /// always finds room, since the one before has been answered.
    pub fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        Ok(self.stream.write_all(request)?)
    }

    /// Reads once; none means that the answer is not complete yet.
    pub fn receive(&mut self) -> Result<Option<Answer>, Failure> {
        // More than any answer here, so that one read leaves nothing behind.
        let mut buffer = [0; 16 * 1024];
        let count = match self.stream.read(&mut buffer) {
            Ok(0) => return Err("the server closed an HTTP connection".into()),
            Ok(count) => count,
            // On a blocking socket this is how a timeout shows.
            Err(error) if error.kind() == ErrorKind::WouldBlock && !self.is_blocking => {
                return Ok(None);
            }
            Err(error) => return Err(format!("no answer: {error}").into()),
        };
        self.received.extend_from_slice(&buffer[..count]);
        let Some((answer, length)) = parse(&self.received)? else {
            return Ok(None);
        };
        if length < self.received.len() {
            return Err("the server sent more than one answer to a request".into());
        }
        self.received.clear();
        Ok(Some(answer))
    }

    /// Sends a request and waits for its answer.
    pub fn exchange(&mut self, request: &[u8]) -> Result<Answer, Failure> {
        self.send(request)?;
        loop {
            if let Some(answer) = self.receive()? {
                return Ok(answer);
            }
        }
    }
}

/// A request with a JSON body.
pub fn request(method: &str, path: &str, token: &str, body: &serde_json::Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The answer at the front of these bytes and its length; none while it is incomplete.
pub fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, Failure> {
    let Some(head_end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err("an answer's head does not end".into());
        }
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..head_end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.ok_or("an answer has no status")?.parse()?;
    let (mut sequence, mut body_length) = (None, None);
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name.eq_ignore_ascii_case("x-event-sequence") {
            sequence = Some(value.trim().parse()?);
        } else if name.eq_ignore_ascii_case("content-length") {
            body_length = Some(value.trim().parse::<usize>()?);
        }
    }
    let body_length = body_length.ok_or_else(|| format!("no Content-Length: {head}"))?;
    let length = head_end + 4 + body_length;
    if length > ANSWER_BYTES_MAX {
        return Err(format!("an answer of {length} bytes").into());
    }
    let Some(body) = bytes.get(head_end + 4..length) else {
        return Ok(None);
    };
    let body = String::from_utf8_lossy(body).into_owned();
    Ok(Some((Answer { status, sequence, body }, length)))
}
