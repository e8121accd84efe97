//! The connection that a hub method was called on, and what the method may do with it.

use std::cell::Cell;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Hub;
use super::arguments::SendArguments;
use super::audience::Audience;
use super::client::Connection;
use super::close::CloseReason;
use super::error::HubError;
use super::handle::{HubHandle, bind_result, canceled};
use super::message::{SerializedMessage, call};
use super::shard::Shard;
use crate::signalr::connection::{ConnectionId, TransportKind};

/// See the module. Clones are the same call.
pub struct HubCaller<H: Hub> {
    pub(super) connection: Rc<Connection>,
    pub(super) shard: Rc<Shard>,
    pub(super) call: Rc<Call>,
    pub(super) hub: PhantomData<fn(H)>,
}

/// What is known of one call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) is_connected_hook: bool,
    /// Whether it keeps the connection's next gated call from running.
    pub(super) holds_gate: Cell<bool>,
    /// Cancelled by the client, or with the connection; only streams can be.
    pub(super) cancellation: Option<CancellationToken>,
}

impl<H: Hub> Clone for HubCaller<H> {
    fn clone(&self) -> Self {
        Self {
            connection: Rc::clone(&self.connection),
            shard: Rc::clone(&self.shard),
            call: Rc::clone(&self.call),
            hub: PhantomData,
        }
    }
}

impl<H: Hub> HubCaller<H> {
    /// The connection's public name.
    #[must_use]
    pub fn connection_id(&self) -> ConnectionId {
        Rc::clone(self.connection.id())
    }

    /// Who it belongs to, by the credentials that count at this moment: while a method
    /// waits, others may take their place.
    #[must_use]
    pub fn user(&self) -> Rc<H::User> {
        self.connection.user()
    }

    /// Has newer credentials of the same user count from here on, until they end. Calls
    /// and groups are the hub's to look after.
    pub fn renew(&self, user: H::User, expires_at: Option<SystemTime>) {
        self.connection.renew(Rc::new(user), expires_at);
    }

    /// How often newer credentials have come to count.
    #[must_use]
    pub fn renewals(&self) -> u64 {
        self.connection.renewals()
    }

    /// Waits until that is more than `renewals`, which may be never.
    pub async fn renewed_since(&self, renewals: u64) {
        self.connection.renewed_since(renewals).await;
    }

    /// The id by which [`Audience::Users`] finds its user.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.connection.link.user_id().map(AsRef::as_ref)
    }

    /// How its bytes move.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        self.connection.transport()
    }

    /// Reaches all connections of the hub.
    #[must_use]
    pub fn hub(&self) -> &HubHandle {
        self.shard.handle()
    }

    /// Cancelled when the client cancels the stream that this call answers, and when
    /// the connection ends.
    #[must_use]
    pub fn cancelled(&self) -> CancellationToken {
        self.call.cancellation.as_ref().unwrap_or_else(|| self.connection.ended()).clone()
    }

    /// Makes the connection a member of a group at once; it may be one already. An
    /// error when it is in too many. Names are case-sensitive.
    pub fn join(&self, group: &str) -> Result<(), HubError> {
        self.join_all([group])
    }

    /// Makes it a member of all these groups, or of none.
    pub fn join_all<'a>(&self, groups: impl IntoIterator<Item = &'a str>) -> Result<(), HubError> {
        self.shard.join_all(&self.connection, groups)
    }

    /// Ends the connection's membership in a group, if it has one.
    pub fn leave(&self, group: &str) {
        self.shard.leave(&self.connection, group);
    }

    /// The place of the last publication that was delivered to members of groups.
    /// Nothing is delivered until the method next waits.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.shard.position()
    }

    /// Waits until everything up to this position has been delivered to members of
    /// groups, which may be never.
    pub async fn delivered(&self, position: u64) {
        self.shard.delivered(position).await;
    }

    /// Keeps publications that have a position back from the connection, until the
    /// answer is dropped: so that something can be sent before them. When too much is
    /// kept back, the connection is closed to come back.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.connection.hold();
        Hold { connection: Rc::clone(&self.connection) }
    }

    /// Calls a method of the client, which nobody answers. Waits while much is waiting
    /// for the client already.
    pub async fn send(&self, target: &str, arguments: impl SendArguments) -> Result<(), HubError> {
        self.connection.room().await;
        self.send_now(target, arguments)
    }

    /// Sends a message that others get as well. Waits like [`send`](Self::send).
    pub async fn send_shared(&self, message: &SerializedMessage) {
        self.connection.room().await;
        self.connection.send_shared(message, Instant::now());
    }

    /// The groups that the connection is in, each with the position at which it
    /// joined: publications past it have been delivered, or are kept back.
    #[must_use]
    pub fn memberships(&self) -> HashMap<String, u64> {
        let groups = self.connection.groups.borrow();
        groups.iter().map(|joined| (joined.group.to_string(), joined.since)).collect()
    }

    /// The same without waiting.
    pub fn send_now(&self, target: &str, arguments: impl SendArguments) -> Result<(), HubError> {
        let Some(protocol) = self.connection.protocol.get() else {
            return Ok(());
        };
        let arguments = arguments.payloads(protocol).map_err(|text| {
            self.connection.close(CloseReason::Unserializable(text.clone()));
            HubError::failed(text)
        })?;
        self.connection.send(&call(target, arguments, None));
        Ok(())
    }

    /// Calls a method of every connection of an audience, which nobody answers. Those
    /// of this worker thread have it before the method's own completion.
    ///
    /// # Errors
    /// When one of several groups has no name.
    pub fn publish(
        &self,
        audience: Audience,
        target: &str,
        arguments: impl SendArguments + Send + Sync + 'static,
    ) -> Result<(), HubError> {
        audience.check()?;
        self.shard.publish(audience, SerializedMessage::call(target, arguments));
        Ok(())
    }

    /// Calls a method of the client and waits for its answer; meanwhile the client's
    /// next call may run.
    ///
    /// # Errors
    /// What the client answered instead of a value; that it is gone, or gone
    /// meanwhile; that its value is no `R`; that this is the connected hook, which no
    /// answer can reach.
    pub async fn invoke<R: DeserializeOwned>(
        &self,
        target: &str,
        arguments: impl SendArguments,
    ) -> Result<R, HubError> {
        if self.call.is_connected_hook {
            return Err(HubError::Failed {
                kind: "InvalidOperationException".to_owned(),
                text: "Client results inside OnConnectedAsync Hub methods are not allowed."
                    .to_owned(),
            });
        }
        let Some(protocol) = self.connection.protocol.get() else {
            return Err(HubError::failed("the connection has no protocol yet"));
        };
        let arguments = arguments.payloads(protocol).map_err(HubError::failed)?;
        self.give_up_gate();
        let (sender, answer) = oneshot::channel();
        self.connection.ask(self.shard.next_result(), target, arguments, sender);
        bind_result(answer.await)
    }

    /// The same, until somebody stops waiting.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke), and that it was cancelled. The client is not told.
    pub async fn invoke_until<R: DeserializeOwned>(
        &self,
        cancellation: &CancellationToken,
        target: &str,
        arguments: impl SendArguments,
    ) -> Result<R, HubError> {
        tokio::select! {
            answer = self.invoke(target, arguments) => answer,
            () = cancellation.cancelled() => Err(canceled()),
        }
    }

    /// Ends the connection; its client does not come back by itself.
    pub fn abort(&self) {
        self.connection.close(CloseReason::Aborted);
    }

    /// Lets the connection's next call run, once.
    fn give_up_gate(&self) {
        if self.call.holds_gate.replace(false) {
            self.connection.gated.set(self.connection.gated.get() - 1);
            self.connection.link.nudge();
        }
    }
}

/// Publications are kept back from a connection while this lives.
#[derive(Debug)]
pub struct Hold {
    connection: Rc<Connection>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.connection.release();
    }
}
