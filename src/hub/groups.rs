//! Who may follow which group: a token's claims bound it.

use std::sync::Arc;

use super::{CallerOnHub, DispatchHub};
use crate::jobs::{ContractorId, Region, contractor_group, dispatch_group};
use crate::pipeline::blocking;
use crate::signalr::HubError;

/// An audience that a client asks for.
pub(super) enum Group {
    Dispatch(Region),
    Contractor(ContractorId),
}

impl Group {
    /// By the group's name, in the one spelling that it has.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let group = match name.split_once('/')? {
            ("dispatch", region) => Self::Dispatch(Region::parse(region)?),
            ("contractor", id) => Self::Contractor(id.parse().ok()?),
            _ => return None,
        };
        (group.name() == name).then_some(group)
    }

    fn name(&self) -> String {
        match self {
            Self::Dispatch(region) => dispatch_group(region),
            Self::Contractor(id) => contractor_group(*id),
        }
    }
}

/// Whether it is a group's name, in the one spelling that it has.
pub(super) fn is_group(name: &str) -> bool {
    Group::parse(name).is_some()
}

impl DispatchHub {
    /// The group of a region, if it is one and the caller may follow it.
    pub(super) fn followed_region(
        caller: &CallerOnHub,
        region: Option<&Region>,
    ) -> Result<String, HubError> {
        region
            .filter(|region| caller.user().may_dispatch(region))
            .map(dispatch_group)
            .ok_or_else(|| refused(caller, "that region"))
    }

    /// The group of a contractor, if it is one and the caller may follow it. One that
    /// does not exist is forbidden as well: the answer does not tell the two apart.
    pub(super) async fn followed_contractor(
        &self,
        caller: &CallerOnHub,
        id: Option<ContractorId>,
    ) -> Result<String, HubError> {
        let refused = || refused(caller, "that contractor");
        let id = id.ok_or_else(refused)?;
        let user = caller.user();
        if user.contractor_id == Some(id) {
            return Ok(contractor_group(id));
        }
        if !user.is_dispatcher() {
            return Err(refused());
        }
        let jobs = Arc::clone(&self.parts.store.jobs);
        let found = blocking(move || jobs.contractor(id)).await.map_err(|error| {
            log::error!(error:%, contractor_id:% = id; "a contractor could not be looked up");
            store_unavailable()
        })?;
        match found {
            Some(contractor) if user.may_see_contractor(&contractor) => Ok(contractor_group(id)),
            Some(_) | None => Err(refused()),
        }
    }

    /// Nothing can be followed until it is known from where on.
    pub(super) fn check_begun(&self) -> Result<(), HubError> {
        if self.parts.feed.has_begun() { Ok(()) } else { Err(store_unavailable()) }
    }

    /// These groups, each once, if the caller may follow all of them.
    pub(super) async fn followed(
        &self,
        caller: &CallerOnHub,
        names: &[String],
    ) -> Result<Vec<String>, HubError> {
        if names.is_empty() || names.len() > GROUPS_MAX {
            let text = format!("invalid_field: groups has 1 to {GROUPS_MAX} names");
            return Err(HubError::Refused(text));
        }
        self.check_begun()?;
        let mut groups = Vec::with_capacity(names.len());
        for name in names {
            let group = match Group::parse(name) {
                Some(Group::Dispatch(region)) => Self::followed_region(caller, Some(&region))?,
                Some(Group::Contractor(id)) => self.followed_contractor(caller, Some(id)).await?,
                None => return Err(refused(caller, "such a group")),
            };
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        Ok(groups)
    }
}

/// Groups of one request; a connection may be in as many.
const GROUPS_MAX: usize = 200;

fn refused(caller: &CallerOnHub, what: &str) -> HubError {
    HubError::Refused(format!("forbidden: {} may not follow {what}", caller.user().actor.id))
}

/// The database did not do its part; a client may try again.
pub(super) fn store_unavailable() -> HubError {
    HubError::Refused("store_unavailable: the store is unavailable, try again".to_owned())
}
