//! What a transport tells the one who handles its connection.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

use super::link::Link;
use super::pipe::PipeReader;
use super::renewal::Renewal;
use crate::signalr::transport::websocket::{SocketEvent, SocketReader};

/// Something that came in.
#[derive(Debug)]
pub(in crate::signalr) enum Inbound {
    /// Bytes of the client's stream.
    Bytes(Bytes),
    /// Another socket has taken the lost one's place. Nothing is sent before the
    /// handler attaches the output again; what the old socket left unfinished is void.
    Reattached,
    /// Somebody asks the handler to look at its own affairs.
    Nudge,
    /// A request has brought newer credentials of the connection's user.
    Renewal(Renewal),
    /// The transport's last word.
    End(TransportEnd),
}

/// How a transport ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalr) enum TransportEnd {
    /// The client ended it properly.
    ClosedByClient,
    /// It is gone.
    Lost,
    /// The client broke its rules.
    Violation(Violation),
    /// The client does not read; its socket has been aborted.
    SlowConsumer,
    /// The client's token has expired.
    Expired,
}

/// What the client did against RFC 6455; becomes the code of our Close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalr) enum Violation {
    /// 1002
    Protocol,
    /// 1007
    InvalidUtf8,
    /// 1009
    TooBig,
}

/// Where a connection's bytes come from.
pub(super) enum Source {
    /// A socket of this worker thread.
    Socket(SocketReader),
    /// A socket of another one.
    Remote(mpsc::Receiver<SocketEvent>),
    /// POSTs.
    Pipe(PipeReader),
    /// None for now, or never again.
    None,
}

/// What a source has to say.
pub(super) enum SourceEvent {
    Bytes(Bytes),
    Ping(Bytes),
    End(TransportEnd),
}

impl Source {
    pub(super) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<SourceEvent> {
        let event = match self {
            Self::Socket(reader) => Pin::new(reader).poll_next(context),
            Self::Remote(events) => events.poll_recv(context),
            Self::Pipe(pipe) => {
                return pipe.poll_bytes(context).map(|bytes| {
                    bytes.map_or(SourceEvent::End(TransportEnd::Lost), SourceEvent::Bytes)
                });
            }
            Self::None => return Poll::Pending,
        };
        event.map(|event| match event {
            Some(SocketEvent::Bytes(bytes)) => SourceEvent::Bytes(bytes),
            Some(SocketEvent::Ping(payload)) => SourceEvent::Ping(payload),
            Some(SocketEvent::Close) => SourceEvent::End(TransportEnd::ClosedByClient),
            Some(SocketEvent::Violation(violation)) => {
                SourceEvent::End(TransportEnd::Violation(violation))
            }
            None => SourceEvent::End(TransportEnd::Lost),
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Socket(_) => "Socket",
            Self::Remote(_) => "Remote",
            Self::Pipe(_) => "Pipe",
            Self::None => "None",
        })
    }
}

/// A connection's input, over all of its transports. Ends behind [`Inbound::End`].
#[derive(Debug)]
pub(in crate::signalr) struct LinkInput {
    link: Rc<Link>,
    is_over: bool,
}

impl LinkInput {
    pub(super) fn new(link: Rc<Link>) -> Self {
        Self { link, is_over: false }
    }
}

impl Stream for LinkInput {
    type Item = Inbound;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Inbound>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        let polled = this.link.poll_inbound(context);
        if let Poll::Ready(Inbound::End(_)) = polled {
            this.is_over = true;
        }
        polled.map(Some)
    }
}
