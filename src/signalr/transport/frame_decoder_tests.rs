//! Legal streams, violations, and what holds for any bytes cut anywhere.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A client's frame: the first byte, a length as it is to be encoded, and the payload.
fn frame_with(first: u8, length: &[u8], key: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let masked = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
    [first, length[0] | 0x80]
        .into_iter()
        .chain(length[1..].iter().copied())
        .chain(key)
        .chain(masked)
        .collect()
}

/// The shortest encoding of a length, without the mask bit.
fn length_of(payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => vec![short],
        (_, Ok(medium)) => [&[126][..], &medium.to_be_bytes()].concat(),
        _ => [&[127][..], &(length as u64).to_be_bytes()].concat(),
    }
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(first, &length_of(payload), KEY, payload)
}

pub(super) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

pub(super) fn data(kind: MessageKind, bytes: &[u8], ends_message: bool) -> FrameEvent {
    FrameEvent::Data { kind, bytes: Bytes::copy_from_slice(bytes), ends_message }
}

fn text(bytes: &[u8]) -> FrameEvent {
    data(MessageKind::Text, bytes, true)
}

fn ping(bytes: &'static [u8]) -> FrameEvent {
    FrameEvent::Ping(Bytes::from_static(bytes))
}

/// All events of the chunks, and the violation if there is one.
fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<FrameEvent>, Option<Violation>) {
    let mut decoder = FrameDecoder::new(u64::MAX);
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.feed(Bytes::copy_from_slice(chunk));
        loop {
            match decoder.next() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => return (events, Some(violation)),
            }
        }
    }
    (events, None)
}

/// The same events however the bytes were cut: a message's pieces become one.
pub(super) fn joined(events: Vec<FrameEvent>) -> Vec<FrameEvent> {
    let mut messages = Vec::new();
    let mut gathered = Vec::new();
    let mut last_kind = None;
    for event in events {
        match event {
            FrameEvent::Data { kind, bytes, ends_message } => {
                assert!(ends_message || !bytes.is_empty(), "an empty piece that ends nothing");
                gathered.extend_from_slice(&bytes);
                last_kind = (!ends_message).then_some(kind);
                if ends_message {
                    messages.push(data(kind, &mem::take(&mut gathered), true));
                }
            }
            other => messages.push(other),
        }
    }
    if let Some(kind) = last_kind.filter(|_| !gathered.is_empty()) {
        messages.push(data(kind, &gathered, false));
    }
    messages
}

/// The bytes in chunks, cut at the places.
pub(super) fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|place| &bytes[place[0]..place[1]]).collect()
}

/// Name, frames, and the events when they arrive in one chunk.
type Legal = (&'static str, Vec<Vec<u8>>, Vec<FrameEvent>);

fn legal_streams() -> Vec<Legal> {
    use MessageKind::{Binary, Text};
    let of = |length: usize| vec![b'x'; length];
    vec![
        ("nothing", vec![], vec![]),
        // RFC 6455, 5.7.
        (
            "the RFC's masked Hello",
            vec![vec![0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]],
            vec![text(b"Hello")],
        ),
        ("an empty text", vec![frame(FIN | TEXT, b"")], vec![text(b"")]),
        (
            "binary that is no UTF-8",
            vec![frame(FIN | BINARY, b"\xFF\x00\xC0")],
            vec![data(Binary, b"\xFF\x00\xC0", true)],
        ),
        ("125 bytes", vec![frame(FIN | TEXT, &of(125))], vec![text(&of(125))]),
        ("126 bytes", vec![frame(FIN | TEXT, &of(126))], vec![text(&of(126))]),
        ("65535 bytes", vec![frame(FIN | TEXT, &of(65_535))], vec![text(&of(65_535))]),
        ("65536 bytes", vec![frame(FIN | TEXT, &of(65_536))], vec![text(&of(65_536))]),
        (
            "fragments",
            vec![frame(TEXT, b"a"), frame(CONTINUATION, b"b"), frame(FIN | CONTINUATION, b"c")],
            vec![data(Text, b"a", false), data(Text, b"b", false), text(b"c")],
        ),
        (
            "empty fragments",
            vec![frame(BINARY, b""), frame(CONTINUATION, b""), frame(FIN | CONTINUATION, b"")],
            vec![data(Binary, b"", true)],
        ),
        (
            "a character across fragments",
            vec![
                frame(TEXT, b"\xF0\x9F"),
                frame(CONTINUATION, b""),
                frame(CONTINUATION, b"\x98"),
                frame(FIN | CONTINUATION, b"\x80"),
            ],
            vec![data(Text, b"\xF0\x9F", false), data(Text, b"\x98", false), text(b"\x80")],
        ),
        (
            "control frames between fragments",
            vec![
                frame(TEXT, b"a"),
                frame(FIN | PING, b"p"),
                frame(FIN | PONG, b""),
                frame(FIN | CONTINUATION, b"b"),
            ],
            vec![data(Text, b"a", false), ping(b"p"), FrameEvent::Pong(Bytes::new()), text(b"b")],
        ),
        (
            "a control frame inside a character",
            vec![
                frame(TEXT, b"\xC3"),
                frame(FIN | PING, b"\xFF"),
                frame(FIN | CONTINUATION, b"\xA9"),
            ],
            vec![data(Text, b"\xC3", false), ping(b"\xFF"), text(b"\xA9")],
        ),
        (
            "a text, a binary and a text",
            vec![frame(FIN | TEXT, b"a"), frame(FIN | BINARY, b"b"), frame(FIN | TEXT, b"c")],
            vec![text(b"a"), data(Binary, b"b", true), text(b"c")],
        ),
        ("the longest ping", vec![frame(FIN | PING, &[b'p'; 125])], vec![ping(&[b'p'; 125])]),
        ("a close of nothing", vec![frame(FIN | CLOSE, b"")], vec![FrameEvent::Close(None)]),
        (
            "a close with a code",
            vec![close(1000, b"")],
            vec![FrameEvent::Close(Some((1000, String::new())))],
        ),
        (
            "a close with the longest reason",
            vec![close(4999, &[b'r'; 123])],
            vec![FrameEvent::Close(Some((4999, "r".repeat(123))))],
        ),
        (
            "a close inside a character",
            vec![frame(TEXT, b"\xC3"), close(1001, "ø".as_bytes())],
            vec![data(Text, b"\xC3", false), FrameEvent::Close(Some((1001, "ø".to_owned())))],
        ),
        (
            "anything after a close",
            vec![close(1000, b""), frame(FIN | TEXT, b"late"), vec![0xFF; 40]],
            vec![FrameEvent::Close(Some((1000, String::new())))],
        ),
    ]
}

#[test]
fn legal_streams_give_their_events() {
    for (name, frames, events) in legal_streams() {
        assert_eq!(read([frames.concat().as_slice()]), (events, None), "{name}");
    }
}

#[test]
fn legal_streams_give_the_same_messages_byte_by_byte() {
    for (name, frames, events) in legal_streams() {
        let stream = frames.concat();
        let (bytewise, violation) = read(stream.chunks(1));
        assert_eq!((joined(bytewise), violation), (joined(events), None), "{name}");
    }
}

/// Name, frames, how many events come before the violation, and the violation. The last
/// frame ends with the byte at which it is due.
type Illegal = (&'static str, Vec<Vec<u8>>, usize, Violation);

fn violations() -> Vec<Illegal> {
    use Violation::{InvalidUtf8, Protocol};
    let header = |first: u8, length: &[u8]| {
        let mut header = frame_with(first, length, KEY, b"");
        header.truncate(1 + length.len());
        vec![header]
    };
    vec![
        ("RSV1", vec![vec![FIN | 0x40 | TEXT]], 0, Protocol),
        ("RSV2", vec![vec![FIN | 0x20 | TEXT]], 0, Protocol),
        ("RSV3", vec![vec![FIN | 0x10 | TEXT]], 0, Protocol),
        ("RSV1 of a control frame", vec![vec![FIN | 0x40 | PING]], 0, Protocol),
        ("a frame without a mask", vec![vec![FIN | TEXT, 0x05]], 0, Protocol),
        ("an empty frame without a mask", vec![vec![FIN | PING, 0x00]], 0, Protocol),
        ("a ping in fragments", vec![vec![PING]], 0, Protocol),
        ("a close in fragments", vec![vec![CLOSE]], 0, Protocol),
        ("a ping of 126 bytes", header(FIN | PING, &[126]), 0, Protocol),
        ("a pong with a 64-bit length", header(FIN | PONG, &[127]), 0, Protocol),
        ("125 in 16 bits", header(FIN | TEXT, &[126, 0, 125]), 0, Protocol),
        ("0 in 16 bits", header(FIN | TEXT, &[126, 0, 0]), 0, Protocol),
        ("65535 in 64 bits", header(FIN | TEXT, &[127, 0, 0, 0, 0, 0, 0, 255, 255]), 0, Protocol),
        ("5 in 64 bits", header(FIN | BINARY, &[127, 0, 0, 0, 0, 0, 0, 0, 5]), 0, Protocol),
        ("the top bit", header(FIN | BINARY, &[127, 0x80, 0, 0, 0, 0, 0, 0, 0]), 0, Protocol),
        (
            "all length bits",
            header(FIN | BINARY, &[127, 255, 255, 255, 255, 255, 255, 255, 255]),
            0,
            Protocol,
        ),
        ("a continuation of nothing", vec![vec![FIN | CONTINUATION]], 0, Protocol),
        ("a first fragment of nothing", vec![vec![CONTINUATION]], 0, Protocol),
        (
            "a continuation after the message's end",
            vec![frame(TEXT, b"a"), frame(FIN | CONTINUATION, b"b"), vec![CONTINUATION]],
            2,
            Protocol,
        ),
        ("a text in a text", vec![frame(TEXT, b"a"), vec![FIN | TEXT]], 1, Protocol),
        ("a binary in a text", vec![frame(TEXT, b"a"), vec![BINARY]], 1, Protocol),
        ("a text in an empty binary", vec![frame(BINARY, b""), vec![FIN | TEXT]], 0, Protocol),
        ("a close of 1 byte", vec![frame(FIN | CLOSE, b"\x03")], 0, Protocol),
        ("a reason that is no UTF-8", vec![close(1000, b"ok\xFF")], 0, InvalidUtf8),
        ("a reason that ends in a character", vec![close(1000, b"\xE2\x82")], 0, InvalidUtf8),
        ("a bad code and reason", vec![close(1005, b"\xFF")], 0, Protocol),
        ("a byte that no character has", vec![frame(TEXT, b"\xFF")], 0, InvalidUtf8),
        ("a character's second byte first", vec![frame(TEXT, b"\x80")], 0, InvalidUtf8),
        ("a longer form than needed", vec![frame(TEXT, b"\xC0")], 0, InvalidUtf8),
        ("a longer form of three bytes", vec![frame(TEXT, b"\xE0\x80")], 0, InvalidUtf8),
        ("a surrogate", vec![frame(TEXT, b"\xED\xA0")], 0, InvalidUtf8),
        ("above U+10FFFF", vec![frame(TEXT, b"\xF4\x90")], 0, InvalidUtf8),
        ("a text that ends in a character", vec![frame(FIN | TEXT, b"\xE2\x82")], 0, InvalidUtf8),
        (
            "a last fragment that ends in a character",
            vec![frame(TEXT, b"a"), frame(FIN | CONTINUATION, b"\xF0\x9F\x98")],
            1,
            InvalidUtf8,
        ),
        (
            "a character that an empty last fragment cuts",
            vec![frame(TEXT, b"\xC3"), frame(FIN | CONTINUATION, b"")],
            1,
            InvalidUtf8,
        ),
        (
            "a character that goes on wrongly in the next fragment",
            vec![frame(TEXT, b"\xE2\x82"), frame(CONTINUATION, b"a")],
            1,
            InvalidUtf8,
        ),
    ]
}

#[test]
fn violations_are_refused_after_the_events_before_them() {
    for (name, frames, before, violation) in violations() {
        let (events, refusal) = read([frames.concat().as_slice()]);
        assert_eq!((events.len(), refusal), (before, Some(violation)), "{name}");
    }
}

#[test]
fn violations_are_refused_at_the_byte_that_makes_them() {
    for (name, frames, _, violation) in violations() {
        let stream = frames.concat();
        let all_but_last = &stream[..stream.len() - 1];
        assert_eq!(read(all_but_last.chunks(1)).1, None, "{name}");
        assert_eq!(read(stream.chunks(1)).1, Some(violation), "{name}");
    }
}

#[test]
fn every_opcode_is_known_or_refused() {
    for opcode in 0..=0xF {
        let known = [TEXT, BINARY, CLOSE, PING, PONG].contains(&opcode);
        let refusal = (!known).then_some(Violation::Protocol);
        assert_eq!(read([&[FIN | opcode][..]]), (vec![], refusal), "{opcode:x}");
    }
}

#[test]
fn close_codes_are_those_that_may_be_sent() {
    for code in 0..=u16::MAX {
        let may_be_sent = match code {
            0..=999 | 1004..=1006 | 1015..=2999 | 5000.. => false,
            1000..=1003 | 1007..=1014 | 3000..=4999 => true,
        };
        let expected = if may_be_sent {
            (vec![FrameEvent::Close(Some((code, "why".to_owned())))], None)
        } else {
            (vec![], Some(Violation::Protocol))
        };
        assert_eq!(read([close(code, b"why").as_slice()]), expected, "{code}");
    }
}

#[test]
fn a_failed_decoder_stays_failed() {
    let mut decoder = FrameDecoder::new(u64::MAX);
    decoder.feed(frame(FIN | TEXT, b"\xFF").into());
    for _ in 0..3 {
        assert_eq!(decoder.next(), Err(Violation::InvalidUtf8));
        decoder.feed(frame(FIN | TEXT, b"good").into());
        assert_eq!(decoder.chunk.capacity(), 0);
    }
}

#[test]
fn a_closed_decoder_takes_nothing_more() {
    let mut decoder = FrameDecoder::new(u64::MAX);
    decoder.feed([close(1000, b""), frame(FIN | TEXT, b"late")].concat().into());
    assert_eq!(decoder.next(), Ok(Some(FrameEvent::Close(Some((1000, String::new()))))));
    for _ in 0..3 {
        assert_eq!(decoder.next(), Ok(None));
        decoder.feed(vec![0xFF; 9].into());
        assert_eq!(decoder.chunk.capacity(), 0);
    }
}

#[test]
fn chunks_may_come_before_those_in_hand_are_used_up() {
    let stream = [frame(TEXT, b"he"), frame(FIN | PING, b"?"), frame(FIN | CONTINUATION, b"y")];
    let mut decoder = FrameDecoder::new(u64::MAX);
    for byte in stream.concat() {
        decoder.feed(Bytes::from(vec![byte]));
    }
    assert_eq!(decoder.next(), Ok(Some(data(MessageKind::Text, b"he", false))));
    decoder.feed(frame(FIN | PONG, b"!").into());
    assert_eq!(decoder.next(), Ok(Some(ping(b"?"))));
    assert_eq!(decoder.next(), Ok(Some(text(b"y"))));
    assert_eq!(decoder.next(), Ok(Some(FrameEvent::Pong(Bytes::from_static(b"!")))));
    assert_eq!(decoder.next(), Ok(None));
}

#[test]
fn the_longest_frame_is_handed_on_as_it_arrives() {
    let mut decoder = FrameDecoder::new(u64::MAX);
    let longest = [127, 0x7F, 255, 255, 255, 255, 255, 255, 255];
    decoder.feed(frame_with(FIN | BINARY, &longest, KEY, b"one").into());
    assert_eq!(decoder.next(), Ok(Some(data(MessageKind::Binary, b"one", false))));
    assert_eq!(decoder.next(), Ok(None));
    decoder.feed(Bytes::from_static(&[KEY[3], KEY[0]]));
    assert_eq!(decoder.next(), Ok(Some(data(MessageKind::Binary, &[0, 0], false))));
    assert_eq!(decoder.chunk.capacity(), 0);
}

#[test]
fn a_chunk_of_ones_own_is_unmasked_in_place() {
    let chunk = Bytes::from([frame(FIN | TEXT, b"first"), frame(FIN | TEXT, b"second")].concat());
    let place = chunk.as_ptr_range();
    let mut decoder = FrameDecoder::new(u64::MAX);
    decoder.feed(chunk);
    for expected in ["first", "second"] {
        let Ok(Some(FrameEvent::Data { bytes, .. })) = decoder.next() else {
            panic!("no data");
        };
        assert_eq!(bytes, expected);
        assert!(place.contains(&bytes.as_ptr()), "{expected} was copied");
    }
}

#[test]
fn a_shared_chunk_stays_as_it_is() {
    let stream = frame(FIN | TEXT, b"shared");
    let chunk = Bytes::from(stream.clone());
    let mut decoder = FrameDecoder::new(u64::MAX);
    decoder.feed(chunk.clone());
    assert_eq!(decoder.next(), Ok(Some(text(b"shared"))));
    assert_eq!(chunk, stream);
}

#[test]
fn an_idle_decoder_holds_no_memory() {
    // Room behind the bytes shows a buffer that is kept after they are used up.
    let roomy = |bytes: &[u8]| {
        let mut chunk = BytesMut::with_capacity(bytes.len() + 64);
        chunk.extend_from_slice(bytes);
        chunk.freeze()
    };
    let mut decoder = FrameDecoder::new(u64::MAX);
    for (name, frames, _) in legal_streams() {
        if name.contains("close") {
            continue;
        }
        let stream = frames.concat();
        for chunks in [stream.chunks(1), stream.chunks(7), stream.chunks(1 << 20)] {
            for chunk in chunks {
                decoder.feed(roomy(chunk));
                while decoder.next().expect("the stream is legal").is_some() {}
                assert_eq!(decoder.chunk.capacity(), 0, "{name}");
            }
            assert!(
                matches!(&decoder.state, State::Header(header) if header.filled == 0),
                "{name}"
            );
        }
    }
}

#[test]
fn a_control_frame_in_the_making_keeps_no_chunk() {
    let mut decoder = FrameDecoder::new(u64::MAX);
    let mut stream = [frame(FIN | BINARY, &[0; 60_000]), frame(FIN | PING, &[1; 125])].concat();
    stream.pop();
    decoder.feed(stream.into());
    while decoder.next().expect("the stream is legal").is_some() {}
    let State::Control { payload, .. } = &decoder.state else { panic!("no control frame") };
    assert!(payload.capacity() <= 128, "{}", payload.capacity());
    assert_eq!(decoder.chunk.capacity(), 0);
}

/// Feeds a text byte by byte, and says how many bytes it took until it was refused.
fn refused_after(bytes: &[u8]) -> Option<usize> {
    let mut utf8 = Utf8Check::default();
    let place = bytes.iter().position(|byte| utf8.check(&[*byte]).is_err());
    place.map(|place| place + 1)
}

/// The same by the standard library: at the first bytes that nothing makes a text.
fn impossible_after(bytes: &[u8]) -> Option<usize> {
    let error = str::from_utf8(bytes).err()?;
    let (good, bad) = (error.valid_up_to(), error.error_len()?);
    // A byte that no character begins with is itself the error; else the error is what
    // did begin one, and the byte after it shows that.
    let first = str::from_utf8(&bytes[good..=good]);
    let begins = first.is_err_and(|error| error.error_len().is_none());
    Some(if begins { good + bad + 1 } else { good + bad })
}

#[test]
fn every_beginning_is_refused_where_the_standard_library_refuses_it() {
    for first in 0..=u8::MAX {
        for second in 0..=u8::MAX {
            for third in [b'a', 0x80, 0xBF, 0xC3] {
                let bytes = [first, second, third];
                assert_eq!(refused_after(&bytes), impossible_after(&bytes), "{bytes:x?}");
            }
        }
    }
}

/// Bytes that are often nearly UTF-8: characters, their parts, and anything.
pub(super) fn nearly_utf8() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
        1 => (any::<char>(), 1_usize..4).prop_map(|(character, length)| {
            let mut bytes = character.to_string().into_bytes();
            bytes.truncate(length);
            bytes
        }),
        1 => vec(any::<u8>(), 1..3),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Frames of a legal stream, and the messages that they are.
pub(super) type Exchange = (Vec<Vec<u8>>, Vec<FrameEvent>);

/// One message in fragments of any sizes, with a control frame before some of them.
pub(super) fn message() -> impl Strategy<Value = Exchange> {
    let payload = prop_oneof![
        4 => vec(any::<char>(), 0..40).prop_map(|text| (TEXT, String::from_iter(text).into_bytes())),
        3 => vec(any::<u8>(), 0..400).prop_map(|bytes| (BINARY, bytes)),
        1 => vec(any::<u8>(), 65_500..65_600).prop_map(|bytes| (BINARY, bytes)),
    ];
    let control = (prop_oneof![Just(PING), Just(PONG)], vec(any::<u8>(), 0..=125));
    let controls = vec(proptest::option::of(control), 5);
    (payload, vec(any::<Index>(), 0..5), controls, any::<[u8; 4]>()).prop_map(
        |((opcode, payload), cuts, controls, key)| {
            let write = |first, bytes: &[u8]| frame_with(first, &length_of(bytes), key, bytes);
            let (mut frames, mut events) = (Vec::new(), Vec::new());
            let mut pieces = cut(&payload, &cuts).into_iter().zip(controls).enumerate().peekable();
            while let Some((place, (piece, control))) = pieces.next() {
                if let Some((kind, bytes)) = control {
                    frames.push(write(FIN | kind, &bytes));
                    let event = if kind == PING { FrameEvent::Ping } else { FrameEvent::Pong };
                    events.push(event(bytes.into()));
                }
                let fin = if pieces.peek().is_none() { FIN } else { 0 };
                let opcode = if place == 0 { opcode } else { CONTINUATION };
                frames.push(write(fin | opcode, piece));
            }
            let kind = if opcode == TEXT { MessageKind::Text } else { MessageKind::Binary };
            events.push(data(kind, &payload, true));
            (frames, events)
        },
    )
}

proptest! {
    #[test]
    fn a_legal_stream_cut_anywhere_gives_the_same_messages(
        messages in vec(message(), 0..5),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let (frames, events): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let stream = frames.concat().concat();
        let events: Vec<FrameEvent> = events.into_iter().flatten().collect();
        let (in_pieces, violation) = read(cut(&stream, &cuts));
        prop_assert_eq!(violation, None);
        prop_assert_eq!(joined(in_pieces), events);
    }

    #[test]
    fn chunks_fed_all_at_once_give_the_same_messages(
        messages in vec(message(), 0..3),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let (frames, _): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let stream = frames.concat().concat();
        let mut decoder = FrameDecoder::new(u64::MAX);
        cut(&stream, &cuts).into_iter().map(Bytes::copy_from_slice).for_each(|c| decoder.feed(c));
        let mut events = Vec::new();
        while let Some(event) = decoder.next().expect("the stream is legal") {
            events.push(event);
        }
        prop_assert_eq!((events, None), read([stream.as_slice()]));
    }

    #[test]
    fn any_bytes_are_refused_or_need_more(
        bytes in vec(any::<u8>(), 0..300),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let whole = read([bytes.as_slice()]);
        prop_assert_eq!(read(cut(&bytes, &cuts)).1, whole.1);
    }

    #[test]
    fn a_legal_stream_with_a_changed_byte_is_judged_the_same_however_it_is_cut(
        messages in vec(message(), 1..3),
        change in (any::<Index>(), 1_u8..),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let (frames, _): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let mut stream = frames.concat().concat();
        let place = change.0.index(stream.len());
        stream[place] ^= change.1;
        prop_assert_eq!(read(cut(&stream, &cuts)).1, read([stream.as_slice()]).1);
    }

    #[test]
    fn a_text_is_refused_exactly_if_it_is_no_utf8(
        bytes in nearly_utf8(),
        frame_cuts in vec(any::<Index>(), 0..5),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let pieces = cut(&bytes, &frame_cuts);
        let last = pieces.len() - 1;
        let frames = pieces.iter().enumerate().map(|(place, piece)| {
            let fin = if place == last { FIN } else { 0 };
            frame(fin | if place == 0 { TEXT } else { CONTINUATION }, piece)
        });
        let stream = frames.collect::<Vec<_>>().concat();
        let (events, violation) = read(cut(&stream, &cuts));
        if str::from_utf8(&bytes).is_ok() {
            prop_assert_eq!(violation, None);
            prop_assert_eq!(joined(events), [text(&bytes)]);
        } else {
            prop_assert_eq!(violation, Some(Violation::InvalidUtf8));
        }
    }

    #[test]
    fn a_text_is_refused_at_its_first_impossible_byte(bytes in nearly_utf8()) {
        prop_assert_eq!(refused_after(&bytes), impossible_after(&bytes));
        // A whole frame of the bytes that are still possible is handed on.
        let possible = impossible_after(&bytes).map_or(bytes.len(), |place| place - 1);
        let (events, violation) = read([frame(TEXT, &bytes[..possible]).as_slice()]);
        prop_assert_eq!((events.len(), violation), (usize::from(possible > 0), None));
    }

    #[test]
    fn a_mask_taken_off_in_pieces_is_the_mask_taken_off_at_once(
        bytes in vec(any::<u8>(), 0..100),
        key in any::<[u8; 4]>(),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let expected: Vec<u8> = bytes.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k).collect();
        let mut mask = Mask(key);
        let unmask = |piece: &[u8]| {
            let mut piece = piece.to_vec();
            mask.remove(&mut piece);
            piece
        };
        let pieces: Vec<Vec<u8>> = cut(&bytes, &cuts).into_iter().map(unmask).collect();
        prop_assert_eq!(pieces.concat(), expected);
    }
}
