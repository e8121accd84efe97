//! Connections below the hub protocol: negotiation, tokens, and whichever transport
//! moves the bytes.

mod endpoint;
mod host;
mod identity;
mod inbound;
mod link;
mod negotiate;
mod outbound;
mod pipe;
mod poll_turns;
mod refresh;
mod refusal;
mod registry;
mod renewal;
mod socket;
mod transport_kind;
mod waker_slot;

pub use identity::Identity;
pub use link::ConnectionId;
pub use renewal::RenewalError;
pub use socket::remember_socket;
pub use transport_kind::TransportKind;

pub(super) use endpoint::{Accepted, Endpoint, EndpointSetup};
pub(super) use host::{Bound, LinkCounts, LinkHost, TaskCount};
pub(super) use inbound::{Inbound, LinkInput, TransportEnd, Violation};
pub(super) use link::{Link, abort_socket};
pub(super) use outbound::Outbound;
pub(super) use poll_turns::PollTurns;
pub(super) use renewal::Renewal;
pub(super) use waker_slot::WakerSlot;
