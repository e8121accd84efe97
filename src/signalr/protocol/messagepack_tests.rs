//! One table drives reading and writing, byte by byte; others hold what clients write
//! otherwise, and what is malformed. Laws are checked on random input.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::super::{CompletionOutcome, HubMessage, Payload, ProtocolError, ProtocolKind, reading};

const BYTES_MAX: usize = 32 * 1024;

fn packed(bytes: &'static [u8]) -> Payload {
    Payload::MessagePack(Bytes::from_static(bytes))
}

fn invocation(id: Option<&str>, arguments: Vec<Payload>, stream_ids: &[&str]) -> HubMessage {
    HubMessage::Invocation {
        invocation_id: id.map(str::to_owned),
        target: "J".to_owned(),
        arguments,
        stream_ids: stream_ids.iter().map(ToString::to_string).collect(),
    }
}

fn completion(outcome: CompletionOutcome) -> HubMessage {
    HubMessage::Completion { invocation_id: "7".to_owned(), outcome }
}

/// Each message behind its length prefix.
fn table() -> Vec<(&'static str, HubMessage, &'static [u8])> {
    vec![
        (
            "an invocation",
            invocation(Some("0"), vec![packed(b"\x2A"), packed(b"\xA1x")], &[]),
            b"\x0C\x96\x01\x80\xA10\xA1J\x92\x2A\xA1x\x90",
        ),
        (
            "an invocation that nobody answers",
            invocation(None, vec![], &[]),
            b"\x08\x96\x01\x80\xC0\xA1J\x90\x90",
        ),
        (
            "an invocation with streams",
            invocation(Some("0"), vec![], &["1", "2"]),
            b"\x0D\x96\x01\x80\xA10\xA1J\x90\x92\xA11\xA12",
        ),
        (
            "a stream item",
            HubMessage::StreamItem { invocation_id: "7".to_owned(), item: packed(b"\xC0") },
            b"\x06\x94\x02\x80\xA17\xC0",
        ),
        (
            "a completion without a value",
            completion(CompletionOutcome::Void),
            b"\x06\x94\x03\x80\xA17\x02",
        ),
        (
            "a completion with nil, which is a value",
            completion(CompletionOutcome::Value(packed(b"\xC0"))),
            b"\x07\x95\x03\x80\xA17\x03\xC0",
        ),
        (
            "a failed completion",
            completion(CompletionOutcome::Error("no".to_owned())),
            b"\x09\x95\x03\x80\xA17\x01\xA2no",
        ),
        (
            "a stream invocation",
            HubMessage::StreamInvocation {
                invocation_id: "7".to_owned(),
                target: "C".to_owned(),
                arguments: vec![packed(b"\x03")],
                stream_ids: Vec::new(),
            },
            b"\x0A\x96\x04\x80\xA17\xA1C\x91\x03\x90",
        ),
        (
            "a cancel",
            HubMessage::CancelInvocation { invocation_id: "7".to_owned() },
            b"\x05\x93\x05\x80\xA17",
        ),
        ("a ping", HubMessage::Ping, b"\x02\x91\x06"),
        (
            "a close",
            HubMessage::Close { error: None, allow_reconnect: false },
            b"\x04\x93\x07\xC0\xC2",
        ),
        (
            "a close with all it can say",
            HubMessage::Close { error: Some("bad".to_owned()), allow_reconnect: true },
            b"\x07\x93\x07\xA3bad\xC3",
        ),
        ("an ack", HubMessage::Ack { sequence_id: 4 }, b"\x03\x92\x08\x04"),
        ("a sequence", HubMessage::Sequence { sequence_id: 300 }, b"\x05\x92\x09\xCD\x01\x2C"),
    ]
}

fn written(message: &HubMessage) -> Vec<u8> {
    reading::written(ProtocolKind::MessagePack, message)
}

fn read_all(bytes: &[u8], cuts: &[usize]) -> (Vec<Vec<u8>>, Option<ProtocolError>) {
    reading::read_all(ProtocolKind::MessagePack, bytes, cuts, BYTES_MAX)
}

#[test]
fn the_table_is_read_and_written() {
    for (name, message, bytes) in table() {
        assert_eq!(written(&message), bytes, "{name} is written");
        assert_eq!(read_all(bytes, &[]), (vec![bytes.to_vec()], None), "{name} is read");
    }
}

#[test]
fn clients_may_write_less_or_more() {
    for (name, bytes, message) in [
        (
            "an invocation of five elements",
            &b"\x07\x95\x01\x80\xC0\xA1J\x90"[..],
            invocation(None, vec![], &[]),
        ),
        (
            "an empty invocation id",
            b"\x08\x96\x01\x80\xA0\xA1J\x90\x90",
            invocation(None, vec![], &[]),
        ),
        ("headers", b"\x0C\x96\x01\x81\xA1a\xA1b\xC0\xA1J\x90\x90", invocation(None, vec![], &[])),
        (
            "one element more",
            b"\x09\x97\x01\x80\xC0\xA1J\x90\x90\x2A",
            invocation(None, vec![], &[]),
        ),
        (
            "a close of two elements",
            b"\x03\x92\x07\xC0",
            HubMessage::Close { error: None, allow_reconnect: false },
        ),
        (
            "a close of one",
            b"\x02\x91\x07",
            HubMessage::Close { error: None, allow_reconnect: false },
        ),
        ("a wide type", b"\x06\x91\xCE\x00\x00\x00\x06", HubMessage::Ping),
        ("a signed type", b"\x03\x91\xD0\x06", HubMessage::Ping),
        (
            "a wide sequence",
            b"\x0B\x92\x08\xCF\x00\x00\x00\x00\x00\x00\x00\x05",
            HubMessage::Ack { sequence_id: 5 },
        ),
        ("a long prefix", b"\x82\x80\x80\x80\x00\x91\x06", HubMessage::Ping),
    ] {
        assert_eq!(read_all(bytes, &[]), (vec![written(&message)], None), "{name}");
    }
}

#[test]
fn messages_of_unknown_types_are_passed_over() {
    let bytes = b"\x03\x92\x63\x00\x02\x91\x06";
    assert_eq!(read_all(bytes, &[]), (vec![b"\x02\x91\x06".to_vec()], None));
}

#[test]
fn what_is_malformed_is_refused() {
    let mut deep = vec![0x93, 0x04, 0x80, 0xA1, b'7'];
    deep.extend([0x91; 70]);
    for (name, message) in [
        ("nothing", &b""[..]),
        ("no array", b"\x06"),
        ("an empty array", b"\x90"),
        ("a type that is a text", b"\x91\xA16"),
        ("an invocation without arguments", b"\x94\x01\x80\xC0\xA1J"),
        ("headers that are no map", b"\x96\x01\xC0\xC0\xA1J\x90\x90"),
        ("a target that is no text", b"\x96\x01\x80\xC0\x05\x90\x90"),
        ("arguments that are no array", b"\x96\x01\x80\xC0\xA1J\x05\x90"),
        ("a stream invocation without an id", b"\x96\x04\x80\xC0\xA1J\x90\x90"),
        ("an unknown kind of result", b"\x94\x03\x80\xA17\x04"),
        ("a text beyond the message", b"\x93\x05\x80\xD9\xFF7"),
        ("an array beyond the message", b"\x96\x01\x80\xC0\xA1J\xDD\xFF\xFF\xFF\xFF\x90"),
        ("an array that is cut off", b"\x94\x02\x80\xA17\xDD\xFF\xFF\xFF\xFF"),
        ("a reserved marker", b"\x94\x02\x80\xA17\xC1"),
        ("bytes behind the array", b"\x91\x06\x00"),
        ("text that is no UTF-8", b"\x93\x05\x80\xA1\xFF"),
        ("depth", &deep),
    ] {
        let length = u8::try_from(message.len()).expect("short");
        let (messages, error) = read_all(&[&[length], message].concat(), &[]);
        assert!(matches!(error, Some(ProtocolError::InvalidData(_))), "{name}: {messages:?}");
    }
}

#[test]
fn a_message_may_be_as_long_as_the_bound_and_its_prefix_says_when_it_is_longer() {
    let prefix_of = |length: usize| {
        let byte = |shift: usize| u8::try_from(length >> shift & 0x7F).expect("seven bits");
        [byte(0) | 0x80, byte(7) | 0x80, byte(14)]
    };
    let fits = BYTES_MAX - 3;
    let mut buffer = BytesMut::from(&prefix_of(fits)[..]);
    assert_eq!(super::take_message(&mut buffer, BYTES_MAX), Ok(None));
    buffer.resize(BYTES_MAX, 0);
    let message = super::take_message(&mut buffer, BYTES_MAX).expect("fits").expect("whole");
    assert_eq!((message.len(), buffer.len()), (fits, 0));
    let refused = Err(ProtocolError::TooLarge { bytes_max: BYTES_MAX });
    let mut buffer = BytesMut::from(&prefix_of(fits + 1)[..]);
    assert_eq!(super::take_message(&mut buffer, BYTES_MAX), refused);
}

#[test]
fn a_prefix_of_more_than_31_bits_is_refused() {
    for prefix in [&b"\xFF\xFF\xFF\xFF\x08"[..], b"\xFF\xFF\xFF\xFF\xFF", b"\x80\x80\x80\x80\x80"] {
        let refused = super::take_message(&mut BytesMut::from(prefix), usize::MAX);
        assert!(matches!(refused, Err(ProtocolError::InvalidData(_))), "{prefix:?}");
    }
    let longest = &mut BytesMut::from(&b"\xFF\xFF\xFF\xFF\x07"[..]);
    assert_eq!(super::take_message(longest, usize::MAX), Ok(None));
}

#[test]
fn a_length_of_two_bytes_is_written_with_the_low_bits_first() {
    let message = HubMessage::StreamItem {
        invocation_id: "7".to_owned(),
        item: Payload::MessagePack(Bytes::from([&[0xC5, 0x14, 0x78][..], &[0; 5240]].concat())),
    };
    let bytes = written(&message);
    assert_eq!((&bytes[..2], bytes.len()), (&[0x80, 0x29][..], 5250));
    assert_eq!(read_all(&bytes, &[]), (vec![bytes.clone()], None));
}

#[test]
fn a_value_of_the_other_protocol_is_converted_with_its_members_in_order() {
    let json = Payload::from_json(r#"{"b":[1,-1,18446744073709551615,1.5,null,true],"a":"ü"}"#);
    let json = json.expect("well formed");
    let converted = json.to_protocol(ProtocolKind::MessagePack).expect("converts").into_owned();
    let Payload::MessagePack(bytes) = &converted else { panic!("not converted") };
    assert_eq!(&bytes[..5], b"\x82\xA1b\x96\x01");
    let back = converted.to_protocol(ProtocolKind::Json).expect("converts").into_owned();
    let as_value = |payload: &Payload| payload.bind::<serde_json::Value>().expect("a value");
    assert_eq!(as_value(&back), as_value(&json));
    let special = packed(b"\x92\xC4\x03\x01\x02\x03\xD6\xFF\x38\x6D\x43\x80");
    let special = special.to_protocol(ProtocolKind::Json).expect("converts").into_owned();
    assert_eq!(as_value(&special), serde_json::json!(["AQID", "2000-01-01T00:00:00Z"]));
}

proptest! {
    #[test]
    fn wherever_the_stream_is_cut_the_messages_are_the_same(
        picks in prop::collection::vec(0..14_usize, 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let table = table();
        let expected: Vec<Vec<u8>> = picks.iter().map(|at| table[*at].2.to_vec()).collect();
        let stream = expected.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(read_all(&stream, &cuts), (expected, None));
    }

    #[test]
    fn no_bytes_panic_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes, &[]);
    }

    #[test]
    fn no_change_of_a_message_panics_the_reader(
        pick in 0..14_usize, at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = table()[pick].2.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read_all(&bytes, &[]);
    }
}
