//! Rows as they stand, for `verify`; and what of them does not agree, one statement
//! per question.

use diesel::SqliteConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use super::event_log::SqliteEventLog;
use super::job_store::{SqliteJobStore, last_sequence};
use super::rows::contractor_ids;
use super::schema::{event_log, jobs, outbox};
use crate::jobs::Sequence;
use crate::store::StoreError;
use crate::store::columns::event_columns;
use crate::store::record_rows::{EventColumns, GroupRow, OverlapRow, StaleRow, event_record};
use crate::store::records::{
    Counted, EventRecord, GroupFault, JobRecord, JobRecords, LogRecords, Overlap, StaleAssignment,
};
use crate::store::values::{from_json, stored_limit, stored_sequence};

impl JobRecords for SqliteJobStore {
    fn outbox_records(
        &self,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        self.database.read(|connection| {
            let rows: Vec<EventColumns> = outbox::table
                .filter(outbox::sequence.gt(stored_sequence(after)))
                .order(outbox::sequence)
                .limit(stored_limit(limit))
                .select(event_columns!(outbox))
                .load(connection)?;
            rows.into_iter().map(event_record).collect()
        })
    }

    fn job_records(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<JobRecord>, Sequence), StoreError> {
        self.database.read(|connection| {
            let records = job_records(connection, after, limit)?;
            Ok((records, last_sequence(connection)?))
        })
    }

    fn overlaps(&self, limit: usize) -> Result<Counted<Overlap>, StoreError> {
        let overlaps = sql_query(OVERLAPS).bind::<BigInt, _>(stored_limit(limit));
        OverlapRow::counted(self.database.read(|connection| Ok(overlaps.load(connection)?))?)
    }

    fn stale_assignments(&self, limit: usize) -> Result<Counted<StaleAssignment>, StoreError> {
        let stale = sql_query(STALE).bind::<BigInt, _>(stored_limit(limit));
        StaleRow::counted(self.database.read(|connection| Ok(stale.load(connection)?))?)
    }
}

impl LogRecords for SqliteEventLog {
    fn log_records(&self, after: Sequence, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        self.database.read(|connection| {
            let rows: Vec<EventColumns> = event_log::table
                .filter(event_log::sequence.gt(stored_sequence(after)))
                .order(event_log::sequence)
                .limit(stored_limit(limit))
                .select(event_columns!(event_log))
                .load(connection)?;
            rows.into_iter().map(event_record).collect()
        })
    }

    fn group_faults(&self, limit: usize) -> Result<Counted<GroupFault>, StoreError> {
        let faults = sql_query(GROUP_FAULTS).bind::<BigInt, _>(stored_limit(limit));
        GroupRow::counted(self.database.read(|connection| Ok(faults.load(connection)?))?)
    }
}

/// Each assignment, and those behind it that start before it has ended: a short range
/// of the index by contractor.
const OVERLAPS: &str = "
    SELECT one.contractor_id, one.job_id, other.job_id AS other_job_id,
           count(*) OVER () AS total
    FROM job_assignments AS one
    CROSS JOIN job_assignments AS other
      ON other.contractor_id = one.contractor_id
     AND other.start_utc >= one.start_utc
     AND other.start_utc < one.end_utc
     AND other.job_id <> one.job_id
     AND (other.start_utc > one.start_utc OR other.job_id > one.job_id)
    WHERE one.is_live AND other.is_live
    ORDER BY one.contractor_id, one.start_utc, one.job_id
    LIMIT ?";

const STALE: &str = "
    SELECT held.job_id, held.contractor_id, count(*) OVER () AS total
    FROM job_assignments AS held
    LEFT JOIN jobs ON jobs.id = held.job_id
    WHERE jobs.id IS NULL
       OR held.start_utc <> jobs.start_utc
       OR held.end_utc <> jobs.end_utc
       OR held.is_live <> (jobs.status IN ('scheduled', 'inProgress'))
    ORDER BY held.job_id, held.contractor_id
    LIMIT ?";

/// First what the events name and the rows lack, then the rows that no event stands for.
/// Each is looked up by its key: the names of all events as a table would be as large
/// as the log.
const GROUP_FAULTS: &str = "
    WITH named (sequence, group_name) AS NOT MATERIALIZED (
        SELECT event.sequence, coalesce(announced.value, 'null')
        FROM event_log AS event,
             json_each(CASE WHEN NOT json_valid(event.published_to) THEN '[]'
                            WHEN json_type(event.published_to) <> 'array' THEN '[]'
                            ELSE event.published_to END) AS announced
    )
    SELECT sequence, group_name, is_missing, count(*) OVER () AS total
    FROM (
        SELECT sequence, group_name, 1 AS is_missing FROM named
        WHERE NOT EXISTS (SELECT 1 FROM event_log_groups AS held
                          WHERE held.group_name = named.group_name
                            AND held.sequence = named.sequence)
        UNION ALL
        SELECT sequence, group_name, 0 AS is_missing FROM event_log_groups AS held
        WHERE NOT EXISTS (SELECT 1 FROM named
                          WHERE named.sequence = held.sequence
                            AND named.group_name = held.group_name)
    )
    ORDER BY sequence, group_name
    LIMIT ?";

fn job_records(
    connection: &mut SqliteConnection,
    after: &str,
    limit: usize,
) -> Result<Vec<JobRecord>, StoreError> {
    type JobColumns =
        (String, String, String, String, String, String, String, Option<String>, i64, String);
    let rows: Vec<(JobColumns, String)> = jobs::table
        .filter(jobs::id.gt(after))
        .order(jobs::id)
        .limit(stored_limit(limit))
        .select((
            (
                jobs::id,
                jobs::title,
                jobs::region,
                jobs::timezone,
                jobs::start_utc,
                jobs::end_utc,
                jobs::status,
                jobs::cancellation_reason,
                jobs::version,
                jobs::updated_at,
            ),
            contractor_ids(),
        ))
        .load(connection)?;
    let record = |(columns, contractor_ids): (JobColumns, String)| {
        Ok(JobRecord {
            id: columns.0,
            title: columns.1,
            region: columns.2,
            timezone: columns.3,
            start_utc: columns.4,
            end_utc: columns.5,
            status: columns.6,
            cancellation_reason: columns.7,
            version: columns.8,
            updated_at: columns.9,
            contractor_ids: from_json("job_assignments.contractor_id", &contractor_ids)?,
        })
    };
    rows.into_iter().map(record).collect()
}
