//! A job as it stands.

use std::borrow::Cow;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{ContractorId, JobId, Region, Timestamp, Version, Window, schema};

/// Where a job stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum JobStatus {
    /// Planned.
    Scheduled,
    /// Being carried out.
    InProgress,
    /// Done: nothing about it can change.
    Completed,
    /// Called off: nothing about it can change.
    Cancelled,
}

impl JobStatus {
    /// Every status, in the order of a job's life.
    pub const ALL: [Self; 4] =
        [Self::Scheduled, Self::InProgress, Self::Completed, Self::Cancelled];

    /// The name in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::InProgress => "inProgress",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether a job of this status takes up its contractors' time.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Scheduled | Self::InProgress)
    }
}

/// A piece of work at a customer's site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Names the job.
    pub id: JobId,
    /// What is to be done.
    pub title: String,
    /// For whom.
    pub customer: String,
    /// Where.
    pub address: String,
    /// The dispatch area that plans it.
    pub region: Region,
    /// The site's IANA time zone; times are shown in it, never stored in it.
    pub timezone: String,
    /// When.
    pub window: Window,
    /// Where it stands.
    pub status: JobStatus,
    /// Who carries it out: at most [`CONTRACTORS_PER_JOB_MAX`](super::CONTRACTORS_PER_JOB_MAX),
    /// none twice, in the order given.
    pub contractor_ids: Vec<ContractorId>,
    /// Why it was called off; none unless it was cancelled with a reason.
    pub cancellation_reason: Option<String>,
    /// How often it has changed.
    pub version: Version,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Serialize for Job {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("Job", 14)?;
        json.serialize_field("id", &self.id)?;
        json.serialize_field("title", &self.title)?;
        json.serialize_field("customer", &self.customer)?;
        json.serialize_field("address", &self.address)?;
        json.serialize_field("region", &self.region)?;
        json.serialize_field("timezone", &self.timezone)?;
        json.serialize_field("startUtc", &self.window.start())?;
        json.serialize_field("endUtc", &self.window.end())?;
        json.serialize_field("status", &self.status)?;
        json.serialize_field("contractorIds", &self.contractor_ids)?;
        json.serialize_field("cancellationReason", &self.cancellation_reason)?;
        json.serialize_field("version", &self.version)?;
        json.serialize_field("createdAt", &self.created_at)?;
        json.serialize_field("updatedAt", &self.updated_at)?;
        json.end()
    }
}

/// A piece of work at a customer's site.
// The JSON form, for reading a stored receipt back, and for clients to know.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct JobJson {
    id: JobId,
    #[schema(schema_with = schema::title)]
    title: String,
    #[schema(schema_with = schema::customer)]
    customer: String,
    #[schema(schema_with = schema::address)]
    address: String,
    /// The dispatch area that plans it.
    region: Region,
    #[schema(schema_with = schema::timezone)]
    timezone: String,
    /// When its service window begins.
    start_utc: Timestamp,
    /// When its service window ends; later than it begins.
    end_utc: Timestamp,
    /// Where it stands.
    status: JobStatus,
    #[schema(schema_with = schema::contractor_ids)]
    contractor_ids: Vec<ContractorId>,
    #[schema(schema_with = schema::reason_or_null, required)]
    cancellation_reason: Option<String>,
    #[schema(schema_with = schema::version)]
    version: Version,
    /// When it was created.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl PartialSchema for Job {
    fn schema() -> RefOr<Schema> {
        JobJson::schema()
    }
}

impl ToSchema for Job {
    fn name() -> Cow<'static, str> {
        "Job".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        JobJson::schemas(schemas);
    }
}

impl<'de> Deserialize<'de> for Job {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = JobJson::deserialize(deserializer)?;
        let window = Window::new(json.start_utc, json.end_utc).map_err(serde::de::Error::custom)?;
        Ok(Self {
            id: json.id,
            title: json.title,
            customer: json.customer,
            address: json.address,
            region: json.region,
            timezone: json.timezone,
            window,
            status: json.status,
            contractor_ids: json.contractor_ids,
            cancellation_reason: json.cancellation_reason,
            version: json.version,
            created_at: json.created_at,
            updated_at: json.updated_at,
        })
    }
}
