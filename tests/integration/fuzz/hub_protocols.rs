//! The hub protocols: bytes to messages and back.

use std::time::Duration;

use bytes::BytesMut;
use chrono::Datelike as _;
use serde_json::Value;
use signalbox::signalr::{
    Blob, CompletionOutcome, Guid, HubMessage, MessageReader, Payload, ProtocolError, ProtocolKind,
    UtcTime, encode,
};

use super::cases;
use super::mutation::{cut, mutated};

/// Bytes of a message; small, so that the bound is met as well.
const BYTES_MAX: usize = 400;

const PROTOCOLS: [ProtocolKind; 2] = [ProtocolKind::Json, ProtocolKind::MessagePack];

fn written(protocol: ProtocolKind, message: &HubMessage) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    encode(protocol, message, &mut bytes);
    bytes.to_vec()
}

/// The messages of a stream that comes in these pieces, and what ended the reading.
fn read(protocol: ProtocolKind, pieces: &[&[u8]]) -> (Vec<HubMessage>, Option<ProtocolError>) {
    let mut reader = MessageReader::new(protocol, BYTES_MAX, BytesMut::new());
    let mut messages = Vec::new();
    for piece in pieces {
        reader.feed(piece);
        loop {
            match reader.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(reader.buffered() <= BYTES_MAX, "no more is kept than one message");
    }
    (messages, None)
}

fn payloads(message: &HubMessage) -> Vec<&Payload> {
    match message {
        HubMessage::Invocation { arguments, .. }
        | HubMessage::StreamInvocation { arguments, .. } => arguments.iter().collect(),
        HubMessage::StreamItem { item, .. } => vec![item],
        HubMessage::Completion { outcome: CompletionOutcome::Value(value), .. } => vec![value],
        _ => Vec::new(),
    }
}

/// A message of every type, with values of every kind.
fn corpus(protocol: ProtocolKind) -> Vec<Vec<u8>> {
    let value = |json: &str| {
        let payload = Payload::from_json(json).expect("a corpus of JSON");
        payload.to_protocol(protocol).expect("it converts").into_owned()
    };
    let special = |bytes: &[u8]| protocol.payload(&Blob(bytes.to_vec())).expect("bytes");
    let time = |text: &str| {
        protocol.payload(&UtcTime(text.parse().expect("a time"))).expect("times are written")
    };
    let call =
        |id: Option<&str>, arguments: Vec<Payload>, streams: &[&str]| HubMessage::Invocation {
            invocation_id: id.map(str::to_owned),
            target: "Subscribe".to_owned(),
            arguments,
            stream_ids: streams.iter().map(|id| (*id).to_owned()).collect(),
        };
    let id = || "7".to_owned();
    let messages = [
        call(None, Vec::new(), &[]),
        call(Some("7"), vec![value("{\"groups\":[\"dispatch/north\"],\"after\":3}")], &["1", "2"]),
        call(Some(""), vec![value("null"), value("[1,-1,1.5,18446744073709551615]")], &[]),
        HubMessage::StreamItem { invocation_id: id(), item: special(&[0, 255, 30]) },
        HubMessage::StreamItem { invocation_id: id(), item: time("2026-03-01T09:00:00.5Z") },
        HubMessage::Completion { invocation_id: id(), outcome: CompletionOutcome::Void },
        HubMessage::Completion {
            invocation_id: id(),
            outcome: CompletionOutcome::Value(value("{\"a\":[{\"b\":\"\u{e9}\"}]}")),
        },
        HubMessage::Completion {
            invocation_id: id(),
            outcome: CompletionOutcome::Error("not_found: \"x\"".to_owned()),
        },
        HubMessage::StreamInvocation {
            invocation_id: id(),
            target: "StreamEvents".to_owned(),
            arguments: vec![value("{\"groups\":[]}")],
            stream_ids: Vec::new(),
        },
        HubMessage::CancelInvocation { invocation_id: id() },
        HubMessage::Ping,
        HubMessage::Close { error: Some("why".to_owned()), allow_reconnect: true },
        HubMessage::Ack { sequence_id: 300 },
        HubMessage::Sequence { sequence_id: u64::MAX },
    ];
    messages.iter().map(|message| written(protocol, message)).collect()
}

/// A stream of some messages, some of them changed.
fn stream(random: &mut crate::support::random::Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    (0..random.between(1, 4)).flat_map(|_| mutated(random, corpus)).collect()
}

#[test]
fn a_stream_gives_the_same_messages_however_it_is_cut() {
    for protocol in PROTOCOLS {
        let corpus = corpus(protocol);
        for mut random in cases(Duration::from_secs(1)) {
            let bytes = stream(&mut random, &corpus);
            let pieces = cut(&mut random, &bytes);
            let texts = |read: (Vec<HubMessage>, Option<ProtocolError>)| {
                let texts: Vec<_> = read.0.iter().map(|m| written(protocol, m)).collect();
                (texts, read.1)
            };
            let (whole, in_pieces) = (read(protocol, &[&bytes]), read(protocol, &pieces));
            assert_eq!(texts(in_pieces), texts(whole), "{protocol:?} {bytes:?} in {pieces:?}");
        }
    }
}

#[test]
fn what_was_read_is_the_same_when_it_is_written_and_read_again() {
    for protocol in PROTOCOLS {
        let corpus = corpus(protocol);
        for mut random in cases(Duration::from_secs(1)) {
            let bytes = stream(&mut random, &corpus);
            for message in read(protocol, &[&bytes]).0 {
                let once = written(protocol, &message);
                // Written in full it may be longer than it came.
                let mut reader =
                    MessageReader::new(protocol, usize::MAX, BytesMut::from(&once[..]));
                let again = reader.next_message().expect("what we write is a message");
                let again = again.expect("and a whole one");
                assert_eq!(format!("{again:?}"), format!("{message:?}"), "{bytes:?}");
                assert_eq!(reader.finish(), Ok(()), "{bytes:?}");
                holds_no_more_than_came(&message, bytes.len());
            }
        }
    }
}

/// Lengths are what a message claims; what it holds is what has come.
fn holds_no_more_than_came(message: &HubMessage, bytes: usize) {
    let held: usize = payloads(message)
        .iter()
        .map(|payload| match payload {
            Payload::Json(text) => text.get().len(),
            Payload::MessagePack(bytes) => bytes.len(),
        })
        .sum();
    assert!(held <= bytes && payloads(message).len() <= bytes, "{message:?}");
}

#[test]
fn values_that_are_understood_are_the_same_in_the_other_protocol() {
    for protocol in PROTOCOLS {
        let corpus = corpus(protocol);
        for mut random in cases(Duration::from_secs(1)) {
            let bytes = stream(&mut random, &corpus);
            for message in read(protocol, &[&bytes]).0 {
                payloads(&message).into_iter().for_each(converts);
            }
        }
    }
}

fn converts(payload: &Payload) {
    match payload {
        // JSON can say what nothing can hold, like 1e999.
        Payload::Json(_) => {
            let Ok(value) = payload.bind::<Value>() else { return };
            let packed = payload.to_protocol(ProtocolKind::MessagePack).expect("it converts");
            let back = packed.to_protocol(ProtocolKind::Json).expect("and back");
            assert_eq!(back.bind::<Value>(), Ok(value), "{payload:?}");
        }
        Payload::MessagePack(bytes) => {
            let mut rest = bytes.as_ref();
            let read = rmpv::decode::read_value(&mut rest);
            assert!(read.is_ok() && rest.is_empty(), "one value, as another decoder sees it");
            let json = payload.to_protocol(ProtocolKind::Json).expect("it converts");
            assert!(json.bind::<Value>().is_ok(), "{json:?} of {payload:?}");
        }
    }
}

#[test]
fn special_values_that_are_understood_come_back_as_they_were() {
    for protocol in PROTOCOLS {
        let times = [
            "1970-01-01T00:00:00Z",
            "2016-12-31T23:59:60.5Z",
            "9999-12-31T23:59:59.999999999Z",
            "0000-01-01T00:00:00Z",
            "2514-05-30T01:53:04Z",
        ];
        let time = |text: &&str| UtcTime(text.parse().expect("a time"));
        let mut corpus: Vec<Vec<u8>> = times
            .iter()
            .map(|text| bytes_of(&protocol.payload(&time(text)).expect("written")))
            .collect();
        corpus.push(bytes_of(&protocol.payload(&Blob(vec![1, 2, 3, 255])).expect("written")));
        corpus.push(bytes_of(&protocol.payload(&Guid(uuid::Uuid::nil())).expect("written")));
        for mut random in cases(Duration::from_secs(1)) {
            let bytes = mutated(&mut random, &corpus);
            let Some(payload) = payload_of(protocol, &bytes) else { continue };
            // Texts of later years are none that clients read.
            let is_readable = |time: &UtcTime| (0..10_000).contains(&time.0.year());
            if let Some(time) = payload.bind::<UtcTime>().ok().filter(is_readable) {
                for other in PROTOCOLS {
                    let written = other.payload(&time).expect("a time is written");
                    assert_eq!(written.bind(), Ok(time), "{payload:?} in {other:?}");
                }
            }
            if let Ok(blob) = payload.bind::<Blob>() {
                let written = protocol.payload(&blob).expect("bytes are written");
                assert_eq!(written.bind(), Ok(blob), "{payload:?}");
            }
            if let Ok(guid) = payload.bind::<Guid>() {
                let written = protocol.payload(&guid).expect("an id is written");
                assert_eq!(written.bind(), Ok(guid), "{payload:?}");
            }
        }
    }
}

fn bytes_of(payload: &Payload) -> Vec<u8> {
    match payload {
        Payload::Json(text) => text.get().as_bytes().to_vec(),
        Payload::MessagePack(bytes) => bytes.to_vec(),
    }
}

fn payload_of(protocol: ProtocolKind, bytes: &[u8]) -> Option<Payload> {
    match protocol {
        ProtocolKind::Json => Payload::from_json(std::str::from_utf8(bytes).ok()?).ok(),
        ProtocolKind::MessagePack => Some(Payload::MessagePack(bytes.to_vec().into())),
    }
}
