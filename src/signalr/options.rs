//! What can be set for an endpoint.

use std::time::Duration;

/// Timers and bounds of one endpoint. The defaults are the reference server's
/// where it has one.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// How often a connection gets a ping. Default 15 s.
    pub keep_alive_interval: Duration,
    /// How long a client that has pinged once may be silent before it is closed.
    /// Twice the keep-alive interval or more, so that one lost ping does not end it.
    /// Default 30 s.
    pub client_timeout: Duration,
    /// How long a connection may take to complete its handshake. Default 15 s.
    pub handshake_timeout: Duration,
    /// How long a negotiated connection waits for its transport. Default 15 s.
    pub reservation_timeout: Duration,
    /// Negotiated connections that wait at the same time; the next one is refused
    /// with 503. Default 20,000, about 4 MiB.
    pub reservations_max: usize,
    /// Bytes of one hub message, terminator included; a longer one closes the
    /// connection. Default 32 KiB.
    pub message_bytes_max: usize,
    /// Bytes of one WebSocket frame; a longer one is refused as soon as its header
    /// has arrived. It may hold many hub messages. Default 256 KiB.
    pub frame_bytes_max: usize,
    /// Bytes that wait for one connection to read them; at the next message its
    /// socket is aborted. Default 1 MiB: a burst of 2,000 events of 500 bytes.
    pub output_bytes_max: usize,
    /// How long waiting output may make no progress before the socket is aborted.
    /// Default 10 s.
    pub send_timeout: Duration,
    /// Groups that one connection may be in; joining one more fails. Default 200.
    pub groups_per_connection_max: usize,
    /// Invocations of one connection that run at the same time; further ones wait,
    /// unread. Default 1.
    pub parallel_invocations_max: usize,
    /// Publications that wait for one worker thread. One more and every connection
    /// of that worker is closed to come back and resume: it would have a gap.
    /// Default 16,384.
    pub publications_max: usize,
    /// Whether clients see the details of unexpected failures. Default no.
    pub detailed_errors: bool,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            keep_alive_interval: Duration::from_secs(15),
            client_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(15),
            reservation_timeout: Duration::from_secs(15),
            reservations_max: 20_000,
            message_bytes_max: 32 * 1024,
            frame_bytes_max: 256 * 1024,
            output_bytes_max: 1024 * 1024,
            send_timeout: Duration::from_secs(10),
            groups_per_connection_max: 200,
            parallel_invocations_max: 1,
            publications_max: 16 * 1024,
            detailed_errors: false,
        }
    }
}
