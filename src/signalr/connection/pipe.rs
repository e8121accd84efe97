//! The way in for clients that post: bytes that may come to any worker thread, on
//! their way to the one that the connection lives on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

/// What may be posted before the connection has a transport: a handshake and a
/// first call. More waits for the transport.
pub(super) const EARLY_INPUT_BYTES_MAX: usize = 4 * 1024;

/// Bytes are handed on in pieces of at most this, each with its own place.
const PIECE_BYTES_MAX: usize = EARLY_INPUT_BYTES_MAX;

/// Writes the bodies of POSTs, one after the other. Clones write to the same pipe.
#[derive(Debug, Clone)]
pub(super) struct PipeWriter {
    /// Whose body it is; others wait in the order of their coming.
    turn: Arc<Mutex<()>>,
    room: Arc<Semaphore>,
    pieces: mpsc::UnboundedSender<Piece>,
}

/// A piece, and the room that it takes until it is read.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Reads what was posted.
#[derive(Debug)]
pub(super) struct PipeReader {
    room: Arc<Semaphore>,
    pieces: mpsc::UnboundedReceiver<Piece>,
}

/// Why a body did not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PipeError {
    /// The connection is gone.
    Closed,
    /// The body broke off.
    Body,
    /// The body did not come in time.
    Late,
}

/// A pipe for a connection without a transport yet.
pub(super) fn pipe() -> (PipeWriter, PipeReader) {
    let room = Arc::new(Semaphore::new(EARLY_INPUT_BYTES_MAX));
    // Bounded by the room that each piece takes.
    let (sender, receiver) = mpsc::unbounded_channel();
    let writer = PipeWriter { turn: Arc::default(), room: Arc::clone(&room), pieces: sender };
    (writer, PipeReader { room, pieces: receiver })
}

impl PipeWriter {
    /// Writes a whole body; waits while there is no room. Once the connection is gone
    /// nothing is waited for, also not for a body that does not come. Whoever sends it has
    /// this time for all of its parts; waiting for room is not counted.
    pub(super) async fn write(
        &self,
        body: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
        time_limit: Duration,
    ) -> Result<(), PipeError> {
        if self.pieces.is_closed() {
            return Err(PipeError::Closed);
        }
        tokio::select! {
            biased;
            // First: one that was taken whole was taken, also when what it says has
            // ended the connection by now.
            written = self.write_body(body, time_limit) => written,
            () = self.pieces.closed() => Err(PipeError::Closed),
        }
    }

    async fn write_body(
        &self,
        mut body: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
        time_limit: Duration,
    ) -> Result<(), PipeError> {
        let _turn = self.turn.lock().await;
        let mut left = time_limit;
        loop {
            let since = Instant::now();
            let chunk = timeout(left, body.next()).await.map_err(|_| PipeError::Late)?;
            left = left.saturating_sub(since.elapsed());
            let Some(chunk) = chunk else {
                return Ok(());
            };
            let chunk = chunk.map_err(|_| PipeError::Body)?;
            for piece in chunk.chunks(PIECE_BYTES_MAX) {
                let bytes = u32::try_from(piece.len()).expect("a piece has at most 4 KiB");
                let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
                let room = room.map_err(|_| PipeError::Closed)?;
                // A copy, since the chunk may be a small part of a large buffer.
                let piece = Piece { bytes: Bytes::copy_from_slice(piece), _room: room };
                self.pieces.send(piece).map_err(|_| PipeError::Closed)?;
            }
        }
    }
}

impl PipeReader {
    /// There is a transport: from here up to `bytes_max` may wait.
    pub(super) fn widen(&self, bytes_max: usize) {
        self.room.add_permits(bytes_max.saturating_sub(EARLY_INPUT_BYTES_MAX));
    }

    pub(super) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        Pin::new(&mut self.pieces).poll_recv(context).map(|piece| piece.map(|piece| piece.bytes))
    }
}

impl Drop for PipeReader {
    /// Whoever waits for room learns that there is nobody to read.
    fn drop(&mut self) {
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::{FutureExt as _, stream};

    use super::*;

    const LONG_TIME: Duration = Duration::from_secs(60);

    fn body(chunks: &[&'static str]) -> impl Stream<Item = Result<Bytes, PayloadError>> + Unpin {
        stream::iter(
            chunks.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect::<Vec<_>>(),
        )
    }

    async fn read(reader: &mut PipeReader) -> Option<Bytes> {
        poll_fn(|context| reader.poll_bytes(context)).await
    }

    #[actix_web::test]
    async fn bodies_come_whole_and_in_order() {
        let (writer, mut reader) = pipe();
        writer.write(body(&["a", "b"]), LONG_TIME).await.expect("written");
        writer.write(body(&["c"]), LONG_TIME).await.expect("written");
        for expected in ["a", "b", "c"] {
            assert_eq!(read(&mut reader).await.expect("a piece"), expected);
        }
    }

    #[actix_web::test]
    async fn a_body_waits_for_room_and_goes_on_when_it_is_read() {
        const LONG: &str = match std::str::from_utf8(&[b'x'; EARLY_INPUT_BYTES_MAX + 1]) {
            Ok(text) => text,
            Err(_) => "",
        };
        let (writer, mut reader) = pipe();
        let mut writing = Box::pin(writer.write(body(&[LONG]), LONG_TIME));
        assert_eq!((&mut writing).now_or_never(), None, "no room for the last byte");
        assert_eq!(read(&mut reader).await.expect("a piece").len(), EARLY_INPUT_BYTES_MAX);
        assert_eq!(writing.await, Ok(()));
    }

    #[actix_web::test]
    async fn whoever_waits_learns_that_the_connection_is_gone() {
        let (writer, reader) = pipe();
        drop(reader);
        assert_eq!(writer.write(body(&["x"]), LONG_TIME).await, Err(PipeError::Closed));
        assert_eq!(writer.write(body(&[]), LONG_TIME).await, Err(PipeError::Closed));
        let (writer, reader) = pipe();
        let mut writing = Box::pin(writer.write(stream::pending(), LONG_TIME));
        assert_eq!((&mut writing).now_or_never(), None, "the body does not come");
        drop(reader);
        assert_eq!(writing.await, Err(PipeError::Closed));
    }

    #[actix_web::test]
    async fn a_body_that_does_not_come_is_given_up_and_room_that_does_not_is_not() {
        let (writer, mut reader) = pipe();
        let short = Duration::from_millis(1);
        assert_eq!(writer.write(stream::pending(), short).await, Err(PipeError::Late));
        let filling = vec![Ok(Bytes::from(vec![b'x'; EARLY_INPUT_BYTES_MAX]))];
        let mut filling = stream::iter(filling).chain(body(&["y"]));
        let mut writing = Box::pin(writer.write(&mut filling, short));
        let waited = tokio::time::timeout(Duration::from_millis(20), &mut writing).await;
        assert!(waited.is_err(), "it waits for room");
        assert_eq!(read(&mut reader).await.expect("a piece").len(), EARLY_INPUT_BYTES_MAX);
        assert_eq!(writing.await, Ok(()));
    }
}
