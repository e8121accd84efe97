//! The WebSocket transport: the upgrade, and both ways.
//!
//! The response's body is a stream of ours that takes ready frames from the
//! connection's queue, so that a delivery costs no actor message. The way in is a
//! stream of what the client's frames hold.
//!
//! actix-web-actors answers the handshake, and is named nowhere else. The session is
//! not a `WebsocketContext`: that context is driven by the response body and stands
//! still, timers and mailbox included, while its client does not read.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Weak;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, SEC_WEBSOCKET_KEY};
use actix_web::{HttpRequest, HttpResponseBuilder, web};
use actix_web_actors::ws;
use base64::Engine as _;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use socket2::Socket;
use tokio::sync::mpsc;

use super::frame_decoder::{FrameDecoder, FrameEvent, Violation as FrameViolation};
use crate::signalr::connection::{Link, LinkHost, Violation};

/// Whether the request asks for a WebSocket.
pub(in crate::signalr) fn is_upgrade(request: &HttpRequest) -> bool {
    request.headers().get("upgrade").is_some_and(|value| {
        value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("websocket"))
    })
}

/// The answer that switches protocols; its body will be the way out. 400 when the
/// request is no proper handshake.
pub(in crate::signalr) fn accept(request: &HttpRequest) -> Result<HttpResponseBuilder, StatusCode> {
    if !request.headers().get(SEC_WEBSOCKET_KEY).is_some_and(is_websocket_key) {
        return Err(StatusCode::BAD_REQUEST);
    }
    ws::handshake(request).map_err(|_| StatusCode::BAD_REQUEST)
}

/// RFC 6455 asks for 16 bytes in base64; the library only looks whether there is a key.
fn is_websocket_key(key: &HeaderValue) -> bool {
    base64::engine::general_purpose::STANDARD
        .decode(key.as_bytes())
        .is_ok_and(|bytes| bytes.len() == 16)
}

/// What a client's frame held.
#[derive(Debug)]
pub(in crate::signalr) enum SocketEvent {
    /// A piece of a message. The stream of hub messages has no borders at messages
    /// or frames, and the reference server takes either kind.
    Bytes(Bytes),
    /// The client asks whether the socket is alive; the bytes go back.
    Ping(Bytes),
    /// The client ends it.
    Close,
    /// The client broke the rules; nothing follows.
    Violation(Violation),
}

/// The client's frames. Nothing of them is kept back: a piece is handed on as it arrives.
pub(in crate::signalr) struct SocketReader {
    payload: web::Payload,
    decoder: FrameDecoder,
    is_done: bool,
}

impl SocketReader {
    pub(in crate::signalr) fn new(payload: web::Payload, frame_bytes_max: u64) -> Self {
        Self { payload, decoder: FrameDecoder::new(frame_bytes_max), is_done: false }
    }

    /// The next thing that the client's frames hold; none at the socket's end.
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<FrameEvent, FrameViolation>>> {
        loop {
            if self.is_done {
                return Poll::Ready(None);
            }
            match self.decoder.next() {
                Ok(Some(event)) => {
                    self.is_done = matches!(event, FrameEvent::Close(_));
                    return Poll::Ready(Some(Ok(event)));
                }
                Ok(None) => {}
                Err(violation) => {
                    self.is_done = true;
                    return Poll::Ready(Some(Err(violation)));
                }
            }
            match Pin::new(&mut self.payload).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(chunk))) => self.decoder.feed(chunk),
                // The end and a failure are the same: the client is gone.
                Poll::Ready(Some(Err(_)) | None) => self.is_done = true,
            }
        }
    }
}

impl Stream for SocketReader {
    type Item = SocketEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SocketEvent>> {
        let this = self.get_mut();
        loop {
            let Poll::Ready(event) = this.poll_frame(context) else {
                return Poll::Pending;
            };
            return Poll::Ready(match event {
                None => None,
                Some(Ok(FrameEvent::Pong(_))) => continue,
                Some(Ok(FrameEvent::Data { bytes, .. })) => Some(SocketEvent::Bytes(bytes)),
                Some(Ok(FrameEvent::Ping(payload))) => Some(SocketEvent::Ping(payload)),
                Some(Ok(FrameEvent::Close(_))) => Some(SocketEvent::Close),
                Some(Err(violation)) => Some(SocketEvent::Violation(violation.into())),
            });
        }
    }
}

impl From<FrameViolation> for Violation {
    fn from(violation: FrameViolation) -> Self {
        match violation {
            FrameViolation::Protocol => Self::Protocol,
            FrameViolation::InvalidUtf8 => Self::InvalidUtf8,
            FrameViolation::TooBig => Self::TooBig,
        }
    }
}

/// The connection's queue as a response body.
pub(in crate::signalr) struct OutboundBody {
    link: Rc<Link>,
    attachment: u32,
}

impl OutboundBody {
    pub(in crate::signalr) fn new(link: Rc<Link>) -> Self {
        let attachment = link.outbound.attachment();
        Self { link, attachment }
    }
}

impl MessageBody for OutboundBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.link.outbound.poll_frame(self.attachment, context).map(|frame| frame.map(Ok))
    }
}

impl Drop for OutboundBody {
    /// The socket is done with, for whatever reason: nothing can be sent on it any more.
    fn drop(&mut self) {
        self.link.transport_gone(self.attachment, Instant::now());
    }
}

/// A socket for a connection that lives on another worker thread.
#[derive(Debug)]
pub(in crate::signalr) struct RemoteSocket {
    /// What comes in.
    pub(in crate::signalr) events: mpsc::Receiver<SocketEvent>,
    /// What goes out.
    pub(in crate::signalr) frames: mpsc::Sender<Bytes>,
    /// For cutting it.
    pub(in crate::signalr) socket: Weak<Socket>,
}

/// Events of a remote socket on their way; its thread reads no further ones meanwhile.
const REMOTE_EVENTS_MAX: usize = 4;

/// Frames on their way to a remote socket. Enough that what waits leaves in few
/// writes; what does not fit waits in the connection's own queue, which is bounded.
const REMOTE_FRAMES_MAX: usize = 64;

impl RemoteSocket {
    /// Lends a socket of this thread to another one. Answers the socket's response
    /// body too.
    pub(in crate::signalr) fn lend(
        reader: SocketReader,
        socket: Weak<Socket>,
        host: &LinkHost,
    ) -> (Self, RemoteBody) {
        let (events, received) = mpsc::channel(REMOTE_EVENTS_MAX);
        let (frames, taken) = mpsc::channel(REMOTE_FRAMES_MAX);
        host.spawn(async move {
            let mut reader = reader;
            while let Some(event) = reader.next().await {
                if events.send(event).await.is_err() {
                    return;
                }
            }
        });
        (Self { events: received, frames, socket }, RemoteBody { frames: taken })
    }
}

/// The response body of a socket whose connection lives on another worker thread.
pub(in crate::signalr) struct RemoteBody {
    frames: mpsc::Receiver<Bytes>,
}

impl MessageBody for RemoteBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.frames.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

/// Moves a connection's frames to its remote socket, which has this attachment, until
/// either ends.
pub(in crate::signalr) async fn feed_remote_socket(
    link: Rc<Link>,
    attachment: u32,
    frames: mpsc::Sender<Bytes>,
) {
    loop {
        let next = std::future::poll_fn(|context| link.outbound.poll_frame(attachment, context));
        let next = tokio::select! {
            next = next => next,
            () = frames.closed() => None,
        };
        let Some(frame) = next else {
            break;
        };
        if frames.send(frame).await.is_err() {
            break;
        }
    }
    link.transport_gone(attachment, Instant::now());
}
