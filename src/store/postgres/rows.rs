//! Rows as the tables hold them, and the domain types that they become. Rows do not
//! leave this folder.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{Array, Uuid as SqlUuid};
use uuid::Uuid;

use super::schema::{contractors, jobs};
use crate::jobs::{
    BusyWindow, CommittedEvent, Contractor, ContractorId, EventId, EventType, Job, JobId,
    JobStatus, Receipt, StoredReceipt, Timestamp, Window,
};
use crate::store::StoreError;
use crate::store::values::{from_json, garbled, number, region};

/// A row of `jobs`.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub(super) struct JobRow {
    pub(super) id: Uuid,
    title: String,
    customer: String,
    address: String,
    region: String,
    timezone: String,
    start_utc: DateTime<Utc>,
    end_utc: DateTime<Utc>,
    status: String,
    cancellation_reason: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A job's contractors in their order, beside the job's own columns: so that a page of
/// jobs is one statement.
pub(super) fn contractor_ids() -> SqlLiteral<Array<SqlUuid>> {
    sql("ARRAY(SELECT contractor_id FROM job_assignments
               WHERE job_id = jobs.id ORDER BY position)")
}

/// What [`contractor_ids`] selects.
pub(super) type ContractorIds = Vec<Uuid>;

impl JobRow {
    /// The job, with its contractors.
    pub(super) fn job(self, contractor_ids: ContractorIds) -> Result<Job, StoreError> {
        Ok(Job {
            id: JobId(self.id),
            title: self.title,
            customer: self.customer,
            address: self.address,
            region: region("jobs.region", &self.region)?,
            timezone: self.timezone,
            window: window("jobs.end_utc", self.start_utc, self.end_utc)?,
            status: JobStatus::parse(&self.status)
                .ok_or_else(|| garbled("jobs.status", &self.status))?,
            contractor_ids: contractor_ids.into_iter().map(ContractorId).collect(),
            cancellation_reason: self.cancellation_reason,
            version: number("jobs.version", self.version)?,
            created_at: time("jobs.created_at", self.created_at)?,
            updated_at: time("jobs.updated_at", self.updated_at)?,
        })
    }
}

/// A row of `contractors`.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = contractors)]
pub(super) struct ContractorRow {
    id: Uuid,
    name: String,
    region: String,
    timezone: String,
    created_at: DateTime<Utc>,
}

impl ContractorRow {
    /// The contractor.
    pub(super) fn contractor(self) -> Result<Contractor, StoreError> {
        Ok(Contractor {
            id: ContractorId(self.id),
            name: self.name,
            region: region("contractors.region", &self.region)?,
            timezone: self.timezone,
            created_at: time("contractors.created_at", self.created_at)?,
        })
    }
}

/// What `job_assignments` says of a contractor's time.
#[derive(Debug, Queryable)]
pub(super) struct BusyRow {
    contractor_id: Uuid,
    job_id: Uuid,
    start_utc: DateTime<Utc>,
    end_utc: DateTime<Utc>,
}

impl BusyRow {
    /// The window that is taken.
    pub(super) fn busy_window(self) -> Result<BusyWindow, StoreError> {
        Ok(BusyWindow {
            contractor_id: ContractorId(self.contractor_id),
            job_id: JobId(self.job_id),
            window: window("job_assignments.end_utc", self.start_utc, self.end_utc)?,
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
#[derive(Debug, Queryable)]
pub(super) struct EventRow {
    sequence: i64,
    event_id: Uuid,
    event_type: String,
    schema_version: i64,
    job_id: Uuid,
    region: String,
    payload: String,
    published_to: String,
    actor_id: String,
    correlation_id: String,
    occurred_at: DateTime<Utc>,
    traceparent: Option<String>,
}

impl EventRow {
    /// The event.
    pub(super) fn event(self) -> Result<CommittedEvent, StoreError> {
        Ok(CommittedEvent {
            sequence: number("sequence", self.sequence)?,
            event_id: EventId(self.event_id),
            event_type: EventType::parse(&self.event_type)
                .ok_or_else(|| garbled("event_type", &self.event_type))?,
            schema_version: number("schema_version", self.schema_version)?,
            job_id: JobId(self.job_id),
            region: region("region", &self.region)?,
            payload: self.payload.into(),
            groups: from_json("published_to", &self.published_to)?,
            actor_id: self.actor_id,
            correlation_id: self.correlation_id,
            occurred_at: time("occurred_at", self.occurred_at)?,
            // Of one that is none, nobody can be a part.
            trace: self.traceparent.and_then(|text| text.parse().ok()),
        })
    }
}

pub(super) fn time(column: &str, time: DateTime<Utc>) -> Result<Timestamp, StoreError> {
    Timestamp::from_millis(time.timestamp_millis()).ok_or_else(|| garbled(column, time))
}

fn window(column: &str, start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Window, StoreError> {
    Window::new(time(column, start)?, time(column, end)?)
        .map_err(|refusal| garbled(column, refusal))
}

/// An id as the tables hold it.
pub(super) fn stored_id(id: Uuid) -> Uuid {
    id
}

/// A time as the tables hold it.
pub(super) fn stored_time(time: Timestamp) -> DateTime<Utc> {
    time.to_utc()
}
