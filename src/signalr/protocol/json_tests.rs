//! One table drives reading and writing; a second holds what is malformed, with the
//! exact complaint. Laws are checked on random input.

use proptest::prelude::*;

use super::super::{CompletionOutcome, HubMessage, Payload, ProtocolError, ProtocolKind, reading};

fn json(text: &str) -> Payload {
    Payload::from_json(text).expect("the test's JSON is well formed")
}

fn invocation(id: Option<&str>, target: &str, arguments: &[&str]) -> HubMessage {
    HubMessage::Invocation {
        invocation_id: id.map(str::to_owned),
        target: target.to_owned(),
        arguments: arguments.iter().map(|text| json(text)).collect(),
        stream_ids: Vec::new(),
    }
}

fn completion(outcome: CompletionOutcome) -> HubMessage {
    HubMessage::Completion { invocation_id: "7".to_owned(), outcome }
}

fn table() -> Vec<(&'static str, HubMessage, &'static str)> {
    vec![
        (
            "an invocation",
            invocation(Some("0"), "Join", &["\"north\"", "{\"a\":[1,null]}"]),
            r#"{"type":1,"invocationId":"0","target":"Join","arguments":["north",{"a":[1,null]}]}"#,
        ),
        (
            "an invocation that nobody answers",
            invocation(None, "Join", &[]),
            r#"{"type":1,"target":"Join","arguments":[]}"#,
        ),
        (
            "an invocation with streams",
            HubMessage::Invocation {
                invocation_id: None,
                target: "Up".to_owned(),
                arguments: Vec::new(),
                stream_ids: vec!["1".to_owned(), "2".to_owned()],
            },
            r#"{"type":1,"target":"Up","arguments":[],"streamIds":["1","2"]}"#,
        ),
        (
            "a stream item",
            HubMessage::StreamItem { invocation_id: "7".to_owned(), item: json("null") },
            r#"{"type":2,"invocationId":"7","item":null}"#,
        ),
        (
            "a completion without a value",
            completion(CompletionOutcome::Void),
            r#"{"type":3,"invocationId":"7"}"#,
        ),
        (
            "a completion with null, which is a value",
            completion(CompletionOutcome::Value(json("null"))),
            r#"{"type":3,"invocationId":"7","result":null}"#,
        ),
        (
            "a failed completion",
            completion(CompletionOutcome::Error("no".to_owned())),
            r#"{"type":3,"invocationId":"7","error":"no"}"#,
        ),
        (
            "a stream invocation",
            HubMessage::StreamInvocation {
                invocation_id: "7".to_owned(),
                target: "Count".to_owned(),
                arguments: vec![json("3")],
                stream_ids: Vec::new(),
            },
            r#"{"type":4,"invocationId":"7","target":"Count","arguments":[3]}"#,
        ),
        (
            "a cancel",
            HubMessage::CancelInvocation { invocation_id: "7".to_owned() },
            r#"{"type":5,"invocationId":"7"}"#,
        ),
        ("a ping", HubMessage::Ping, r#"{"type":6}"#),
        ("a close", HubMessage::Close { error: None, allow_reconnect: false }, r#"{"type":7}"#),
        (
            "a close with all it can say",
            HubMessage::Close { error: Some("bad".to_owned()), allow_reconnect: true },
            r#"{"type":7,"error":"bad","allowReconnect":true}"#,
        ),
        ("an ack", HubMessage::Ack { sequence_id: 4 }, r#"{"type":8,"sequenceId":4}"#),
        ("a sequence", HubMessage::Sequence { sequence_id: 5 }, r#"{"type":9,"sequenceId":5}"#),
    ]
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

fn written(message: &HubMessage) -> String {
    text(reading::written(ProtocolKind::Json, message))
}

fn read_all(
    bytes: &[u8],
    cuts: &[usize],
    bytes_max: usize,
) -> (Vec<String>, Option<ProtocolError>) {
    let (messages, error) = reading::read_all(ProtocolKind::Json, bytes, cuts, bytes_max);
    (messages.into_iter().map(text).collect(), error)
}

fn read_one(text: &str) -> Result<Option<HubMessage>, ProtocolError> {
    super::decode(text.as_bytes())
}

#[test]
fn every_message_is_written_and_read_as_the_table_says() {
    for (name, message, text) in table() {
        assert_eq!(written(&message), format!("{text}\u{1e}"), "{name}");
        let read = read_one(text).expect(name).expect(name);
        assert_eq!(written(&read), format!("{text}\u{1e}"), "{name}");
    }
}

#[test]
fn properties_may_stand_in_any_order_and_be_unknown_or_repeated() {
    for text in [
        r#"{"arguments":["north"],"target":"Join","type":1}"#,
        r#"{"x":{"y":[1]},"headers":{"a":"b"},"target":"Join","arguments":["north"],"type":1}"#,
        r#"{"type":6,"target":"Other","target":"Join","arguments":["north"],"type":1}"#,
        r#"{"type":1,"invocationId":null,"target":"Join","arguments":["north"],"streamIds":null}"#,
        r#"{"type":1,"invocationId":"","target":"Join","arguments":["north"],"streamIds":[]}"#,
        "{\"t\\u0079pe\":1,\"target\":\"Join\",\"arguments\":[ \"north\" ]}",
    ] {
        let message = read_one(text).expect(text).expect(text);
        let expected = r#"{"type":1,"target":"Join","arguments":["north"]}"#;
        assert_eq!(written(&message), format!("{expected}\u{1e}"), "{text}");
    }
}

#[test]
fn a_type_that_is_not_known_is_passed_over() {
    let bytes = b"{\"type\":99,\"target\":5}\x1e{\"type\":6}\x1e";
    let (messages, error) = read_all(bytes, &[], 1000);
    assert_eq!((messages.len(), error), (1, None));
}

#[test]
fn null_beside_an_error_is_an_error_and_a_value_beside_one_is_none() {
    let swift = r#"{"type":3,"invocationId":"7","result":null,"error":"no"}"#;
    let read = read_one(swift).expect("accepted").expect("known");
    assert_eq!(written(&read), "{\"type\":3,\"invocationId\":\"7\",\"error\":\"no\"}\u{1e}");
    assert!(read_one(r#"{"type":3,"invocationId":"7","result":1,"error":"no"}"#).is_err());
}

#[test]
fn what_is_malformed_is_refused_by_name() {
    for (text, complaint) in [
        (r"{}", "Missing required property 'type'."),
        (r#"{"type":1,"arguments":[]}"#, "Missing required property 'target'."),
        (r#"{"type":1,"target":"Join"}"#, "Missing required property 'arguments'."),
        (r#"{"type":2,"invocationId":"1"}"#, "Missing required property 'item'."),
        (r#"{"type":3}"#, "Missing required property 'invocationId'."),
        (r#"{"type":8}"#, "Missing required property 'sequenceId'."),
        (r#"{"type":"1"}"#, "Property 'type' has the wrong type."),
        (r#"{"type":1,"target":1,"arguments":[]}"#, "Property 'target' has the wrong type."),
        (r#"{"type":1,"target":"a","arguments":{}}"#, "Property 'arguments' has the wrong type."),
        (r#"{"type":5,"invocationId":5}"#, "Property 'invocationId' has the wrong type."),
    ] {
        let error = read_one(text).expect_err(text);
        assert_eq!(error, ProtocolError::InvalidData(complaint.to_owned()), "{text}");
    }
    for text in ["", "[]", "6", "{", "{\"type\":6,}", "{\"type\":6}x", "\u{fffd}"] {
        assert!(matches!(read_one(text), Err(ProtocolError::InvalidData(_))), "{text}");
    }
}

#[test]
fn a_message_may_be_as_long_as_the_bound_and_no_longer() {
    const BOUND: usize = 32_768;
    let padded = |bytes: usize| {
        let frame = r#"{"type":6,"x":""}"#;
        let padding = "x".repeat(bytes - frame.len() - 1);
        format!("{{\"type\":6,\"x\":\"{padding}\"}}\u{1e}")
    };
    let (messages, error) = read_all(padded(BOUND).as_bytes(), &[], BOUND);
    assert_eq!((messages.len(), error), (1, None));
    let too_large = Some(ProtocolError::TooLarge { bytes_max: BOUND });
    assert_eq!(read_all(padded(BOUND + 1).as_bytes(), &[], BOUND).1, too_large);
    // Refused before its end is seen.
    assert_eq!(read_all(&vec![b'x'; BOUND], &[], BOUND).1, too_large);
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_gives_the_same_messages(
        picks in proptest::collection::vec(0..table().len(), 1..8),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
    ) {
        let table = table();
        let stream: String = picks.iter().map(|pick| written(&table[*pick].1)).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let whole = read_all(stream.as_bytes(), &[], 1000);
        prop_assert_eq!(&whole.1, &None);
        prop_assert_eq!(whole.0.len(), picks.len());
        prop_assert_eq!(read_all(stream.as_bytes(), &cuts, 1000), whole);
    }

    #[test]
    fn no_bytes_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes, &[], 200);
    }

    #[test]
    fn no_json_of_a_messages_shape_panics_the_reader(
        kind in -3_i64..12,
        values in proptest::collection::vec(
            prop_oneof![
                Just("null"), Just("\"a\""), Just("1"), Just("[]"), Just("{}"), Just("true"),
                Just("[\"x\"]"), Just("1e999"), Just("\"\\ud800\""), Just("[[[[]]]]"),
            ],
            8,
        ),
    ) {
        let names = [
            "invocationId", "target", "arguments", "streamIds", "item", "result", "error",
            "sequenceId",
        ];
        let members: Vec<String> =
            names.iter().zip(&values).map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let text = format!("{{\"type\":{kind},{}}}\u{1e}", members.join(","));
        read_all(text.as_bytes(), &[], 1000);
    }
}
