//! A WebSocket down to its bytes: frames can be malformed, cut anywhere and held back.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::PATIENCE;
use super::site::Site;

pub const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";

pub const TEXT: u8 = 0x81;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;

/// An upgraded connection.
pub struct RawSocket {
    stream: TcpStream,
    received: Vec<u8>,
    messages: std::collections::VecDeque<Value>,
}

/// What the server sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A hub message.
    Message(Value),
    /// The answer to a WebSocket ping.
    Pong(Vec<u8>),
    /// A close frame with this code.
    Close(u16),
    /// The end of the TCP stream.
    End,
}

impl RawSocket {
    /// Asks for the upgrade; a refusal is its status.
    pub async fn open(site: &Site, path: &str, token: &str) -> Result<Self, u16> {
        let mut stream = TcpStream::connect(site.server.address).await.expect("a listener");
        stream.set_nodelay(true).expect("an option");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut socket = Self { stream, received: Vec::new(), messages: Default::default() };
        let head_bytes = loop {
            let end = socket.received.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => assert!(socket.read_more().await, "an answer comes"),
            }
        };
        let status = std::str::from_utf8(&socket.received[9..12]).expect("text");
        let status = status.parse().expect("a status");
        socket.received.drain(..head_bytes);
        if status == 101 { Ok(socket) } else { Err(status) }
    }

    /// The same, with the handshake done.
    pub async fn connect(site: &Site, token: &str) -> Self {
        let mut socket = Self::open(site, "/hub/dispatch", token).await.expect("the upgrade");
        socket.send_text(HANDSHAKE).await;
        assert_eq!(socket.next().await, Received::Message(json!({})), "the handshake is accepted");
        socket
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the connection is open");
    }

    /// Sends the text in a frame of its own.
    pub async fn send_text(&mut self, text: &str) {
        self.send_bytes(&frame(TEXT, text.as_bytes())).await;
    }

    pub async fn next(&mut self) -> Received {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Received::Message(message);
            }
            match self.take_frame() {
                Some((0x1, payload)) => {
                    let text = String::from_utf8(payload).expect("text is UTF-8");
                    assert!(text.ends_with('\u{1e}'), "frames hold whole messages: {text}");
                    let records = text.split_terminator('\u{1e}');
                    self.messages
                        .extend(records.map(|text| serde_json::from_str(text).expect("JSON")));
                }
                Some((0x8, payload)) => {
                    let code = payload.get(..2).expect("a close frame has a code");
                    return Received::Close(u16::from_be_bytes([code[0], code[1]]));
                }
                Some((0xA, payload)) => return Received::Pong(payload),
                Some((opcode, _)) => panic!("the server does not send opcode {opcode}"),
                None if self.read_more().await => {}
                None => return Received::End,
            }
        }
    }

    /// The next hub message.
    pub async fn message(&mut self) -> Value {
        match self.next().await {
            Received::Message(message) => message,
            other => panic!("a message, not {other:?}"),
        }
    }

    /// Everything until the end of the stream; a close frame is followed by the end of
    /// the client's side, as clients do it.
    pub async fn rest(&mut self) -> Vec<Received> {
        let mut rest = Vec::new();
        loop {
            match self.next().await {
                Received::End => return rest,
                received => rest.push(received),
            }
            if matches!(rest.last(), Some(Received::Close(_))) {
                // The server may have closed the stream by now.
                let _ = self.stream.shutdown().await;
            }
        }
    }

    /// The opcode and payload of a frame that has arrived whole.
    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let bytes = &self.received;
        let (start, length) = match *bytes.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => panic!("a test's messages are short"),
            length => (2, usize::from(length)),
        };
        let payload = bytes.get(start..start + length)?.to_vec();
        let opcode = bytes[0] & 0x0F;
        self.received.drain(..start + length);
        Some((opcode, payload))
    }

    /// Sends what may be too much for the server, which then may have hung up.
    pub async fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Ends the client's half without a close frame, and waits until the server ends its own.
    pub async fn hang_up(mut self) {
        let _ = self.stream.shutdown().await;
        while self.read_more().await {}
    }

    /// False at the stream's end, also when it ends by a reset.
    async fn read_more(&mut self) -> bool {
        let reading = self.stream.read_buf(&mut self.received);
        let read = tokio::time::timeout(PATIENCE, reading).await.expect("bytes come in time");
        read.is_ok_and(|bytes| bytes > 0)
    }
}

/// A hub invocation that waits for an answer.
pub fn invocation(id: &str, target: &str, arguments: Value) -> String {
    let call = json!({
        "type": 1, "invocationId": id, "target": target, "arguments": arguments,
    });
    format!("{call}\u{1e}")
}

/// A client's frame.
pub fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    masked_frame(first_byte, payload, [0x37, 0xFA, 0x21, 0x3D])
}

pub fn masked_frame(first_byte: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![first_byte];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | u8::try_from(short).expect("short")),
        middle @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(middle).expect("middle").to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
