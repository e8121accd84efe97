//! The hub protocol on top of connections: what an application writes, and what
//! carries it out.

mod arguments;
mod audience;
mod caller;
mod client;
mod close;
mod connection_log;
mod counts;
mod dispatch;
mod error;
mod handle;
mod message;
mod methods;
mod pace;
mod renewals;
mod server;
mod session;
mod shard;
mod stateful;
mod survey;
mod tallies;
mod upload;
mod worker;

use std::rc::Rc;
use std::time::SystemTime;

use futures_util::future::LocalBoxFuture;

pub use arguments::{Argument, ArgumentSource, BindArguments, SendArguments};
pub use audience::Audience;
pub use caller::{Hold, HubCaller};
pub use close::CloseReason;
pub use counts::{ConnectionKind, HubCounts, HubRefusals, HubTotals, QueueState};
pub use error::HubError;
pub use handle::{HubHandle, Publication};
pub use message::SerializedMessage;
pub use methods::Methods;
pub use server::HubServer;
pub use survey::{
    ClosedConnections, ConnectionDetails, ConnectionPage, ConnectionPlace, Selection,
};
pub use upload::UploadStream;

use super::connection::RenewalError;

/// An application endpoint. One value per worker thread; its methods run on that
/// thread, several at a time but never two at once.
pub trait Hub: Sized + 'static {
    /// Who a connection belongs to, as the endpoint's authentication found out. What is
    /// equal is the same user with the same rights.
    type User: PartialEq + Send + 'static;

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

    /// Runs when a request brings newer credentials of the connection's user that differ
    /// from those that count. It is one of the connection's calls: no other runs beside it
    /// but streams, and such as wait for their client's answer. They count once
    /// [`HubCaller::renew`] has been called with them; after an error the connection goes on
    /// as it was.
    fn renew(
        self: Rc<Self>,
        caller: HubCaller<Self>,
        user: Self::User,
        expires_at: Option<SystemTime>,
    ) -> LocalBoxFuture<'static, Result<(), RenewalError>> {
        Box::pin(async move {
            caller.renew(user, expires_at);
            Ok(())
        })
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
