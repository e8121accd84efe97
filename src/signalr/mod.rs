//! A SignalR server for actix-web. It knows nothing of jobs.
//!
//! A [`HubServer`] mounts a [`Hub`] on a path: negotiation, the handshake, one
//! session actor per connection, groups, and a [`HubHandle`] that publishes from
//! anywhere without waiting. It speaks the JSON hub protocol over WebSockets.
//!
//! The way in: `transport/` turns sockets into bytes, `session` is one connection,
//! `protocol/` turns bytes into messages, `hub` is what an application writes.
//! The way out: `shard` holds the connections of one worker thread and their
//! groups, and puts frames, encoded once for everybody, into the queue of each
//! (`outbound`), which the transport empties.

mod close;
mod connection;
mod endpoint;
mod hub;
mod message;
mod negotiate;
mod options;
mod outbound;
mod protocol;
mod session;
mod shard;
mod transport;
mod worker;

pub use close::CloseReason;
pub use connection::ConnectionId;
pub use endpoint::{HubServer, Identity, remember_socket};
pub use hub::{BindArguments, Hub, HubCaller, HubError, Methods};
pub use message::SerializedMessage;
pub use options::HubOptions;
pub use protocol::{
    CompletionOutcome, HandshakeError, HandshakeRequest, HubMessage, MessageReader, Payload,
    ProtocolError, ProtocolKind, encode, read_handshake,
};
pub use shard::{Audience, HubHandle, Publication};
