//! The first bytes of a connection: JSON, whatever the hub protocol will be.

use bytes::{BufMut, BytesMut};
use serde::Deserialize;

use super::{ProtocolKind, RECORD_SEPARATOR, take_record};

/// The highest version of the hub protocols that is spoken.
const VERSION_MAX: i64 = 2;

/// What the client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeRequest {
    /// The hub protocol.
    pub protocol: ProtocolKind,
    /// Its version: 2 with stateful reconnect, else 1.
    pub version: i64,
}

/// Why a handshake is refused; the text is what the client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// A protocol that is not spoken here.
    #[error("The protocol '{0}' is not supported.")]
    UnknownProtocol(String),
    /// A version that is not spoken here.
    #[error("The server does not support version {version} of the '{protocol}' protocol.")]
    UnknownVersion {
        /// The version that was asked for.
        version: i64,
        /// The protocol that was asked for.
        protocol: String,
    },
    /// A protocol whose bytes the transport cannot carry.
    #[error(
        "Cannot use the '{protocol}' protocol on the current transport. The transport does not support 'Binary' transfer format."
    )]
    BinaryOnText {
        /// The protocol that was asked for.
        protocol: String,
    },
    /// It took too long or is too large.
    #[error("Handshake was canceled.")]
    Canceled,
    /// It is no handshake; the detail is for the log.
    #[error("An unexpected error occurred during connection handshake.")]
    Malformed(String),
}

#[derive(Deserialize)]
struct RequestJson {
    protocol: String,
    version: i64,
}

/// Takes the handshake off the front of the stream; none when more bytes are
/// needed. What follows it stays in the buffer.
pub fn read_handshake(
    buffer: &mut BytesMut,
    scanned: &mut usize,
    bytes_max: usize,
) -> Result<Option<HandshakeRequest>, HandshakeError> {
    let record = take_record(buffer, scanned, bytes_max).map_err(|_| HandshakeError::Canceled)?;
    let Some(record) = record else {
        return Ok(None);
    };
    // Duplicate properties and unknown ones are no concern here: the last one counts.
    let value: serde_json::Value = serde_json::from_slice(&record)
        .map_err(|error| HandshakeError::Malformed(error.to_string()))?;
    let request = RequestJson::deserialize(value)
        .map_err(|error| HandshakeError::Malformed(error.to_string()))?;
    let Some(protocol) = ProtocolKind::parse(&request.protocol) else {
        return Err(HandshakeError::UnknownProtocol(request.protocol));
    };
    if request.version > VERSION_MAX {
        let RequestJson { protocol, version } = request;
        return Err(HandshakeError::UnknownVersion { version, protocol });
    }
    Ok(Some(HandshakeRequest { protocol, version: request.version }))
}

/// The answer to a handshake: `{}`, or the error's text, with what may be shown of it.
pub fn encode_handshake_response(
    result: Result<(), &HandshakeError>,
    detailed_errors: bool,
    output: &mut BytesMut,
) {
    let response = match result {
        Ok(()) => serde_json::json!({}),
        Err(error @ HandshakeError::Malformed(detail)) if detailed_errors => {
            serde_json::json!({ "error": format!("{error} InvalidDataException: {detail}") })
        }
        Err(error) => serde_json::json!({ "error": error.to_string() }),
    };
    output.put_slice(response.to_string().as_bytes());
    output.put_u8(RECORD_SEPARATOR);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<HandshakeRequest>, HandshakeError> {
        read_handshake(&mut BytesMut::from(text), &mut 0, 32 * 1024)
    }

    #[test]
    fn both_versions_and_any_case_of_the_name_are_accepted() {
        for (text, version) in [
            ("{\"protocol\":\"json\",\"version\":1}\u{1e}", 1),
            ("{\"version\":2,\"protocol\":\"JSON\",\"more\":[1]}\u{1e}rest", 2),
        ] {
            let expected = HandshakeRequest { protocol: ProtocolKind::Json, version };
            assert_eq!(read(text), Ok(Some(expected)), "{text}");
        }
    }

    #[test]
    fn a_refused_handshake_says_why_in_the_reference_servers_words() {
        for (text, error) in [
            ("{\"protocol\":\"xml\",\"version\":1}\u{1e}", "The protocol 'xml' is not supported."),
            (
                "{\"protocol\":\"json\",\"version\":3}\u{1e}",
                "The server does not support version 3 of the 'json' protocol.",
            ),
            ("[]\u{1e}", "An unexpected error occurred during connection handshake."),
            ("nonsense\u{1e}", "An unexpected error occurred during connection handshake."),
            (
                "{\"protocol\":1,\"version\":1}\u{1e}",
                "An unexpected error occurred during connection handshake.",
            ),
            (
                "{\"protocol\":\"json\"}\u{1e}",
                "An unexpected error occurred during connection handshake.",
            ),
        ] {
            let refused = read(text).expect_err(text).to_string();
            assert_eq!(refused, error, "{text}");
        }
    }

    #[test]
    fn what_follows_the_handshake_stays_in_the_buffer() {
        let mut buffer =
            BytesMut::from("{\"protocol\":\"json\",\"version\":1}\u{1e}{\"type\":6}\u{1e}");
        read_handshake(&mut buffer, &mut 0, 100).expect("a handshake").expect("whole");
        assert_eq!(&buffer[..], b"{\"type\":6}\x1e");
    }

    #[test]
    fn a_handshake_that_never_ends_is_cancelled_at_the_bound() {
        let mut buffer = BytesMut::from(&[b'a'; 99][..]);
        assert_eq!(read_handshake(&mut buffer, &mut 0, 100), Ok(None));
        buffer.extend_from_slice(b"aa");
        assert_eq!(read_handshake(&mut buffer, &mut 0, 100), Err(HandshakeError::Canceled));
    }
}
