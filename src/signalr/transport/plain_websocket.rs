//! A WebSocket of its own, below any SignalR connection: whole messages in and out,
//! on the same framing.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};

use super::frame_decoder::{FrameEvent, MessageKind, Violation as FrameViolation};
use super::websocket::{SocketReader, accept};
use super::websocket_frames::{CloseStatus, close_frame, data_frame, pong_frame};
use crate::signalr::connection::{Outbound, Violation};

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebSocketMessage {
    /// UTF-8, as the client's frames promised and were held to.
    Text(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

/// A socket that has been upgraded.
pub struct WebSocket {
    reader: SocketReader,
    outbound: Rc<Outbound>,
    message_bytes_max: usize,
}

impl WebSocket {
    /// Answers an upgrade request. A message of more than `message_bytes_max` bytes
    /// closes the socket with 1009; that many may wait to be sent as well.
    ///
    /// # Errors
    /// The status of a refusal, when the request is no proper handshake.
    pub fn upgrade(
        request: &HttpRequest,
        payload: web::Payload,
        message_bytes_max: usize,
    ) -> Result<(HttpResponse, Self), StatusCode> {
        let mut response = accept(request)?;
        // Twice, so that a whole message and the control frames beside it fit.
        let outbound = Rc::new(Outbound::new(message_bytes_max.saturating_mul(2), Instant::now()));
        let body = PlainBody { outbound: Rc::clone(&outbound) };
        let reader = SocketReader::new(payload, message_bytes_max as u64);
        Ok((response.body(body), Self { reader, outbound, message_bytes_max }))
    }

    /// The next whole message; none once the socket has ended. Pings are answered,
    /// and a close is answered with 1000, meanwhile.
    pub async fn receive(&mut self) -> Option<WebSocketMessage> {
        let mut message = BytesMut::new();
        loop {
            let event = std::future::poll_fn(|context| self.reader.poll_frame(context)).await?;
            match event {
                Ok(FrameEvent::Data { kind, bytes, ends_message }) => {
                    if message.len() + bytes.len() > self.message_bytes_max {
                        self.close(CloseStatus::TooBig);
                        return None;
                    }
                    message.extend_from_slice(&bytes);
                    if ends_message {
                        return Some(match kind {
                            MessageKind::Text => WebSocketMessage::Text(message.freeze()),
                            MessageKind::Binary => WebSocketMessage::Binary(message.freeze()),
                        });
                    }
                }
                Ok(FrameEvent::Ping(payload)) => self.push(pong_frame(&payload)).await,
                Ok(FrameEvent::Pong(_)) => {}
                Ok(FrameEvent::Close(_)) => {
                    self.close(CloseStatus::Normal);
                    return None;
                }
                Err(violation) => {
                    self.close(close_status(violation));
                    return None;
                }
            }
        }
    }

    /// Sends a message; waits while the client does not read what waits already.
    pub async fn send(&self, message: &WebSocketMessage) {
        self.push(match message {
            WebSocketMessage::Text(bytes) => data_frame(MessageKind::Text, bytes),
            WebSocketMessage::Binary(bytes) => data_frame(MessageKind::Binary, bytes),
        })
        .await;
    }

    async fn push(&self, frame: Bytes) {
        let room = self.message_bytes_max;
        std::future::poll_fn(|context| self.outbound.poll_room(room, context)).await;
        // Less than one message waits, so another one and a control frame fit.
        let _ = self.outbound.push(frame, Instant::now());
    }

    fn close(&self, status: CloseStatus) {
        let _ = self.outbound.push(close_frame(status), Instant::now());
        self.outbound.end();
    }
}

fn close_status(violation: FrameViolation) -> CloseStatus {
    Violation::from(violation).into()
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.outbound.end();
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").finish_non_exhaustive()
    }
}

struct PlainBody {
    outbound: Rc<Outbound>,
}

impl MessageBody for PlainBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.outbound.poll_frame(self.outbound.attachment(), context).map(|frame| frame.map(Ok))
    }
}

impl Drop for PlainBody {
    fn drop(&mut self) {
        self.outbound.discard();
    }
}
