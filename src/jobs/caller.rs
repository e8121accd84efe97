//! Who asks, and what they may see and change.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Contractor, ContractorId, Job, Region, schema};

/// What a caller's token says they are.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Sees and changes everything.
    Admin,
    /// Sees and changes the jobs of its regions.
    Dispatcher,
    /// Sees its own jobs.
    Contractor,
}

impl Role {
    /// The name in tokens and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Dispatcher => "dispatcher",
            Self::Contractor => "contractor",
        }
    }
}

/// The regions that a dispatcher's token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Regions {
    /// `["*"]`
    All,
    /// These alone; possibly none.
    Named(Vec<Region>),
}

impl Regions {
    /// Whether the region is among them.
    #[must_use]
    pub fn contains(&self, region: &Region) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(region),
        }
    }
}

/// Who made a change, as its event says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// The token's subject.
    #[schema(schema_with = schema::subject)]
    pub id: String,
    /// The strongest of the token's roles.
    pub role: Role,
    /// The token's name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::actor_name, required = false)]
    pub name: Option<String>,
}

/// An authenticated caller, with what the token grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is, as events show it.
    pub actor: Actor,
    /// Whether the token has the role `admin`.
    pub is_admin: bool,
    /// The regions of a dispatcher; none without that role.
    pub regions: Regions,
    /// The contractor that the caller is; none without that role.
    pub contractor_id: Option<ContractorId>,
}

/// Which rows a read may return: those of any of the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// The rows of these regions, and those that belong to this contractor.
    Only {
        /// Possibly none.
        regions: Vec<Region>,
        /// The contractor whose rows are included.
        contractor_id: Option<ContractorId>,
    },
}

impl Caller {
    /// Whether the caller plans this region: creates, assigns, reschedules and cancels in it.
    #[must_use]
    pub fn may_dispatch(&self, region: &Region) -> bool {
        self.is_admin || self.regions.contains(region)
    }

    /// Whether the caller plans any region at all.
    #[must_use]
    pub fn is_dispatcher(&self) -> bool {
        self.is_admin || self.regions != Regions::Named(Vec::new())
    }

    /// Whether the job exists, as far as this caller is concerned.
    #[must_use]
    pub fn may_see(&self, job: &Job) -> bool {
        self.may_dispatch(&job.region)
            || self.contractor_id.is_some_and(|own| job.contractor_ids.contains(&own))
    }

    /// Whether the caller may see the contractor, and follow the contractor's events.
    #[must_use]
    pub fn may_see_contractor(&self, contractor: &Contractor) -> bool {
        self.may_dispatch(&contractor.region) || self.contractor_id == Some(contractor.id)
    }

    /// What the caller's reads are limited to.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match &self.regions {
            _ if self.is_admin => Scope::All,
            Regions::All => Scope::All,
            Regions::Named(regions) => {
                Scope::Only { regions: regions.clone(), contractor_id: self.contractor_id }
            }
        }
    }
}
