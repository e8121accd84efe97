//! The byte stream: frames carry no meaning, the messages in them do.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use super::{broken_off, connect, dispatcher, done, failed, join};
use crate::support::raw_websocket::{
    CLOSE, HANDSHAKE, PING, RawSocket, Received, TEXT, frame, invocation, masked_frame,
};
use crate::support::site::Site;

/// The first byte of a whole binary message.
const BINARY: u8 = 0x82;

/// The bytes of one hub message that a server of the default settings accepts.
const MESSAGE_BYTES_MAX: usize = 32_768;

async fn open(site: &Site) -> RawSocket {
    RawSocket::open(site, "/hub/dispatch", &dispatcher()).await.expect("the upgrade")
}

#[actix_web::test]
async fn a_refused_handshake_says_why_and_ends_the_connection() {
    let site = Site::start().await;
    let no_handshake = "An unexpected error occurred during connection handshake.";
    let long = "x".repeat(MESSAGE_BYTES_MAX + 1);
    for (request, error) in [
        ("{\"protocol\":\"xml\",\"version\":1}\u{1e}", "The protocol 'xml' is not supported."),
        (
            "{\"protocol\":\"json\",\"version\":3}\u{1e}",
            "The server does not support version 3 of the 'json' protocol.",
        ),
        ("{\"protocol\":\"json\"}\u{1e}", no_handshake),
        ("{\"type\":6}\u{1e}", no_handshake),
        ("hello\u{1e}", no_handshake),
        (&long, "Handshake was canceled."),
    ] {
        let mut socket = open(&site).await;
        socket.send_text(request).await;
        let refused = vec![Received::Message(json!({ "error": error })), Received::Close(1000)];
        assert_eq!(socket.rest().await, refused, "{request:.80}");
    }
}

#[actix_web::test]
async fn every_spelling_of_the_handshake_is_accepted() {
    let site = Site::start().await;
    for request in [
        "{\"protocol\":\"json\",\"version\":1}\u{1e}",
        "{ \"version\" : 2, \"protocol\" : \"JSON\", \"more\" : {} }\u{1e}",
    ] {
        let mut socket = open(&site).await;
        socket.send_text(request).await;
        assert_eq!(socket.message().await, json!({}), "{request}");
    }
}

#[actix_web::test]
async fn the_handshake_and_calls_may_share_a_frame() {
    let site = Site::start().await;
    let mut socket = open(&site).await;
    socket.send_text(&format!("{HANDSHAKE}{}{}", join("1"), join("2"))).await;
    for expected in [json!({}), done("1"), done("2")] {
        assert_eq!(socket.message().await, expected);
    }
}

/// The same bytes in frames of several kinds.
fn framed(bytes: &[u8]) -> [(&'static str, Vec<u8>); 4] {
    const BINARY_FIRST: u8 = 0x02;
    const CONTINUATION: u8 = 0x00;
    const CONTINUATION_LAST: u8 = 0x80;
    let in_three = [&bytes[..20], &[], &bytes[20..60], &bytes[60..]];
    let fragments = [
        frame(BINARY_FIRST, &bytes[..10]),
        frame(PING, b"between"),
        frame(CONTINUATION, &bytes[10..40]),
        frame(CONTINUATION_LAST, &bytes[40..]),
    ];
    [
        ("byte by byte", bytes.iter().flat_map(|byte| frame(TEXT, &[*byte])).collect()),
        ("binary", frame(BINARY, bytes)),
        ("several frames", in_three.map(|part| frame(TEXT, part)).concat()),
        ("fragments around a ping", fragments.concat()),
    ]
}

#[actix_web::test]
async fn frames_may_be_of_any_kind_and_hold_parts_of_messages() {
    let site = Site::start().await;
    let told = format!("{HANDSHAKE}{}", join("1"));
    for (name, stream) in framed(told.as_bytes()) {
        let mut socket = open(&site).await;
        socket.send_bytes(&stream).await;
        let mut messages = Vec::new();
        while messages.len() < 2 {
            match socket.next().await {
                Received::Message(message) => messages.push(message),
                other => assert_eq!(other, Received::Pong(b"between".to_vec()), "{name}"),
            }
        }
        assert_eq!(messages, [json!({}), done("1")], "{name}");
    }
}

#[actix_web::test]
async fn a_frame_may_hold_many_more_bytes_than_a_message() {
    let site = Site::start().await;
    let mut socket = connect(&site).await;
    let pings = "{\"type\":6}\u{1e}".repeat(200 * 1024 / 11);
    socket.send_text(&format!("{}{pings}{}", join("first"), join("last"))).await;
    assert_eq!(socket.message().await, done("first"));
    assert_eq!(socket.message().await, done("last"));
}

/// An invocation that is this many bytes long, terminator included.
fn padded_join(bytes: usize) -> String {
    let call = join("1");
    let padding = bytes - call.len() - ",\"x\":\"\"".len();
    let open = call.strip_suffix("}\u{1e}").expect("an object");
    format!("{open},\"x\":\"{}\"}}\u{1e}", "x".repeat(padding))
}

#[actix_web::test]
async fn a_message_may_be_as_long_as_the_bound_and_no_longer() {
    let site = Site::start().await;
    let mut socket = connect(&site).await;
    socket.send_text(&padded_join(MESSAGE_BYTES_MAX)).await;
    assert_eq!(socket.message().await, done("1"));
    socket.send_text(&padded_join(MESSAGE_BYTES_MAX + 1)).await;
    assert_eq!(socket.rest().await, broken_off(1000));
}

#[actix_web::test]
async fn a_message_that_is_malformed_ends_the_connection() {
    let site = Site::start().await;
    for message in [
        "hello\u{1e}",
        "{\"type\":1,\"target\":\"JoinDispatchGroup\"}\u{1e}",
        "{\"type\":\"1\"}\u{1e}",
        "[]\u{1e}",
        "\u{1e}",
        "{\"type\":3,\"invocationId\":\"1\",\"error\":\"e\",\"result\":1}\u{1e}",
    ] {
        let mut socket = connect(&site).await;
        socket.send_text(&format!("{message}{}", join("1"))).await;
        assert_eq!(socket.rest().await, broken_off(1000), "{message}");
    }
}

#[actix_web::test]
async fn a_message_of_an_unknown_or_unsolicited_kind_is_passed_over() {
    let site = Site::start().await;
    let mut socket = connect(&site).await;
    for message in [
        json!({ "type": 99 }),
        json!({ "type": 2, "invocationId": "9", "item": 1 }),
        json!({ "type": 3, "invocationId": "9", "result": 1 }),
        json!({ "type": 5, "invocationId": "9" }),
        json!({ "type": 8, "sequenceId": 1 }),
        json!({ "type": 9, "sequenceId": 1 }),
    ] {
        socket.send_text(&format!("{message}\u{1e}{}", join("1"))).await;
        assert_eq!(socket.message().await, done("1"), "after {message}");
    }
}

#[actix_web::test]
async fn a_frame_against_the_rules_ends_the_connection_at_once() {
    let site = Site::start().await;
    let unmasked = [&[TEXT, 3][..], b"{}\x1e"].concat();
    let four_gib = [&[TEXT, 0xFF][..], &(1_u64 << 32).to_be_bytes(), &[0; 4]].concat();
    let bit_63 = [&[TEXT, 0xFF][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    let above_the_bound =
        [&[TEXT, 0xFF][..], &(16 * 1024 * 1024 + 1_u64).to_be_bytes(), &[0; 4]].concat();
    for (name, bytes, code) in [
        ("unmasked", unmasked, 1002),
        ("an unknown kind", frame(0x83, b""), 1002),
        ("text that is none", frame(TEXT, b"\xFF"), 1007),
        ("4 GiB declared", four_gib, 1009),
        ("all bits of the length", bit_63, 1002),
        ("a byte more than may be", above_the_bound, 1009),
    ] {
        let mut socket = connect(&site).await;
        socket.send_bytes(&bytes).await;
        assert_eq!(socket.rest().await, broken_off(code), "{name}");
    }
}

#[actix_web::test]
async fn a_close_frame_is_answered_with_code_1000() {
    let site = Site::start().await;
    for payload in [&b""[..], &1000_u16.to_be_bytes(), &1001_u16.to_be_bytes()] {
        let mut socket = connect(&site).await;
        socket.send_bytes(&frame(CLOSE, payload)).await;
        let rest = socket.rest().await;
        assert_eq!(rest.last(), Some(&Received::Close(1000)), "{payload:?}: {rest:?}");
    }
    let mut before_its_handshake = open(&site).await;
    before_its_handshake.send_bytes(&frame(CLOSE, b"")).await;
    assert_eq!(before_its_handshake.rest().await.last(), Some(&Received::Close(1000)));
}

#[actix_web::test]
async fn a_websocket_ping_is_answered_with_its_payload() {
    let site = Site::start().await;
    let mut socket = connect(&site).await;
    socket.send_bytes(&frame(PING, b"are you there")).await;
    assert_eq!(socket.next().await, Received::Pong(b"are you there".to_vec()));
}

/// What a client has to say, and what it is answered.
fn conversation() -> (String, Vec<Value>) {
    let unknown = "Failed to invoke 'Nope' due to an error on the server. HubException: Method \
                   does not exist.";
    let told = [
        HANDSHAKE.to_owned(),
        join("a"),
        "{\"type\":6}\u{1e}".to_owned(),
        invocation("ü", "Nope", json!(["🙂"])),
        "{\"type\":1,\"target\":\"Nope\",\"arguments\":[]}\u{1e}".to_owned(),
        join("z"),
    ];
    (told.concat(), vec![json!({}), done("a"), failed("ü", unknown), done("z")])
}

/// The parts of a slice that these lengths cut off, and the rest.
fn parts<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    for length in lengths {
        let (part, rest) = bytes.split_at((*length).min(bytes.len()));
        parts.push(part);
        bytes = rest;
    }
    parts.push(bytes);
    parts
}

#[test]
fn wherever_the_stream_is_cut_the_answers_are_the_same() {
    let system = actix_web::rt::System::new();
    let site = system.block_on(Site::start());
    let (told, answers) = conversation();
    let cuts = (vec(0..90_usize, 0..8), vec(1..60_usize, 0..40), any::<[u8; 4]>());
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&cuts, |(frames, writes, mask)| {
        let frames = parts(told.as_bytes(), &frames).into_iter();
        // A text message may not be cut within a character.
        let stream = frames.flat_map(|part| masked_frame(BINARY, part, mask)).collect::<Vec<u8>>();
        let received = system.block_on(async {
            let mut socket = open(&site).await;
            for write in parts(&stream, &writes) {
                socket.send_bytes(write).await;
            }
            let mut received = Vec::new();
            for _ in &answers {
                received.push(socket.next().await);
            }
            received
        });
        let expected: Vec<_> = answers.iter().cloned().map(Received::Message).collect();
        prop_assert_eq!(received, expected);
        Ok::<(), TestCaseError>(())
    });
    outcome.expect("the answers are the same");
}
