//! For the tests of both protocols: what a reader makes of a stream.

use bytes::BytesMut;

use super::{HubMessage, MessageReader, ProtocolError, ProtocolKind, encode};

pub(super) fn written(protocol: ProtocolKind, message: &HubMessage) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    encode(protocol, message, &mut bytes);
    bytes.to_vec()
}

/// Every message of a stream that arrives in pieces, cut at these places, written again;
/// and what ended the reading, if something did.
pub(super) fn read_all(
    protocol: ProtocolKind,
    bytes: &[u8],
    cuts: &[usize],
    bytes_max: usize,
) -> (Vec<Vec<u8>>, Option<ProtocolError>) {
    let mut reader = MessageReader::new(protocol, bytes_max, BytesMut::new());
    let (mut messages, mut start) = (Vec::new(), 0);
    for end in cuts.iter().copied().chain([bytes.len()]) {
        reader.feed(&bytes[start..end]);
        start = end;
        loop {
            match reader.next_message() {
                Ok(Some(message)) => messages.push(written(protocol, &message)),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}
