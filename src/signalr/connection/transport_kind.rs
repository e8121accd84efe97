//! The transports, and how each frames what is sent.

use bytes::Bytes;

use crate::signalr::options::Transports;
use crate::signalr::protocol::TransferFormat;
use crate::signalr::transport::{server_sent_events, websocket_frames};

/// How a connection's bytes move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// One socket, both ways.
    WebSockets,
    /// An endless response, and a POST for each message of the client.
    ServerSentEvents,
    /// One request after the other, each answered when there is something to say.
    LongPolling,
}

impl TransportKind {
    /// In the order of preference in which negotiation lists them.
    pub(in crate::signalr) const ALL: [Self; 3] =
        [Self::WebSockets, Self::ServerSentEvents, Self::LongPolling];

    /// As negotiation names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebSockets => "WebSockets",
            Self::ServerSentEvents => "ServerSentEvents",
            Self::LongPolling => "LongPolling",
        }
    }

    /// By the name that negotiation has for it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What it can carry to the client.
    pub(in crate::signalr) const fn transfer_formats(self) -> &'static [TransferFormat] {
        match self {
            Self::WebSockets | Self::LongPolling => &[TransferFormat::Text, TransferFormat::Binary],
            Self::ServerSentEvents => &[TransferFormat::Text],
        }
    }

    pub(super) const fn is_among(self, transports: Transports) -> bool {
        match self {
            Self::WebSockets => transports.web_sockets,
            Self::ServerSentEvents => transports.server_sent_events,
            Self::LongPolling => transports.long_polling,
        }
    }

    /// One unit as this transport sends it: clients parse each on its own.
    pub(in crate::signalr) fn frame(self, format: TransferFormat, unit: &[u8]) -> Bytes {
        match self {
            Self::WebSockets => websocket_frames::message_frame(format, unit),
            Self::ServerSentEvents => server_sent_events::event(unit),
            Self::LongPolling => Bytes::copy_from_slice(unit),
        }
    }
}
