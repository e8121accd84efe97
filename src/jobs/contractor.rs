//! Who carries out jobs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ContractorId, Region, Timestamp, schema};

/// Someone who carries out jobs, in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contractor {
    /// Names the contractor.
    pub id: ContractorId,
    /// The name that dispatchers see.
    #[schema(schema_with = schema::contractor_name)]
    pub name: String,
    /// The one region that the contractor works in.
    pub region: Region,
    /// The contractor's own IANA time zone.
    #[schema(schema_with = schema::timezone)]
    pub timezone: String,
    /// When the contractor was added.
    pub created_at: Timestamp,
}
