//! The Server-Sent Events transport: an endless response for the way out. The way in
//! are POSTs.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::{HttpRequest, HttpResponse};
use bytes::{BufMut as _, Bytes, BytesMut};

use super::websocket::OutboundBody;
use crate::signalr::connection::Link;

/// Whether the request asks for an event stream; it may accept other types as well.
pub(in crate::signalr) fn is_asked_for(request: &HttpRequest) -> bool {
    request.headers().get_all("accept").any(|accept| {
        accept.to_str().is_ok_and(|text| {
            text.split(',').any(|kind| {
                let kind = kind.split(';').next().unwrap_or_default().trim();
                kind.eq_ignore_ascii_case("text/event-stream")
            })
        })
    })
}

/// The endless response. Nothing on its way may compress, keep or cache it.
pub(in crate::signalr) fn response(link: Rc<Link>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("Content-Type", "text/event-stream"))
        .insert_header(("Cache-Control", "no-cache,no-store"))
        .insert_header(("Pragma", "no-cache"))
        .insert_header(("Content-Encoding", "identity"))
        .insert_header(("X-Accel-Buffering", "no"))
        .body(EventBody { frames: OutboundBody::new(link), is_begun: false })
}

/// One unit as an event: a line of data for each of its lines.
pub(in crate::signalr) fn event(unit: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(unit.len() + 16);
    for line in unit.split(|byte| *byte == b'\n') {
        event.put_slice(b"data: ");
        event.put_slice(line.strip_suffix(b"\r").unwrap_or(line));
        event.put_slice(b"\r\n");
    }
    event.put_slice(b"\r\n");
    event.freeze()
}

struct EventBody {
    frames: OutboundBody,
    is_begun: bool,
}

impl MessageBody for EventBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if !std::mem::replace(&mut self.is_begun, true) {
            // A comment at once, so that whoever waits for a first byte has one.
            return Poll::Ready(Some(Ok(Bytes::from_static(b":\r\n"))));
        }
        Pin::new(&mut self.frames).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_a_line_for_each_line_of_its_unit() {
        for (unit, expected) in [
            ("{}\u{1e}", "data: {}\u{1e}\r\n\r\n"),
            ("a\nb\r\nc", "data: a\r\ndata: b\r\ndata: c\r\n\r\n"),
            ("", "data: \r\n\r\n"),
        ] {
            assert_eq!(event(unit.as_bytes()), expected, "{unit:?}");
        }
    }
}
