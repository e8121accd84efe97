//! Rows as they stand, for `verify`; and what of them does not agree, one statement
//! per question. Ids and times become texts as events write them.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use super::event_log::PostgresEventLog;
use super::job_store::{PostgresJobStore, last_sequence};
use crate::jobs::Sequence;
use crate::store::StoreError;
use crate::store::record_rows::{EventColumns, GroupRow, OverlapRow, StaleRow, event_record};
use crate::store::records::{
    Counted, EventRecord, GroupFault, JobRecord, JobRecords, LogRecords, Overlap, StaleAssignment,
};
use crate::store::values::{stored_limit, stored_sequence};

/// A time of a column as events write it; one that has parts of a millisecond shows them.
macro_rules! time {
    ($column:literal) => {
        concat!(
            "regexp_replace(to_char(",
            $column,
            " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '000Z$', 'Z')"
        )
    };
}

/// Events of either table.
macro_rules! events_of {
    ($table:literal) => {
        concat!(
            "SELECT sequence, event_id::text, event_type, schema_version, job_id::text AS job_id,
                    region, payload::text, published_to::text, actor_id, correlation_id, ",
            time!("occurred_at"),
            " AS occurred_at FROM ",
            $table,
            " WHERE sequence > $1 ORDER BY sequence LIMIT $2"
        )
    };
}

#[derive(QueryableByName)]
struct EventRecordRow {
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
}

impl EventRecordRow {
    fn columns(self) -> EventColumns {
        (
            self.sequence,
            self.event_id,
            self.event_type,
            self.schema_version,
            self.job_id,
            self.region,
            self.payload,
            self.published_to,
            self.actor_id,
            self.correlation_id,
            self.occurred_at,
            None,
        )
    }
}

fn event_records(
    connection: &mut PgConnection,
    statement: &str,
    after: Sequence,
    limit: usize,
) -> Result<Vec<EventRecord>, StoreError> {
    let rows: Vec<EventRecordRow> = sql_query(statement)
        .bind::<BigInt, _>(stored_sequence(after))
        .bind::<BigInt, _>(stored_limit(limit))
        .load(connection)?;
    rows.into_iter().map(|row| event_record(row.columns())).collect()
}

impl JobRecords for PostgresJobStore {
    fn outbox_records(
        &self,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        self.database
            .read(|connection| event_records(connection, events_of!("outbox"), after, limit))
    }

    fn job_records(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<JobRecord>, Sequence), StoreError> {
        self.database.read(|connection| {
            let rows: Vec<JobRecordRow> = sql_query(JOBS)
                .bind::<Text, _>(after)
                .bind::<BigInt, _>(stored_limit(limit))
                .load(connection)?;
            let records = rows.into_iter().map(JobRecordRow::record).collect();
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

impl LogRecords for PostgresEventLog {
    fn log_records(&self, after: Sequence, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        self.database
            .read(|connection| event_records(connection, events_of!("event_log"), after, limit))
    }

    fn group_faults(&self, limit: usize) -> Result<Counted<GroupFault>, StoreError> {
        let faults = sql_query(GROUP_FAULTS).bind::<BigInt, _>(stored_limit(limit));
        GroupRow::counted(self.database.read(|connection| Ok(faults.load(connection)?))?)
    }
}

#[derive(QueryableByName)]
struct JobRecordRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    title: String,
    #[diesel(sql_type = Text)]
    region: String,
    #[diesel(sql_type = Text)]
    timezone: String,
    #[diesel(sql_type = Text)]
    start_utc: String,
    #[diesel(sql_type = Text)]
    end_utc: String,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Nullable<Text>)]
    cancellation_reason: Option<String>,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Text)]
    updated_at: String,
    #[diesel(sql_type = Array<Text>)]
    contractor_ids: Vec<String>,
}

impl JobRecordRow {
    fn record(self) -> JobRecord {
        JobRecord {
            id: self.id,
            title: self.title,
            region: self.region,
            timezone: self.timezone,
            start_utc: self.start_utc,
            end_utc: self.end_utc,
            status: self.status,
            cancellation_reason: self.cancellation_reason,
            version: self.version,
            updated_at: self.updated_at,
            contractor_ids: self.contractor_ids,
        }
    }
}

/// UUIDs are in the order of their texts. Nothing sorts before the nil id, which no job has.
const JOBS: &str = concat!(
    "SELECT jobs.id::text AS id, title, region, timezone, ",
    time!("start_utc"),
    " AS start_utc, ",
    time!("end_utc"),
    " AS end_utc, status, cancellation_reason, version, ",
    time!("updated_at"),
    " AS updated_at,
       ARRAY(SELECT contractor_id::text FROM job_assignments
             WHERE job_id = jobs.id ORDER BY position) AS contractor_ids
     FROM jobs
     WHERE jobs.id > coalesce(nullif($1, ''), '00000000-0000-0000-0000-000000000000')::uuid
     ORDER BY jobs.id LIMIT $2"
);

/// Each assignment, and those behind it that start before it has ended: a short range
/// of the index by contractor.
const OVERLAPS: &str = "
    SELECT one.contractor_id::text, one.job_id::text, other.job_id::text AS other_job_id,
           count(*) OVER () AS total
    FROM job_assignments AS one
    JOIN job_assignments AS other
      ON other.contractor_id = one.contractor_id
     AND other.start_utc >= one.start_utc
     AND other.start_utc < one.end_utc
     AND other.job_id <> one.job_id
     AND (other.start_utc > one.start_utc OR other.job_id > one.job_id)
    WHERE one.is_live AND other.is_live
    ORDER BY one.contractor_id, one.start_utc, one.job_id
    LIMIT $1";

const STALE: &str = "
    SELECT held.job_id::text, held.contractor_id::text, count(*) OVER () AS total
    FROM job_assignments AS held
    LEFT JOIN jobs ON jobs.id = held.job_id
    WHERE jobs.id IS NULL
       OR held.start_utc <> jobs.start_utc
       OR held.end_utc <> jobs.end_utc
       OR held.is_live <> (jobs.status IN ('scheduled', 'inProgress'))
    ORDER BY held.job_id, held.contractor_id
    LIMIT $1";

/// A name is what stands between its quotes: no group has any that would be escaped.
/// First what the events name and the rows lack, then the rows that no event stands for.
const GROUP_FAULTS: &str = "
    WITH named (sequence, group_name) AS NOT MATERIALIZED (
        SELECT event.sequence, trim(BOTH '\"' FROM announced.value::text)
        FROM event_log AS event
        CROSS JOIN LATERAL json_array_elements(
            CASE WHEN json_typeof(event.published_to) = 'array'
                 THEN event.published_to ELSE '[]' END) AS announced (value)
    )
    SELECT sequence, group_name, is_missing, count(*) OVER () AS total
    FROM (
        SELECT sequence, group_name, true AS is_missing FROM named
        WHERE NOT EXISTS (SELECT 1 FROM event_log_groups AS held
                          WHERE held.group_name = named.group_name
                            AND held.sequence = named.sequence)
        UNION ALL
        SELECT sequence, group_name, false AS is_missing FROM event_log_groups AS held
        WHERE NOT EXISTS (SELECT 1 FROM named
                          WHERE named.sequence = held.sequence
                            AND named.group_name = held.group_name)
    ) AS faults
    ORDER BY sequence, group_name
    LIMIT $1";
