//! A SignalR client that only listens, on any transport and in either protocol: it
//! counts the messages that it gets by the name of the method that they call.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use memchr::memmem;

use super::test_server::{TestServer, request};
use crate::Failure;
use crate::client::ANSWER_TIMEOUT;

/// The method that broadcasts call: it stands once in each message of either protocol.
const TARGET: &[u8] = b"Broadcast";

/// A transport and a protocol that go together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    WebSocketsJson,
    WebSocketsMessagePack,
    EventsJson,
    PollingJson,
    PollingMessagePack,
}

impl Pair {
    pub const ALL: [Self; 5] = [
        Self::WebSocketsJson,
        Self::WebSocketsMessagePack,
        Self::EventsJson,
        Self::PollingJson,
        Self::PollingMessagePack,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocketsJson => "WebSockets, JSON",
            Self::WebSocketsMessagePack => "WebSockets, MessagePack",
            Self::EventsJson => "Server-Sent Events, JSON",
            Self::PollingJson => "long polling, JSON",
            Self::PollingMessagePack => "long polling, MessagePack",
        }
    }

    fn handshake(self) -> String {
        let protocol = match self {
            Self::WebSocketsJson | Self::EventsJson | Self::PollingJson => "json",
            Self::WebSocketsMessagePack | Self::PollingMessagePack => "messagepack",
        };
        format!("{{\"protocol\":\"{protocol}\",\"version\":1}}\x1E")
    }
}

/// One connection that listens.
pub struct Listener {
    pub stream: TcpStream,
    /// What is asked for after each answer, of a connection that polls.
    poll: Option<Vec<u8>>,
    /// What is left of the answer that is read; its head has not come while none.
    body_left: Option<usize>,
    head: Vec<u8>,
    /// The end of what was read, in which a name may have begun.
    carry: Vec<u8>,
}

impl Listener {
    /// Connects and shakes hands; the socket blocks.
    pub fn open(server: &TestServer, pair: Pair) -> Result<Self, Failure> {
        let stream = TcpStream::connect(server.address())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut listener =
            Self { stream, poll: None, body_left: None, head: Vec::new(), carry: Vec::new() };
        match pair {
            Pair::WebSocketsJson | Pair::WebSocketsMessagePack => listener.upgrade(pair)?,
            Pair::EventsJson => {
                let token = server.negotiate()?;
                let accept = "Accept: text/event-stream\r\n";
                let path = format!("/testhub?id={token}");
                listener.stream.write_all(&request("GET", &path, accept))?;
                listener.read_until(b":\r\n")?;
                server.post(&token, pair.handshake().as_bytes())?;
                listener.read_until(b"{}\x1E")?;
            }
            Pair::PollingJson | Pair::PollingMessagePack => {
                let token = server.negotiate()?;
                let poll = request("GET", &format!("/testhub?id={token}"), "");
                listener.stream.write_all(&poll)?;
                listener.read_until(b"\r\n\r\n")?;
                server.post(&token, pair.handshake().as_bytes())?;
                listener.stream.write_all(&poll)?;
                listener.read_until(b"{}\x1E")?;
                listener.stream.write_all(&poll)?;
                listener.poll = Some(poll);
            }
        }
        Ok(listener)
    }

    fn upgrade(&mut self, pair: Pair) -> Result<(), Failure> {
        let head = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n";
        self.stream.write_all(&request("GET", "/testhub", head))?;
        self.read_until(b"\r\n\r\n")?;
        let handshake = pair.handshake();
        // A mask of zeros changes nothing.
        let length = u8::try_from(handshake.len())?;
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], handshake.as_bytes()].concat();
        self.stream.write_all(&frame)?;
        self.read_until(b"{}\x1E")
    }

    /// Reads byte by byte, so that nothing of what follows is taken.
    fn read_until(&mut self, end: &[u8]) -> Result<(), Failure> {
        let mut read = Vec::new();
        while !read.ends_with(end) {
            let mut byte = [0];
            self.stream
                .read_exact(&mut byte)
                .map_err(|error| format!("{error} after {:?}", String::from_utf8_lossy(&read)))?;
            read.push(byte[0]);
        }
        Ok(())
    }

    /// Reads what there is, from a socket that does not block; answers how many
    /// messages it completed the name of, and polls again where that is due.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<u64, Failure> {
        let mut messages = 0;
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err("the server dropped a connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(messages),
                Err(error) => return Err(format!("a connection broke: {error}").into()),
            };
            messages += self.count(&buffer[..count]);
            if self.poll.is_some() {
                self.follow_answers(&buffer[..count])?;
            }
            if count < buffer.len() {
                return Ok(messages);
            }
        }
    }

    fn count(&mut self, bytes: &[u8]) -> u64 {
        const KEPT: usize = TARGET.len() - 1;
        let finder = memmem::Finder::new(TARGET);
        // A name may span what was read before and what is read now.
        let carried = self.carry.len();
        self.carry.extend_from_slice(&bytes[..bytes.len().min(KEPT)]);
        let across = u64::from(finder.find(&self.carry).is_some());
        let within = finder.find_iter(bytes).count() as u64;
        if bytes.len() >= KEPT {
            self.carry.clear();
            self.carry.extend_from_slice(&bytes[bytes.len() - KEPT..]);
        } else if across > 0 {
            self.carry.clear();
        } else {
            let surplus = (carried + bytes.len()).saturating_sub(KEPT);
            self.carry.drain(..surplus);
        }
        across + within
    }

    /// Finds the ends of answers, each of which has a length, and polls again.
    fn follow_answers(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            if let Some(left) = self.body_left {
                let taken = left.min(bytes.len());
                self.body_left = Some(left - taken);
                bytes = &bytes[taken..];
            } else {
                let carried = self.head.len();
                self.head.extend_from_slice(bytes);
                let Some(end) = memmem::find(&self.head, b"\r\n\r\n") else {
                    return Ok(());
                };
                self.body_left = Some(content_length(&self.head[..end])?);
                self.head.clear();
                bytes = &bytes[end + 4 - carried..];
            }
            if self.body_left == Some(0)
                && let Some(poll) = &self.poll
            {
                self.body_left = None;
                self.stream.write_all(poll)?;
            }
        }
        Ok(())
    }
}

fn content_length(head: &[u8]) -> Result<usize, Failure> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        return Err(format!("a poll was answered {head}").into());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    Ok(length.ok_or("an answer without a length")?.trim().parse()?)
}
