//! The rows of what was asked for [`records`](super::records), the same on every database.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::StoreError;
use super::records::{Counted, EventRecord, GroupFault, Overlap, StaleAssignment};
use super::values::number;

/// The columns of an [`EventRecord`], in its order, and the trace, which proves nothing.
pub(super) type EventColumns = (
    i64,
    String,
    String,
    i64,
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    Option<String>,
);

/// The record of an event's columns.
pub(super) fn event_record(columns: EventColumns) -> Result<EventRecord, StoreError> {
    Ok(EventRecord {
        sequence: number("sequence", columns.0)?,
        event_id: columns.1,
        event_type: columns.2,
        schema_version: columns.3,
        job_id: columns.4,
        region: columns.5,
        payload: columns.6,
        published_to: columns.7,
        actor_id: columns.8,
        correlation_id: columns.9,
        occurred_at: columns.10,
    })
}

/// Two assignments that overlap, and how many such there are.
#[derive(QueryableByName)]
pub(super) struct OverlapRow {
    #[diesel(sql_type = Text)]
    contractor_id: String,
    #[diesel(sql_type = Text)]
    job_id: String,
    #[diesel(sql_type = Text)]
    other_job_id: String,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

impl OverlapRow {
    /// All that was found.
    pub(super) fn counted(rows: Vec<Self>) -> Result<Counted<Overlap>, StoreError> {
        let total = number("total", rows.first().map_or(0, |row| row.total))?;
        let overlap = |row: Self| Overlap {
            contractor_id: row.contractor_id,
            job_id: row.job_id,
            other_job_id: row.other_job_id,
        };
        Ok(Counted { total, shown: rows.into_iter().map(overlap).collect() })
    }
}

/// An assignment that is not as its job, and how many such there are.
#[derive(QueryableByName)]
pub(super) struct StaleRow {
    #[diesel(sql_type = Text)]
    job_id: String,
    #[diesel(sql_type = Text)]
    contractor_id: String,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

impl StaleRow {
    /// All that was found.
    pub(super) fn counted(rows: Vec<Self>) -> Result<Counted<StaleAssignment>, StoreError> {
        let total = number("total", rows.first().map_or(0, |row| row.total))?;
        let stale =
            |row: Self| StaleAssignment { job_id: row.job_id, contractor_id: row.contractor_id };
        Ok(Counted { total, shown: rows.into_iter().map(stale).collect() })
    }
}

/// A group that the log's two tables do not agree about, and how many such there are.
#[derive(QueryableByName)]
pub(super) struct GroupRow {
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = Text)]
    group_name: String,
    #[diesel(sql_type = Bool)]
    is_missing: bool,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

impl GroupRow {
    /// All that was found.
    pub(super) fn counted(rows: Vec<Self>) -> Result<Counted<GroupFault>, StoreError> {
        let total = number("total", rows.first().map_or(0, |row| row.total))?;
        let fault = |row: Self| {
            Ok(GroupFault {
                sequence: number("event_log_groups.sequence", row.sequence)?,
                group: row.group_name,
                is_missing: row.is_missing,
            })
        };
        let shown = rows.into_iter().map(fault).collect::<Result<_, StoreError>>()?;
        Ok(Counted { total, shown })
    }
}
