//! The same bytes through another decoder, tungstenite's: what both take is the same, and
//! what it refuses is refused here.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::tests::{close, cut, data, joined, message, nearly_utf8};
use super::*;

/// Bytes of a frame, for both.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// A socket of which these pieces arrive, and no more for now.
struct Pieces(VecDeque<Vec<u8>>);

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(mut piece) = self.0.pop_front() else {
            return Err(ErrorKind::WouldBlock.into());
        };
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        if count < piece.len() {
            self.0.push_front(piece.split_off(count));
        }
        Ok(count)
    }
}

impl Write for Pieces {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the other decoder gives, and whether it fails at the end of that.
fn read_by_other(pieces: &[&[u8]]) -> (Vec<FrameEvent>, bool) {
    // An empty piece would be the end of the stream.
    let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec());
    let config =
        WebSocketConfig::default().max_frame_size(Some(FRAME_BYTES_MAX)).max_message_size(None);
    let socket = Pieces(pieces.collect());
    let mut socket = WebSocket::from_raw_socket(socket, Role::Server, Some(config));
    let mut events = Vec::new();
    loop {
        let event = match socket.read() {
            Ok(Message::Text(text)) => data(MessageKind::Text, text.as_bytes(), true),
            Ok(Message::Binary(bytes)) => data(MessageKind::Binary, &bytes, true),
            Ok(Message::Ping(payload)) => FrameEvent::Ping(payload),
            Ok(Message::Pong(payload)) => FrameEvent::Pong(payload),
            Ok(Message::Close(close)) => {
                let close = close.map(|frame| (frame.code.into(), frame.reason.to_string()));
                events.push(FrameEvent::Close(close));
                return (events, false);
            }
            Ok(Message::Frame(_)) => unreachable!("it reads none"),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                return (events, false);
            }
            Err(_) => return (events, true),
        };
        events.push(event);
    }
}

/// What this decoder gives of whole messages, and what the client did wrong after them.
fn read_by_ours(pieces: &[&[u8]]) -> (Vec<FrameEvent>, Option<Violation>) {
    let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX as u64);
    let mut events = Vec::new();
    let mut violation = None;
    'pieces: for piece in pieces {
        decoder.feed(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => {
                    violation = Some(error);
                    break 'pieces;
                }
            }
        }
    }
    let is_whole =
        |event: &FrameEvent| !matches!(event, FrameEvent::Data { ends_message: false, .. });
    (joined(events).into_iter().filter(is_whole).collect(), violation)
}

/// Whether a length takes more bytes than it needs, which the other decoder lets pass.
fn has_a_long_length(mut bytes: &[u8]) -> bool {
    while let Some(length) = bytes.get(1) {
        let number =
            |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let (header, length, least) = match (length & 0x7F, bytes.get(2..4), bytes.get(2..10)) {
            (126, Some(two), _) => (4, number(two), 126),
            (127, _, Some(eight)) => (10, number(eight), 1 << 16),
            (126 | 127, _, _) => return false,
            (short, _, _) => (2, u64::from(short), 0),
        };
        if length < least {
            return true;
        }
        let end = usize::try_from(length).ok().and_then(|length| length.checked_add(header + 4));
        bytes = end.and_then(|end| bytes.get(end..)).unwrap_or_default();
    }
    false
}

fn agree(bytes: &[u8], pieces: &[&[u8]]) -> Result<(), TestCaseError> {
    let (ours, violation) = read_by_ours(pieces);
    let (theirs, has_failed) = read_by_other(pieces);
    let Some(violation) = violation else {
        prop_assert_eq!((theirs, has_failed), (ours, false));
        return Ok(());
    };
    if violation == Violation::Protocol && has_a_long_length(bytes) {
        return Ok(());
    }
    // Refused here as soon as its first bytes show it, and there when all of it has come;
    // control frames within a text may be among what comes until then.
    prop_assert!(theirs.starts_with(&ours), "{:?} and then {:?}", ours, theirs);
    let more = &theirs[ours.len()..];
    let is_control = |event: &FrameEvent| !matches!(event, FrameEvent::Data { .. });
    // A code that nobody may send is shown there as if the right one had been sent.
    let is_close = matches!(more, [FrameEvent::Close(_)]);
    let is_late = violation == Violation::InvalidUtf8 && more.iter().all(is_control);
    prop_assert!(more.is_empty() || is_close || is_late, "{:?}: {:?}", violation, more);
    if violation == Violation::TooBig {
        prop_assert!(has_failed);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_legal_stream_is_read_alike(
        messages in vec(message(), 0..4),
        end in proptest::option::of((1000_u16..5000, nearly_utf8())),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let (frames, _): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let mut stream = frames.concat().concat();
        if let Some((code, reason)) = end {
            stream.extend(close(code, &reason[..reason.len().min(123)]));
        }
        agree(&stream, &cut(&stream, &cuts))?;
    }

    #[test]
    fn a_stream_with_changed_bytes_is_read_alike(
        messages in vec(message(), 1..4),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        is_cut_off in proptest::option::of(any::<Index>()),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let (frames, _): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let mut stream = frames.concat().concat();
        for (place, byte) in changes {
            // The headers, most of the time: they are where bytes differ in meaning.
            let place = place.index(stream.len().min(400));
            stream[place] = byte;
        }
        if let Some(end) = is_cut_off {
            stream.truncate(end.index(stream.len()));
        }
        agree(&stream, &cut(&stream, &cuts))?;
    }

    #[test]
    fn any_headers_are_read_alike(
        heads in vec((any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..16)), 1..6),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let frames = heads.into_iter().map(|(first, second, rest)| [vec![first, second], rest].concat());
        let stream: Vec<u8> = frames.collect::<Vec<_>>().concat();
        agree(&stream, &cut(&stream, &cuts))?;
    }
}
