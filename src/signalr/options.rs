//! What can be set for an endpoint.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;

/// Timers and bounds of a connection's transport. The defaults are the reference
/// server's where it has one.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// Which transports the endpoint has. Default all.
    pub transports: Transports,
    /// The lowest version of the negotiation that is answered. Default 0.
    pub negotiate_version_min: u8,
    /// Sends clients elsewhere instead of reserving a connection. Default none.
    pub redirect: Option<Redirect>,
    /// Whether a client that lost its WebSocket may go on with another one, if both
    /// sides asked for that. Default no.
    pub stateful_reconnect: bool,
    /// Whether a client may bring newer credentials to its connection, by
    /// `POST {path}/refresh`, and is told at the negotiation how long its own last.
    /// Default no.
    pub authentication_refresh: bool,
    /// How long a connection waits without a transport: one that was negotiated and
    /// not claimed, one between two polls, one that may reconnect. Default 15 s.
    pub disconnect_timeout: Duration,
    /// How long a poll waits for something to answer. Default 90 s; clients give up
    /// at 100 s.
    pub poll_timeout: Duration,
    /// How long a client may take to answer the WebSocket's close. Default 5 s.
    pub close_timeout: Duration,
    /// How long waiting output may make no progress before the socket is aborted.
    /// Default 10 s.
    pub send_timeout: Duration,
    /// Bytes that one WebSocket frame may declare; a longer one is refused as soon as its
    /// header has arrived. It may hold many hub messages, and nothing of it is kept
    /// back, so it is no bound of memory. Default 16 MiB.
    pub frame_bytes_max: u64,
    /// Bytes that clients have posted and nobody has read; a further POST is answered
    /// once they are read. 4 KiB or more. Default 64 KiB.
    pub input_bytes_max: usize,
    /// How long the body of a client's POST may be waited for, over all of its parts; what
    /// the server itself does not take yet is not counted. Default 30 s.
    pub body_timeout: Duration,
    /// Bytes that wait for one connection to read them; at the next message its
    /// socket is aborted. Default 1 MiB: a burst of 2,000 events of 500 bytes.
    pub output_bytes_max: usize,
    /// Negotiated connections that wait at the same time; the next one is refused
    /// with 503. Default 20,000: about 4 MiB, and 80 MiB if each has posted ahead.
    pub reservations_max: usize,
    /// Connections at the same time, reserved ones included; the next one is refused
    /// with 503. Default 100,000.
    pub connections_max: usize,
    /// Connections of one user at the same time; the next one is refused with 429.
    /// Users without an id are not counted. Default none.
    pub connections_per_user_max: Option<usize>,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            transports: Transports::default(),
            negotiate_version_min: 0,
            redirect: None,
            stateful_reconnect: false,
            authentication_refresh: false,
            disconnect_timeout: Duration::from_secs(15),
            poll_timeout: Duration::from_secs(90),
            close_timeout: Duration::from_secs(5),
            send_timeout: Duration::from_secs(10),
            frame_bytes_max: 16 * 1024 * 1024,
            input_bytes_max: 64 * 1024,
            body_timeout: Duration::from_secs(30),
            output_bytes_max: 1024 * 1024,
            reservations_max: 20_000,
            connections_max: 100_000,
            connections_per_user_max: None,
        }
    }
}

/// Which transports an endpoint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transports {
    /// One socket, both ways.
    pub web_sockets: bool,
    /// An endless response, and a POST for each message of the client.
    pub server_sent_events: bool,
    /// One request after the other, each answered when there is something to say.
    pub long_polling: bool,
}

impl Default for Transports {
    fn default() -> Self {
        Self { web_sockets: true, server_sent_events: true, long_polling: true }
    }
}

/// Where a negotiation leads instead of here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectTarget {
    /// The other hub's address; may have a query, which clients keep.
    pub url: String,
    /// The bearer token that the client uses there.
    pub access_token: Option<String>,
}

type Choose = dyn Fn(&HttpRequest) -> Option<RedirectTarget> + Send + Sync;

/// Decides by request whether a negotiation leads elsewhere.
#[derive(Clone)]
pub struct Redirect(Arc<Choose>);

impl Redirect {
    /// None keeps the client here.
    pub fn new(
        choose: impl Fn(&HttpRequest) -> Option<RedirectTarget> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(choose))
    }

    pub(super) fn target(&self, request: &HttpRequest) -> Option<RedirectTarget> {
        (self.0)(request)
    }
}

impl fmt::Debug for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redirect")
    }
}

/// Timers and bounds of a hub. The defaults are the reference server's where it has one.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// What lies below the hub protocol.
    pub connection: ConnectionOptions,
    /// How often a connection gets a ping; one that polls gets none. Default 15 s.
    pub keep_alive_interval: Duration,
    /// How long a client that has pinged once may be silent before it is closed.
    /// Twice the keep-alive interval or more, so that one lost ping does not end it.
    /// Default 30 s.
    pub client_timeout: Duration,
    /// How long a connection may take to complete its handshake. Default 15 s.
    pub handshake_timeout: Duration,
    /// Bytes of one hub message, terminator or length prefix included; a longer one
    /// closes the connection. Default 32 KiB.
    pub message_bytes_max: usize,
    /// Groups that one connection may be in; joining one more fails. Default 200.
    pub groups_per_connection_max: usize,
    /// Invocations of one connection that run at the same time; further ones wait,
    /// unread. Streams and calls with uploads are not counted. Default 1.
    pub parallel_invocations_max: usize,
    /// Calls that one connection may make per second, five seconds' worth at once; one more
    /// fails with a text that begins with `rate_limited`, and as many more again end the
    /// connection. A call that asks for no answer is dropped without one. Default none.
    pub invocations_per_second_max: Option<NonZeroU32>,
    /// Streams to the client, and calls with streams from it, that one connection may
    /// have at the same time; one more fails. Default 100.
    pub streams_per_connection_max: usize,
    /// Items of one upload that nobody has read; at the next one nothing more is read
    /// from the connection until the method reads. Default 10.
    pub upload_items_max: usize,
    /// Calls of one connection's methods whose answers are awaited at the same time;
    /// one more fails. Default 1,000.
    pub client_results_max: usize,
    /// Bytes that a sender of a stream leaves waiting before it pauses. Default 64 KiB.
    pub pause_output_bytes: usize,
    /// Unacknowledged bytes of a connection that may reconnect, above which senders
    /// pause; when they stay above it for 5 s, the connection ends. Default 100,000.
    pub stateful_buffer_bytes_max: usize,
    /// Publications that wait for one worker thread. One more and every connection
    /// of that worker is closed to come back and resume: it would have a gap.
    /// Default 16,384.
    pub publications_max: usize,
    /// Whether clients see the details of unexpected failures. Default no.
    pub detailed_errors: bool,
    /// The target of a log line for each connection's beginning and each one's end.
    /// Default none: nothing is logged of connections that are in order.
    pub log_connections: Option<&'static str>,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            connection: ConnectionOptions::default(),
            keep_alive_interval: Duration::from_secs(15),
            client_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(15),
            message_bytes_max: 32 * 1024,
            groups_per_connection_max: 200,
            parallel_invocations_max: 1,
            invocations_per_second_max: None,
            streams_per_connection_max: 100,
            upload_items_max: 10,
            client_results_max: 1_000,
            pause_output_bytes: 64 * 1024,
            stateful_buffer_bytes_max: 100_000,
            publications_max: 16 * 1024,
            detailed_errors: false,
            log_connections: None,
        }
    }
}
