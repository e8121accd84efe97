//! The first bytes of a connection.

use std::time::Duration;

use bytes::BytesMut;
use signalbox::signalr::{HandshakeError, HandshakeRequest, read_handshake};

use super::cases;
use super::mutation::{cut, mutated};

const BYTES_MAX: usize = 200;

type Outcome = Result<Option<HandshakeRequest>, HandshakeError>;

/// What comes of the pieces, and how many bytes are left over.
fn read(pieces: &[&[u8]]) -> (Outcome, usize) {
    let (mut buffer, mut scanned) = (BytesMut::new(), 0);
    let mut outcome = Ok(None);
    for (place, piece) in pieces.iter().enumerate() {
        buffer.extend_from_slice(piece);
        outcome = read_handshake(&mut buffer, &mut scanned, BYTES_MAX);
        if !matches!(outcome, Ok(None)) {
            let rest: usize = pieces[place + 1..].iter().map(|piece| piece.len()).sum();
            return (outcome, buffer.len() + rest);
        }
    }
    (outcome, buffer.len())
}

#[test]
fn a_handshake_is_judged_the_same_however_it_is_cut() {
    let corpus = [
        b"{\"protocol\":\"json\",\"version\":1}\x1e".to_vec(),
        b"{\"version\":2,\"protocol\":\"messagepack\"}\x1e\x02\x91\x06".to_vec(),
        b"{\"protocol\":\"JSON\",\"version\":1,\"x\":[{}]}\x1e{\"type\":6}\x1e".to_vec(),
        [b"{\"protocol\":\"".to_vec(), vec![b'x'; BYTES_MAX], b"\"}\x1e".to_vec()].concat(),
    ];
    for mut random in cases(Duration::from_millis(500)) {
        let bytes = mutated(&mut random, &corpus);
        let (whole, left) = read(&[&bytes]);
        let pieces = cut(&mut random, &bytes);
        let (in_pieces, left_of_pieces) = read(&pieces);
        // A bound is passed at another place when more has come at once.
        assert_eq!(in_pieces, whole, "{bytes:?} in {pieces:?}");
        if let Ok(Some(request)) = whole {
            assert_eq!(left_of_pieces, left, "{bytes:?}");
            let end = bytes.iter().position(|byte| *byte == 0x1E).expect("it has an end");
            assert_eq!(left, bytes.len() - end - 1, "what follows is left over: {bytes:?}");
            assert!(request.version <= 2, "{bytes:?}");
        }
    }
}
