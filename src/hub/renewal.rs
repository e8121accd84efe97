//! Newer tokens for a connection that lives: what they no longer allow ends at once, and
//! everything else goes on.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use super::connections::timestamp;
use super::groups::{Group, store_unavailable};
use super::{CallerOnHub, DispatchHub};
use crate::auth::Denial;
use crate::jobs::{Caller, ContractorId, Region, Regions, Timestamp};
use crate::pipeline::blocking;
use crate::signalr::{HubError, RenewalError};

/// A token that counts from here on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Renewed {
    /// When the connection ends, unless it gets another one.
    expires_at: Timestamp,
}

impl DispatchHub {
    /// Takes a newer token of the connection's own user.
    pub(super) async fn renew_token(
        self: Rc<Self>,
        caller: CallerOnHub,
        (token,): (String,),
    ) -> Result<Renewed, HubError> {
        let proved = self.parts.authenticator.authenticate(&token).await.map_err(denied)?;
        if proved.caller.actor.id != caller.user().actor.id {
            let text = "forbidden: the token is somebody else's";
            return Err(HubError::Refused(text.to_owned()));
        }
        self.take_over(&caller, proved.caller, proved.expires_at).await?;
        Ok(Renewed { expires_at: timestamp(proved.expires_at) })
    }

    /// The same for a token that came by a request, which is checked already.
    pub(super) async fn renew_by_request(
        self: Rc<Self>,
        caller: CallerOnHub,
        user: Arc<Caller>,
        expires_at: Option<SystemTime>,
    ) -> Result<(), RenewalError> {
        let expires_at = expires_at.ok_or(RenewalError::Rejected)?;
        if user.actor.id != caller.user().actor.id {
            return Err(RenewalError::Rejected);
        }
        self.take_over(&caller, user, expires_at).await.map_err(|_| RenewalError::Unavailable)
    }

    /// Has the user's newer claims count. What has to be known for that is looked up before:
    /// until then the older ones count, and then everything changes in one step. Calls that
    /// join groups do not run meanwhile.
    async fn take_over(
        &self,
        caller: &CallerOnHub,
        user: Arc<Caller>,
        expires_at: SystemTime,
    ) -> Result<(), HubError> {
        let joined: Vec<String> = caller.memberships().into_keys().collect();
        let regions = self.regions_to_know(&user, &joined).await?;
        for name in caller.memberships().into_keys() {
            if !Group::parse(&name).is_some_and(|group| may_follow(&user, &group, &regions)) {
                caller.leave(&name);
            }
        }
        self.parts.presence.renew(&caller.connection_id(), &user);
        caller.renew(user, Some(expires_at));
        Ok(())
    }

    /// The regions of those contractors on which it depends whether this user may follow
    /// them.
    async fn regions_to_know(
        &self,
        user: &Caller,
        groups: &[String],
    ) -> Result<HashMap<ContractorId, Region>, HubError> {
        if !has_some_regions(user) {
            return Ok(HashMap::new());
        }
        let contractors = groups.iter().filter_map(|name| match Group::parse(name) {
            Some(Group::Contractor(id)) if user.contractor_id != Some(id) => Some(id),
            Some(Group::Contractor(_) | Group::Dispatch(_)) | None => None,
        });
        let contractors: HashSet<ContractorId> = contractors.collect();
        if contractors.is_empty() {
            return Ok(HashMap::new());
        }
        let jobs = Arc::clone(&self.parts.store.jobs);
        let found = blocking(move || {
            let found = contractors.into_iter().map(|id| jobs.contractor(id));
            found.collect::<Result<Vec<_>, _>>()
        });
        let found = found.await.map_err(|error| {
            log::warn!(error:%; "contractors could not be looked up");
            store_unavailable()
        })?;
        let found = found.into_iter().flatten();
        Ok(found.map(|contractor| (contractor.id, contractor.region)).collect())
    }
}

/// Whether the user dispatches some regions, and not all.
fn has_some_regions(user: &Caller) -> bool {
    user.is_dispatcher() && !user.is_admin && user.regions != Regions::All
}

/// Where the region of a contractor is not known, nobody with some regions may.
fn may_follow(user: &Caller, group: &Group, regions: &HashMap<ContractorId, Region>) -> bool {
    match group {
        Group::Dispatch(region) => user.may_dispatch(region),
        Group::Contractor(id) if user.contractor_id == Some(*id) => true,
        Group::Contractor(id) if has_some_regions(user) => {
            regions.get(id).is_some_and(|region| user.may_dispatch(region))
        }
        Group::Contractor(_) => user.is_dispatcher(),
    }
}

fn denied(denial: Denial) -> HubError {
    HubError::Refused(match denial {
        Denial::Refused(reason) => format!("unauthenticated: {reason}"),
        Denial::KeysUnavailable => format!("store_unavailable: {denial}, try again"),
    })
}
