//! The product's hub: method names to groups and commands, claims to memberships.
//!
//! It decides nothing about jobs. Who may follow what is [`Caller`]'s to say; what
//! is announced to whom, the events'; what may be changed, the job actor's.

mod commands;
mod connections;
mod description;
mod groups;
mod presence;
mod renewal;
mod subscriptions;

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::LocalBoxFuture;

pub use connections::{
    Closed, Connection, ConnectionFilter, ConnectionList, Connections, Queue, Reach,
    TooManyQuestions,
};

use crate::auth::Authenticator;
use crate::jobs::{Caller, ContractorId, Region, contractor_group, dispatch_group};
use crate::pipeline::{CommandQueue, EventFeed};
use crate::signalr::{
    ConnectionId, ConnectionOptions, Hub, HubCaller, HubError, HubOptions, Methods, RenewalError,
};
use crate::store::Store;

pub use description::asyncapi;
pub use presence::{Presence, PresenceTask};

/// The paths that the hub is served on.
pub const HUB_PATHS: [&str; 2] = ["/hub/dispatch", "/hub/recommendations"];

/// The library's own options, and stateful reconnect and renewal for clients that ask for
/// them.
#[must_use]
pub fn options() -> HubOptions {
    let connection = ConnectionOptions {
        stateful_reconnect: true,
        authentication_refresh: true,
        ..ConnectionOptions::default()
    };
    HubOptions { connection, ..HubOptions::default() }
}

/// What the hub works with.
#[derive(Clone)]
pub struct HubParts {
    /// Knows callers.
    pub authenticator: Authenticator,
    /// Contractors are looked up here.
    pub store: Store,
    /// Takes commands.
    pub commands: CommandQueue,
    /// Past events.
    pub feed: EventFeed,
    /// Who looks at what.
    pub presence: Arc<Presence>,
}

/// Lets dispatchers and contractors follow their jobs, and dispatchers change them.
pub struct DispatchHub {
    parts: HubParts,
    /// Connections of this worker whose end will be told to [`Presence`].
    looking: RefCell<HashSet<ConnectionId>>,
}

type CallerOnHub = HubCaller<DispatchHub>;

impl DispatchHub {
    /// A hub that works with these.
    #[must_use]
    pub fn new(parts: HubParts) -> Self {
        Self { parts, looking: RefCell::default() }
    }

    async fn join_dispatch_group(
        self: Rc<Self>,
        caller: CallerOnHub,
        (region,): (String,),
    ) -> Result<(), HubError> {
        let region = Region::parse(&region);
        self.check_begun()?;
        caller.join(&Self::followed_region(&caller, region.as_ref())?)
    }

    async fn leave_dispatch_group(
        self: Rc<Self>,
        caller: CallerOnHub,
        (region,): (String,),
    ) -> Result<(), HubError> {
        if let Some(region) = Region::parse(&region) {
            caller.leave(&dispatch_group(&region));
        }
        Ok(())
    }

    async fn join_contractor_group(
        self: Rc<Self>,
        caller: CallerOnHub,
        (contractor_id,): (String,),
    ) -> Result<(), HubError> {
        let group = self.followed_contractor(&caller, contractor_id.parse().ok()).await?;
        self.check_begun()?;
        caller.join(&group)
    }

    async fn leave_contractor_group(
        self: Rc<Self>,
        caller: CallerOnHub,
        (contractor_id,): (String,),
    ) -> Result<(), HubError> {
        if let Ok(id) = contractor_id.parse::<ContractorId>() {
            caller.leave(&contractor_group(id));
        }
        Ok(())
    }
}

impl Hub for DispatchHub {
    type User = Arc<Caller>;

    fn methods() -> Methods<Self> {
        Methods::new()
            .method("JoinDispatchGroup", Self::join_dispatch_group)
            .method("LeaveDispatchGroup", Self::leave_dispatch_group)
            .method("JoinContractorGroup", Self::join_contractor_group)
            .method("LeaveContractorGroup", Self::leave_contractor_group)
            .method("Subscribe", Self::subscribe)
            .method("Unsubscribe", Self::unsubscribe)
            .stream_method("StreamEvents", Self::stream_events)
            .method("RescheduleJob", Self::reschedule_job)
            .method("CancelJob", Self::cancel_job)
            .method("RenewToken", Self::renew_token)
            .method("Look", Self::look)
    }

    fn renew(
        self: Rc<Self>,
        caller: CallerOnHub,
        user: Arc<Caller>,
        expires_at: Option<SystemTime>,
    ) -> LocalBoxFuture<'static, Result<(), RenewalError>> {
        Box::pin(self.renew_by_request(caller, user, expires_at))
    }
}
