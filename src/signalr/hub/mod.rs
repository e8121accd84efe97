//! The hub protocol on top of connections: what an application writes, and what
//! carries it out.

mod arguments;
mod audience;
mod caller;
mod client;
mod close;
mod connection_log;
mod dispatch;
mod error;
mod handle;
mod message;
mod methods;
mod pace;
mod server;
mod session;
mod shard;
mod stateful;
mod survey;
mod tallies;
mod upload;
mod worker;

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

pub use arguments::{Argument, ArgumentSource, BindArguments, SendArguments};
pub use audience::Audience;
pub use caller::{Hold, HubCaller};
pub use close::CloseReason;
pub use error::HubError;
pub use handle::{
    ConnectionKind, HubCounts, HubHandle, HubRefusals, HubTotals, Publication, QueueState,
};
pub use message::SerializedMessage;
pub use methods::Methods;
pub use server::HubServer;
pub use survey::{
    ClosedConnections, ConnectionDetails, ConnectionPage, ConnectionPlace, Selection,
};
pub use upload::UploadStream;

/// An application endpoint. One value per worker thread; its methods run on that
/// thread, several at a time but never two at once.
pub trait Hub: Sized + 'static {
    /// Who a connection belongs to, as the endpoint's authentication found out.
    type User: 'static;

    /// The methods that clients may call.
    fn methods() -> Methods<Self>;

    /// Runs once per connection, after its handshake and before its first
    /// invocation. An error refuses the connection.
    fn connected(
        self: Rc<Self>,
        _caller: HubCaller<Self>,
    ) -> LocalBoxFuture<'static, Result<(), HubError>> {
        Box::pin(async { Ok(()) })
    }

    /// Runs once per connection whose `connected` succeeded, after its last message.
    /// The failure is none for a graceful end.
    fn disconnected(
        self: Rc<Self>,
        _caller: HubCaller<Self>,
        _failure: Option<String>,
    ) -> LocalBoxFuture<'static, ()> {
        Box::pin(async {})
    }
}
