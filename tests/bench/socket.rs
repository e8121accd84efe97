//! A minimal WebSocket client that speaks SignalR: enough to join a group, and then to
//! count events by the frames' headers alone, without looking at what is in them.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;
use crate::client::ANSWER_TIMEOUT;

/// What ends a hub message in JSON.
const RECORD_SEPARATOR: u8 = 0x1E;

/// The payload from which a frame takes two or eight more bytes for its length. Every
/// event is longer and every ping shorter, so this tells them apart, too.
const EVENT_BYTES_MIN: usize = 126;

/// Opens a WebSocket to the hub and joins the region's dispatch group; answers once the
/// server has said that it is done.
pub fn join(address: SocketAddr, token: &str, region: &str) -> Result<TcpStream, Failure> {
    join_on(TcpStream::connect(address)?, token, region)
}

/// The same on a connection that has been made.
pub fn join_on(mut stream: TcpStream, token: &str, region: &str) -> Result<TcpStream, Failure> {
    let mut received = upgrade(&mut stream, token)?;
    let hello = format!("{HANDSHAKE}{}", invocation("JoinDispatchGroup", &region.into()));
    stream.write_all(&masked_text_frame(hello.as_bytes()))?;
    // Nothing but these answers and pings comes before the first event, and no event is
    // made while an audience gathers.
    while !is_joined(&received)? {
        read_more(&mut stream, &mut received)?;
    }
    Ok(stream)
}

/// Opens a WebSocket to the hub, up to SignalR's handshake; it is in no group yet.
pub fn open(address: SocketAddr, token: &str) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(address)?;
    let mut received = upgrade(&mut stream, token)?;
    stream.write_all(&masked_text_frame(HANDSHAKE.as_bytes()))?;
    while !received.ends_with(b"{}\x1E") {
        read_more(&mut stream, &mut received)?;
    }
    Ok(stream)
}

/// A frame that subscribes to groups from past a sequence on.
pub fn subscribe_frame(groups: &[String], after: u64) -> Vec<u8> {
    let subscription = json!({ "groups": groups, "after": after });
    masked_text_frame(invocation("Subscribe", &subscription).as_bytes())
}

/// How a client begins to speak SignalR.
const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\x1E";

/// A call of a method with one argument.
fn invocation(target: &str, argument: &Value) -> String {
    let call = json!({
        "type": 1, "invocationId": "0", "target": target, "arguments": [argument],
    });
    format!("{call}\x1E")
}

/// Makes a connection a WebSocket; answers what came behind the answer.
fn upgrade(stream: &mut TcpStream, token: &str) -> Result<Vec<u8>, Failure> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    // Without negotiation, as `skipNegotiation` does. The answer's Sec-WebSocket-Accept
    // is not checked: that the frames make sense is proof enough here.
    let upgrade = format!(
        "GET /hub/dispatch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n"
    );
    stream.write_all(upgrade.as_bytes())?;
    let mut received = Vec::new();
    let head_end = loop {
        if let Some(end) = memchr::memmem::find(&received, b"\r\n\r\n") {
            break end;
        }
        read_more(stream, &mut received)?;
    };
    let head = String::from_utf8_lossy(&received[..head_end]).into_owned();
    if !head.starts_with("HTTP/1.1 101 ") {
        return Err(format!("no WebSocket: {head}").into());
    }
    received.drain(..head_end + 4);
    Ok(received)
}

/// Whether these frames, each whole, end with the join's completion.
fn is_joined(received: &[u8]) -> Result<bool, Failure> {
    let Some(messages) = messages(received)? else {
        return Ok(false);
    };
    for message in &messages {
        let message: Value = serde_json::from_slice(message)?;
        if !message["error"].is_null() || message["type"] == 7 {
            return Err(format!("cannot join: {message}").into());
        }
        if message["type"] == 3 && message["invocationId"] == "0" {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read_more(stream: &mut TcpStream, received: &mut Vec<u8>) -> Result<(), Failure> {
    let mut buffer = [0; 4 * 1024];
    let count = stream.read(&mut buffer).map_err(|error| format!("no answer: {error}"))?;
    if count == 0 {
        return Err("the server closed a connection while it joined".into());
    }
    received.extend_from_slice(&buffer[..count]);
    Ok(())
}

/// A client's text frame. The mask is zero, which is allowed and changes nothing.
fn masked_text_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..126), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => unreachable!("what this client says is short"),
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// A frame's header: how long it is itself, and how long its payload.
struct FrameHeader {
    length: usize,
    payload_length: usize,
}

/// Reads a server's frame header; none while it is incomplete. Frames that no event
/// comes in are errors: the server says goodbye, or does what a server never does.
fn frame_header(bytes: &[u8]) -> Result<Option<FrameHeader>, Failure> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    match first {
        0x81 => {}
        0x88 => return Err("the server closed a WebSocket".into()),
        _ => return Err(format!("a frame that starts with {first:#04x}").into()),
    }
    let header = match second {
        0..126 => FrameHeader { length: 2, payload_length: second.into() },
        126 => match rest.first_chunk() {
            Some(length) => {
                FrameHeader { length: 4, payload_length: u16::from_be_bytes(*length).into() }
            }
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(length) => {
                let payload_length = usize::try_from(u64::from_be_bytes(*length))?;
                FrameHeader { length: 10, payload_length }
            }
            None => return Ok(None),
        },
        _ => return Err("the server masked a frame".into()),
    };
    Ok(Some(header))
}

/// Counts events in a stream of frames that comes in pieces of any size.
#[derive(Default)]
pub struct EventCounter {
    /// The start of a header that a piece ended in.
    header: Vec<u8>,
    /// What is left of the current frame's payload.
    payload_left: usize,
    /// Whether the current frame carries an event.
    is_event: bool,
    /// The payload of the current frame, or the last one, that does not.
    other: Vec<u8>,
    completion: Option<Vec<u8>>,
}

impl EventCounter {
    /// Takes the next piece; answers how many events ended in it.
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<u64, Failure> {
        let mut events = 0;
        loop {
            let taken = self.payload_left.min(piece.len());
            self.payload_left -= taken;
            if !self.is_event {
                self.other.extend_from_slice(&piece[..taken]);
            }
            piece = &piece[taken..];
            if self.payload_left > 0 {
                return Ok(events);
            }
            events += u64::from(std::mem::take(&mut self.is_event));
            if self.other.starts_with(b"{\"type\":3") {
                self.completion = Some(self.other[..self.other.len() - 1].to_vec());
            }
            self.other.clear();
            if piece.is_empty() {
                return Ok(events);
            }
            piece = self.start_frame(piece)?;
        }
    }

    /// The answer to a call, if it has come, without what ends it.
    pub fn completion(&self) -> Option<&[u8]> {
        self.completion.as_deref()
    }

    /// Takes a header, or as much of it as there is; answers what follows.
    fn start_frame<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], Failure> {
        let carried = self.header.len();
        let header = if carried == 0 {
            frame_header(piece)?
        } else {
            self.header.extend_from_slice(&piece[..piece.len().min(10)]);
            frame_header(&self.header)?
        };
        let Some(header) = header else {
            if carried == 0 {
                self.header.extend_from_slice(piece);
            }
            return Ok(&[]);
        };
        self.header.clear();
        self.payload_left = header.payload_length;
        self.is_event = header.payload_length >= EVENT_BYTES_MIN;
        Ok(&piece[header.length - carried..])
    }
}

/// The payloads of whole frames; none while the last one is incomplete.
fn payloads(mut bytes: &[u8]) -> Result<Option<Vec<&[u8]>>, Failure> {
    let mut payloads = Vec::new();
    while !bytes.is_empty() {
        let Some(header) = frame_header(bytes)? else {
            return Ok(None);
        };
        let end = header.length + header.payload_length;
        let Some(payload) = bytes.get(header.length..end) else {
            return Ok(None);
        };
        payloads.push(payload);
        bytes = &bytes[end..];
    }
    Ok(Some(payloads))
}

/// The hub messages of whole frames; none while the last one is incomplete.
fn messages(bytes: &[u8]) -> Result<Option<Vec<&[u8]>>, Failure> {
    let Some(payloads) = payloads(bytes)? else {
        return Ok(None);
    };
    let mut messages = Vec::new();
    for payload in payloads {
        let Some((&RECORD_SEPARATOR, whole)) = payload.split_last() else {
            return Err("a frame that does not end with a whole hub message".into());
        };
        messages.extend(whole.split(|byte| *byte == RECORD_SEPARATOR));
    }
    Ok(Some(messages))
}

/// Checks what a connection received: reschedules alone, besides pings, whose sequences
/// rise by one. Answers how many they are.
pub fn check_events(received: &[u8]) -> Result<u64, Failure> {
    let messages = messages(received)?.ok_or("what was received ends within a frame")?;
    let (mut count, mut last) = (0, None);
    for message in messages {
        let message: Value = serde_json::from_slice(message)?;
        if message["type"] == 6 {
            continue;
        }
        let sequence = message["arguments"][0]["sequence"].as_u64();
        let is_next = sequence.is_some() && last.is_none_or(|last| sequence == Some(last + 1));
        if message["type"] != 1 || message["target"] != "JobRescheduled" || !is_next {
            return Err(format!("after the event {last:?} came {message}").into());
        }
        last = sequence;
        count += 1;
    }
    Ok(count)
}

/// Checks what a subscriber received: events that it missed, whose sequences rise, and
/// then the answer to its call. Answers how many they are.
pub fn check_replay(received: &[u8]) -> Result<u64, Failure> {
    let messages = messages(received)?.ok_or("what was received ends within a frame")?;
    let (mut count, mut last) = (0, 0);
    let mut is_complete = false;
    for message in messages {
        let message: Value = serde_json::from_slice(message)?;
        let sequence = message["arguments"][0]["sequence"].as_u64();
        match (message["type"].as_u64(), sequence) {
            (Some(6), _) => {}
            (Some(3), _) if message["error"].is_null() => is_complete = true,
            (Some(1), Some(sequence)) if sequence > last && !is_complete => {
                last = sequence;
                count += 1;
            }
            _ => return Err(format!("after the event {last} came {message}").into()),
        }
    }
    if is_complete { Ok(count) } else { Err("the call was not answered".into()) }
}

/// Notes when each event comes, until one of a sequence that `last` tells, once it tells
/// one that is not 0.
pub fn note_arrivals(
    mut stream: TcpStream,
    last: &AtomicU64,
) -> Result<HashMap<u64, Instant>, Failure> {
    stream.set_read_timeout(Some(LOOK_INTERVAL))?;
    let (mut arrivals, mut received) = (HashMap::new(), Vec::new());
    let mut buffer = vec![0; 64 * 1024];
    let mut asked_at = None;
    loop {
        let last = last.load(Ordering::Acquire);
        if last > 0 && arrivals.contains_key(&last) {
            return Ok(arrivals);
        }
        if last > 0 && asked_at.get_or_insert_with(Instant::now).elapsed() > ANSWER_TIMEOUT {
            return Err(format!("the event {last} did not come").into());
        }
        let count = match stream.read(&mut buffer) {
            Ok(0) => return Err("the server dropped a connection".into()),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(error) => return Err(format!("a connection broke: {error}").into()),
        };
        let at = Instant::now();
        received.extend_from_slice(&buffer[..count]);
        let Some(whole) = messages(&received)? else { continue };
        for message in whole {
            let message: Value = serde_json::from_slice(message)?;
            if let Some(sequence) = message["arguments"][0]["sequence"].as_u64()
                && arrivals.insert(sequence, at).is_some()
            {
                return Err(format!("the event {sequence} came twice").into());
            }
        }
        received.clear();
    }
}

/// How often somebody who notes arrivals looks whether it is over.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The last event's frame, header and all, in what a connection received.
pub fn last_event_frame(received: &[u8]) -> Result<Vec<u8>, Failure> {
    let payloads = payloads(received)?.ok_or("what was received ends within a frame")?;
    let is_event = |payload: &&&[u8]| payload.len() >= EVENT_BYTES_MIN;
    let payload = payloads.iter().rev().find(is_event).ok_or("no event was received")?;
    let length = u16::try_from(payload.len())?.to_be_bytes();
    Ok([&[0x81, 126][..], &length[..], payload].concat())
}
