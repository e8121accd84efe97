//! A SignalR server for actix-web. It knows nothing of jobs.
//!
//! A [`HubServer`] mounts a [`Hub`] on paths of an app; a [`HubHandle`] reaches its
//! connections from any thread, without waiting. It speaks the JSON and MessagePack
//! hub protocols over WebSockets, Server-Sent Events and long polling, to any SignalR
//! client. Below the hub protocol, a [`ConnectionServer`] has connections of bytes.
//!
//! In layers, each above the next:
//!
//! - `hub/`: what an application writes; one `session` per connection that carries
//!   it out; `shard`, the connections of one worker thread and their groups.
//! - `protocol/`: bytes to messages and back, without I/O.
//! - `connection/`: negotiation, tokens, and one `link` per connection: bytes in,
//!   whole units out, whichever transport it has and whichever thread a request
//!   comes to.
//! - `transport/`: WebSocket, Server-Sent Events, long polling.

mod connection;
mod hub;
mod options;
mod protocol;
mod raw;
mod transport;

pub use connection::{ConnectionId, Identity, RenewalError, TransportKind, remember_socket};
pub use hub::{
    Argument, ArgumentSource, Audience, BindArguments, CloseReason, ClosedConnections,
    ConnectionDetails, ConnectionKind, ConnectionPage, ConnectionPlace, Hold, Hub, HubCaller,
    HubCounts, HubError, HubHandle, HubRefusals, HubServer, HubTotals, Methods, Publication,
    QueueState, Selection, SendArguments, SerializedMessage, UploadStream,
};
pub use options::{ConnectionOptions, HubOptions, Redirect, RedirectTarget, Transports};
pub use protocol::{
    Blob, CompletionOutcome, Guid, HandshakeError, HandshakeRequest, HubMessage, JsonText,
    MessageReader, Payload, ProtocolError, ProtocolKind, TransferFormat, UtcTime, encode,
    read_handshake,
};
pub use raw::{ConnectionServer, RawConnection};
pub use transport::plain_websocket::{WebSocket, WebSocketMessage};
