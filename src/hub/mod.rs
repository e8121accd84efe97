//! The product's hub: method names to groups, claims to memberships.
//!
//! It decides nothing about jobs. Who may follow what is [`Caller`]'s to say; what
//! is announced to whom, the events'.

use std::rc::Rc;
use std::sync::Arc;

use crate::jobs::{Caller, ContractorId, Region, contractor_group, dispatch_group};
use crate::pipeline::blocking;
use crate::signalr::{Hub, HubCaller, HubError, Methods};
use crate::store::Store;

/// The paths that the hub is served on.
pub const HUB_PATHS: [&str; 2] = ["/hub/dispatch", "/hub/recommendations"];

/// Lets dispatchers and contractors follow their jobs.
pub struct DispatchHub {
    store: Store,
}

type CallerOnHub = HubCaller<DispatchHub>;

impl DispatchHub {
    /// A hub that looks contractors up in this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    async fn join_dispatch_group(
        self: Rc<Self>,
        caller: CallerOnHub,
        (region,): (String,),
    ) -> Result<(), HubError> {
        let region = followed_region(&caller, &region)?;
        caller.join(&dispatch_group(&region))
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
        let id = self.followed_contractor(&caller, &contractor_id).await?;
        caller.join(&contractor_group(id))
    }

    async fn leave_contractor_group(
        self: Rc<Self>,
        caller: CallerOnHub,
        (contractor_id,): (String,),
    ) -> Result<(), HubError> {
        if let Ok(id) = contractor_id.parse() {
            caller.leave(&contractor_group(id));
        }
        Ok(())
    }

    /// The contractor, if the caller may follow it. One that does not exist is
    /// forbidden as well: the answer does not tell the two apart.
    async fn followed_contractor(
        &self,
        caller: &CallerOnHub,
        contractor_id: &str,
    ) -> Result<ContractorId, HubError> {
        let refused =
            || forbidden(format!("{} may not follow that contractor", caller.user().actor.id));
        let id: ContractorId = contractor_id.parse().map_err(|_| refused())?;
        let user = caller.user();
        if user.contractor_id == Some(id) {
            return Ok(id);
        }
        if !user.is_dispatcher() {
            return Err(refused());
        }
        let jobs = Arc::clone(&self.store.jobs);
        let found = blocking(move || jobs.contractor(id)).await.map_err(|error| {
            log::error!("a contractor could not be looked up: {error}");
            HubError::Refused("store_unavailable: the store is unavailable, try again".to_owned())
        })?;
        match found {
            Some(contractor) if user.may_see_contractor(&contractor) => Ok(id),
            Some(_) | None => Err(refused()),
        }
    }
}

/// The region, if the caller may follow it.
fn followed_region(caller: &CallerOnHub, region: &str) -> Result<Region, HubError> {
    Region::parse(region)
        .filter(|region| caller.user().may_dispatch(region))
        .ok_or_else(|| forbidden(format!("{} may not follow that region", caller.user().actor.id)))
}

fn forbidden(text: String) -> HubError {
    HubError::Refused(format!("forbidden: {text}"))
}

impl Hub for DispatchHub {
    type User = Arc<Caller>;

    fn methods() -> Methods<Self> {
        Methods::new()
            .method("JoinDispatchGroup", Self::join_dispatch_group)
            .method("LeaveDispatchGroup", Self::leave_dispatch_group)
            .method("JoinContractorGroup", Self::join_contractor_group)
            .method("LeaveContractorGroup", Self::leave_contractor_group)
    }
}
