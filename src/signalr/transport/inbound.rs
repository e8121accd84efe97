//! What a transport tells its session.

use bytes::Bytes;

/// Something that came in.
#[derive(Debug)]
pub(in crate::signalr) enum Inbound {
    /// Bytes of the client's stream.
    Bytes(Bytes),
    /// The client asks whether the transport is alive; the bytes go back.
    Ping(Bytes),
    /// The client ends the transport.
    Close,
    /// The client broke the transport's own rules.
    Violation(Violation),
}

/// What the client did against RFC 6455; becomes the code of our Close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalr) enum Violation {
    /// 1002
    Protocol,
    /// 1009
    TooBig,
}
