//! The WebSocket transport: the upgrade, and the way out.
//!
//! The response's body is a stream of ours that takes ready frames from the
//! connection's queue, so that a delivery costs no actor message. The way in is
//! `websocket_frames`.
//!
//! actix-web-actors answers the handshake, and is named nowhere else. The session is
//! not a `WebsocketContext`: that context is driven by the response body and stands
//! still, timers and mailbox included, while its client does not read.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, SEC_WEBSOCKET_KEY};
use actix_web::{HttpRequest, HttpResponse};
use actix_web_actors::ws;
use base64::Engine as _;
use bytes::Bytes;

use crate::signalr::connection::Connection;

/// Whether the request asks for a WebSocket.
pub(in crate::signalr) fn is_upgrade(request: &HttpRequest) -> bool {
    request.headers().get("upgrade").is_some_and(|value| {
        value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("websocket"))
    })
}

/// Switches protocols: from here the connection's output is the response's body.
/// 400 when the request is no proper handshake.
pub(in crate::signalr) fn accept(
    request: &HttpRequest,
    connection: Rc<Connection>,
) -> Result<HttpResponse, StatusCode> {
    if !request.headers().get(SEC_WEBSOCKET_KEY).is_some_and(is_websocket_key) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let mut response = ws::handshake(request).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(response.body(OutboundBody { connection }))
}

/// RFC 6455 asks for 16 bytes in base64; the library only looks whether there is a key.
fn is_websocket_key(key: &HeaderValue) -> bool {
    base64::engine::general_purpose::STANDARD
        .decode(key.as_bytes())
        .is_ok_and(|bytes| bytes.len() == 16)
}

/// The connection's queue as a response body.
struct OutboundBody {
    connection: Rc<Connection>,
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
        self.connection.outbound.poll_frame(context).map(|frame| frame.map(Ok))
    }
}

impl Drop for OutboundBody {
    /// The socket is done with, for whatever reason: nothing can be sent any more.
    fn drop(&mut self) {
        self.connection.outbound.discard();
    }
}
