//! Rows as the tables hold them, and the domain types that they become. Rows do not
//! leave this folder.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use uuid::Uuid;

use super::schema::{contractors, jobs};
use crate::jobs::{
    BusyWindow, CommittedEvent, Contractor, EventType, Job, JobStatus, Receipt, StoredReceipt,
    Timestamp, Window,
};
use crate::store::StoreError;
use crate::store::values::{from_json, garbled, number, parsed, region};

/// A row of `jobs`.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub(super) struct JobRow {
    id: String,
    title: String,
    customer: String,
    address: String,
    region: String,
    timezone: String,
    start_utc: String,
    end_utc: String,
    status: String,
    cancellation_reason: Option<String>,
    version: i64,
    created_at: String,
    updated_at: String,
}

/// A job's contractors in their order, as a JSON array beside the job's own columns:
/// so that a page of jobs is one statement.
pub(super) fn contractor_ids() -> SqlLiteral<Text> {
    sql("(SELECT json_group_array(contractor_id ORDER BY position)
          FROM job_assignments WHERE job_id = jobs.id)")
}

/// What [`contractor_ids`] selects.
pub(super) type ContractorIds = String;

impl JobRow {
    /// The job, with the [`contractor_ids`] that were selected beside it.
    pub(super) fn job(self, contractor_ids: ContractorIds) -> Result<Job, StoreError> {
        Ok(Job {
            id: parsed("jobs.id", &self.id)?,
            title: self.title,
            customer: self.customer,
            address: self.address,
            region: region("jobs.region", &self.region)?,
            timezone: self.timezone,
            window: window("jobs.end_utc", &self.start_utc, &self.end_utc)?,
            status: JobStatus::parse(&self.status)
                .ok_or_else(|| garbled("jobs.status", &self.status))?,
            contractor_ids: from_json("job_assignments.contractor_id", &contractor_ids)?,
            cancellation_reason: self.cancellation_reason,
            version: number("jobs.version", self.version)?,
            created_at: time("jobs.created_at", &self.created_at)?,
            updated_at: time("jobs.updated_at", &self.updated_at)?,
        })
    }
}

/// A row of `contractors`.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = contractors)]
pub(super) struct ContractorRow {
    id: String,
    name: String,
    region: String,
    timezone: String,
    created_at: String,
}

impl ContractorRow {
    /// The contractor.
    pub(super) fn contractor(self) -> Result<Contractor, StoreError> {
        Ok(Contractor {
            id: parsed("contractors.id", &self.id)?,
            name: self.name,
            region: region("contractors.region", &self.region)?,
            timezone: self.timezone,
            created_at: time("contractors.created_at", &self.created_at)?,
        })
    }
}

/// What `job_assignments` says of a contractor's time.
#[derive(Debug, Queryable)]
pub(super) struct BusyRow {
    contractor_id: String,
    job_id: String,
    start_utc: String,
    end_utc: String,
}

impl BusyRow {
    /// The window that is taken.
    pub(super) fn busy_window(self) -> Result<BusyWindow, StoreError> {
        Ok(BusyWindow {
            contractor_id: parsed("job_assignments.contractor_id", &self.contractor_id)?,
            job_id: parsed("job_assignments.job_id", &self.job_id)?,
            window: window("job_assignments.end_utc", &self.start_utc, &self.end_utc)?,
        })
    }
}

/// A row of `idempotency_keys`, without its age.
#[derive(Debug, Queryable)]
pub(super) struct ReceiptRow {
    subject: String,
    key: String,
    digest: Vec<u8>,
    receipt: String,
}

impl ReceiptRow {
    /// The answer that was kept.
    pub(super) fn stored_receipt(self) -> Result<StoredReceipt, StoreError> {
        let digest = <[u8; 32]>::try_from(self.digest.as_slice())
            .map_err(|_| garbled("idempotency_keys.digest", "not 32 bytes"))?;
        let receipt: Receipt = from_json("idempotency_keys.receipt", &self.receipt)?;
        Ok(StoredReceipt { subject: self.subject, key: self.key, digest, receipt })
    }
}

/// What `outbox` and `event_log` both hold of an event.
#[derive(Debug, Queryable, QueryableByName)]
pub(super) struct EventRow {
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = Text)]
    event_id: String,
    #[diesel(sql_type = Text)]
    event_type: String,
    #[diesel(sql_type = BigInt)]
    schema_version: i64,
    #[diesel(sql_type = Text)]
    job_id: String,
    #[diesel(sql_type = Text)]
    region: String,
    #[diesel(sql_type = Text)]
    payload: String,
    #[diesel(sql_type = Text)]
    published_to: String,
    #[diesel(sql_type = Text)]
    actor_id: String,
    #[diesel(sql_type = Text)]
    correlation_id: String,
    #[diesel(sql_type = Text)]
    occurred_at: String,
    #[diesel(sql_type = Nullable<Text>)]
    traceparent: Option<String>,
}

impl EventRow {
    /// The event.
    pub(super) fn event(self) -> Result<CommittedEvent, StoreError> {
        Ok(CommittedEvent {
            sequence: number("sequence", self.sequence)?,
            event_id: parsed("event_id", &self.event_id)?,
            event_type: EventType::parse(&self.event_type)
                .ok_or_else(|| garbled("event_type", &self.event_type))?,
            schema_version: number("schema_version", self.schema_version)?,
            job_id: parsed("job_id", &self.job_id)?,
            region: region("region", &self.region)?,
            payload: self.payload.into(),
            groups: from_json("published_to", &self.published_to)?,
            actor_id: self.actor_id,
            correlation_id: self.correlation_id,
            occurred_at: time("occurred_at", &self.occurred_at)?,
            // Of one that is none, nobody can be a part.
            trace: self.traceparent.and_then(|text| text.parse().ok()),
        })
    }
}

pub(super) fn time(column: &str, text: &str) -> Result<Timestamp, StoreError> {
    Timestamp::parse(text).ok_or_else(|| garbled(column, text))
}

fn window(column: &str, start: &str, end: &str) -> Result<Window, StoreError> {
    Window::new(time(column, start)?, time(column, end)?)
        .map_err(|refusal| garbled(column, refusal))
}

/// An id as the tables hold it.
pub(super) fn stored_id(id: Uuid) -> String {
    id.to_string()
}

/// A time as the tables hold it.
pub(super) fn stored_time(time: Timestamp) -> String {
    time.to_string()
}
