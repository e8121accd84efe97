//! What an application writes: a hub, and the methods that clients may call.

use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::{Connection, ConnectionId};
use super::protocol::{Payload, ProtocolKind};
use super::shard::Shard;

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

/// Why a method did not do what it was called for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubError {
    /// The caller is told this text, alone.
    Refused(String),
    /// The caller is told this text, behind the protocol's own words, as the
    /// reference server does with its hub exception.
    Exception(String),
    /// The text is for the log; the caller sees it only where details are shown.
    Failed(String),
}

/// The connection that a hub method was called on.
pub struct HubCaller<H: Hub> {
    pub(super) connection: Rc<Connection>,
    pub(super) shard: Rc<Shard>,
    pub(super) user: Rc<H::User>,
}

impl<H: Hub> Clone for HubCaller<H> {
    fn clone(&self) -> Self {
        Self {
            connection: Rc::clone(&self.connection),
            shard: Rc::clone(&self.shard),
            user: Rc::clone(&self.user),
        }
    }
}

impl<H: Hub> HubCaller<H> {
    /// The connection's public name.
    #[must_use]
    pub fn connection_id(&self) -> ConnectionId {
        Rc::clone(&self.connection.id)
    }

    /// Who it belongs to.
    #[must_use]
    pub fn user(&self) -> &H::User {
        &self.user
    }

    /// Makes the connection a member of a group at once; it may be one already. An
    /// error when it is in too many. Names are case-sensitive.
    pub fn join(&self, group: &str) -> Result<(), HubError> {
        if self.shard.join(&self.connection, group) {
            Ok(())
        } else {
            Err(HubError::Exception("the connection is in too many groups".to_owned()))
        }
    }

    /// Ends the connection's membership in a group, if it has one.
    pub fn leave(&self, group: &str) {
        self.shard.leave(&self.connection, group);
    }
}

/// Arguments of a method: a tuple whose members are bound one by one.
pub trait BindArguments: Sized {
    /// How many arguments there are.
    const COUNT: usize;

    /// The arguments as their types; an error says which does not convert. The
    /// number of payloads is [`COUNT`](Self::COUNT).
    fn bind(arguments: &[Payload]) -> Result<Self, String>;
}

macro_rules! bind_tuple {
    ($count:literal $(, $name:ident $index:tt)*) => {
        impl<$($name: DeserializeOwned),*> BindArguments for ($($name,)*) {
            const COUNT: usize = $count;

            fn bind(_arguments: &[Payload]) -> Result<Self, String> {
                Ok(($(_arguments[$index].bind::<$name>()?,)*))
            }
        }
    };
}

bind_tuple!(0);
bind_tuple!(1, A 0);
bind_tuple!(2, A 0, B 1);
bind_tuple!(3, A 0, B 1, C 2);
bind_tuple!(4, A 0, B 1, C 2, D 3);

/// The methods of a hub, by name.
pub struct Methods<H: Hub> {
    by_lower_name: HashMap<String, Rc<Method<H>>>,
}

pub(super) struct Method<H: Hub> {
    /// As declared: error texts use it whatever case the client wrote.
    pub(super) name: &'static str,
    call: Box<Call<H>>,
}

type Call<H> = dyn Fn(
    Rc<H>,
    HubCaller<H>,
    &[Payload],
    ProtocolKind,
) -> Result<LocalBoxFuture<'static, Result<Payload, HubError>>, BindError>;

/// The arguments do not fit the method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BindError {
    #[error("Invocation provides {provided} argument(s) but target expects {expected}.")]
    Count { provided: usize, expected: usize },
    #[error(
        "Error binding arguments. Make sure that the types of the provided values match the \
         types of the hub method being invoked."
    )]
    Type,
}

impl<H: Hub> Methods<H> {
    /// No methods.
    #[must_use]
    pub fn new() -> Self {
        Self { by_lower_name: HashMap::new() }
    }

    /// Adds a method that is answered with one value. Clients may write its name in
    /// any case, so two names that differ by case only are one: the later wins.
    #[must_use]
    pub fn method<A, R, F, Fut>(mut self, name: &'static str, function: F) -> Self
    where
        A: BindArguments,
        R: Serialize,
        F: Fn(Rc<H>, HubCaller<H>, A) -> Fut + 'static,
        Fut: Future<Output = Result<R, HubError>> + 'static,
    {
        let call = move |hub: Rc<H>, caller: HubCaller<H>, arguments: &[Payload], protocol| {
            if arguments.len() != A::COUNT {
                return Err(BindError::Count { provided: arguments.len(), expected: A::COUNT });
            }
            let arguments = A::bind(arguments).map_err(|detail| {
                log::debug!("arguments of {name} do not bind: {detail}");
                BindError::Type
            })?;
            let running = function(hub, caller, arguments);
            Ok(Box::pin(async move {
                let result = running.await?;
                ProtocolKind::payload(protocol, &result).map_err(HubError::Failed)
            }) as LocalBoxFuture<'static, _>)
        };
        let method = Rc::new(Method { name, call: Box::new(call) });
        self.by_lower_name.insert(name.to_ascii_lowercase(), method);
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&Rc<Method<H>>> {
        match self.by_lower_name.get(name) {
            Some(method) => Some(method),
            None => self.by_lower_name.get(&name.to_ascii_lowercase()),
        }
    }
}

impl<H: Hub> Default for Methods<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: Hub> Method<H> {
    /// Binds the arguments and starts the method.
    pub(super) fn call(
        &self,
        hub: Rc<H>,
        caller: HubCaller<H>,
        arguments: &[Payload],
        protocol: ProtocolKind,
    ) -> Result<LocalBoxFuture<'static, Result<Payload, HubError>>, BindError> {
        (self.call)(hub, caller, arguments, protocol)
    }
}

/// The text of a failed invocation, as the caller sees it.
pub(super) fn invocation_error(method: &str, error: HubError, detailed_errors: bool) -> String {
    let base = format!("An unexpected error occurred invoking '{method}' on the server.");
    match error {
        HubError::Refused(text) => text,
        HubError::Exception(text) => format!("{base} HubException: {text}"),
        HubError::Failed(text) if detailed_errors => format!("{base} Exception: {text}"),
        HubError::Failed(text) => {
            log::error!("hub method {method} failed: {text}");
            base
        }
    }
}

/// The text of an invocation whose arguments do not fit, as the caller sees it.
pub(super) fn binding_error(method: &str, error: &BindError, detailed_errors: bool) -> String {
    let base = format!("Failed to invoke '{method}' due to an error on the server.");
    if detailed_errors { format!("{base} InvalidDataException: {error}") } else { base }
}

/// The text of an invocation of a method that does not exist, by the name as it was sent.
pub(super) fn unknown_method_error(target: &str) -> String {
    format!(
        "Failed to invoke '{target}' due to an error on the server. HubException: Method does \
         not exist."
    )
}
