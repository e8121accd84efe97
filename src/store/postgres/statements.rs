//! The statements that stay prepared. Those of a batch take arrays, one per column: how
//! many rows they are about makes no difference to the number of round trips.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::pg::Pg;
use diesel::sql_types::{
    Array, BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use uuid::Uuid;

use super::schema::{contractors, jobs};
use crate::store::statement::statement;

statement! {
    Pg on PgConnection:
    /// Jobs by their ids, in the order of those, each locked until the transaction ends.
    LockJobs { ids: Vec<Uuid> as Array<SqlUuid>, } -> jobs::SqlType,
    "SELECT id, title, customer, address, region, timezone, start_utc, end_utc, status,
            cancellation_reason, version, created_at, updated_at
     FROM jobs WHERE id = ANY(?) ORDER BY id FOR NO KEY UPDATE"
}

statement! {
    Pg on PgConnection:
    /// Whose jobs these are, in each job's order. Asked when the jobs are locked: a
    /// statement that waits for a lock sees other tables as they were before.
    AssignmentsOf { job_ids: Vec<Uuid> as Array<SqlUuid>, } -> (SqlUuid, SqlUuid),
    "SELECT job_id, contractor_id FROM job_assignments WHERE job_id = ANY(?) ORDER BY position"
}

statement! {
    Pg on PgConnection:
    /// Contractors by their ids.
    ContractorsById { ids: Vec<Uuid> as Array<SqlUuid>, } -> contractors::SqlType,
    "SELECT id, name, region, timezone, created_at FROM contractors WHERE id = ANY(?)"
}

statement! {
    Pg on PgConnection:
    /// Keeps other nodes from planning these contractors until the transaction ends.
    LockContractors { ids: Vec<Uuid> as Array<SqlUuid>, } -> (),
    "SELECT 1 FROM contractors WHERE id = ANY(?) ORDER BY id FOR NO KEY UPDATE"
}

statement! {
    Pg on PgConnection:
    /// The live jobs that overlap a window of a contractor.
    ///
    /// A contractor's live jobs never overlap, so of all that start before the window
    /// only the last can reach into it. From there on the index is read up to the
    /// window's end: two or three rows instead of a month of them.
    BusyWindows {
        contractor_ids: Vec<Uuid> as Array<SqlUuid>,
        starts: Vec<DateTime<Utc>> as Array<Timestamptz>,
        ends: Vec<DateTime<Utc>> as Array<Timestamptz>,
        reaches: Vec<DateTime<Utc>> as Array<Timestamptz>,
    } -> (SqlUuid, SqlUuid, Timestamptz, Timestamptz),
    "SELECT busy.contractor_id, busy.job_id, busy.start_utc, busy.end_utc
     FROM unnest(?, ?, ?, ?) AS wanted (contractor_id, starts, ends, reach)
     JOIN job_assignments AS busy
       ON busy.contractor_id = wanted.contractor_id
      AND busy.start_utc < wanted.ends
      AND busy.start_utc >= coalesce(
            (SELECT before.start_utc FROM job_assignments AS before
             WHERE before.contractor_id = wanted.contractor_id
               AND before.start_utc < wanted.starts
               AND before.start_utc >= wanted.reach
               AND before.is_live
             ORDER BY before.start_utc DESC LIMIT 1),
            wanted.starts)
     WHERE busy.end_utc > wanted.starts AND busy.is_live"
}

statement! {
    Pg on PgConnection:
    /// Kept answers by pairs of subject and key, no older than a time.
    ReceiptsByKey {
        subjects: Vec<String> as Array<Text>,
        keys: Vec<String> as Array<Text>,
        not_before: DateTime<Utc> as Timestamptz,
    } -> (Text, Text, Binary, Text),
    "SELECT kept.subject, kept.key, kept.digest, kept.receipt::text
     FROM unnest(?, ?) AS wanted (subject, key)
     JOIN idempotency_keys AS kept ON kept.subject = wanted.subject AND kept.key = wanted.key
     WHERE kept.created_at >= ?"
}

statement! {
    Pg on PgConnection:
    /// Makes jobs.
    InsertJobs {
        ids: Vec<Uuid> as Array<SqlUuid>,
        titles: Vec<String> as Array<Text>,
        customers: Vec<String> as Array<Text>,
        addresses: Vec<String> as Array<Text>,
        regions: Vec<String> as Array<Text>,
        timezones: Vec<String> as Array<Text>,
        starts: Vec<DateTime<Utc>> as Array<Timestamptz>,
        ends: Vec<DateTime<Utc>> as Array<Timestamptz>,
        statuses: Vec<&'static str> as Array<Text>,
        reasons: Vec<Option<String>> as Array<Nullable<Text>>,
        versions: Vec<i64> as Array<BigInt>,
        created: Vec<DateTime<Utc>> as Array<Timestamptz>,
        updated: Vec<DateTime<Utc>> as Array<Timestamptz>,
    } -> (),
    "INSERT INTO jobs (id, title, customer, address, region, timezone, start_utc, end_utc,
                       status, cancellation_reason, version, created_at, updated_at)
     SELECT * FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
}

statement! {
    Pg on PgConnection:
    /// Writes what commands can change of jobs that still have the versions that they were
    /// decided on, and copies window and life to the assignments of those whose
    /// contractors stay.
    UpdateJobs {
        ids: Vec<Uuid> as Array<SqlUuid>,
        starts: Vec<DateTime<Utc>> as Array<Timestamptz>,
        ends: Vec<DateTime<Utc>> as Array<Timestamptz>,
        statuses: Vec<&'static str> as Array<Text>,
        reasons: Vec<Option<String>> as Array<Nullable<Text>>,
        versions: Vec<i64> as Array<BigInt>,
        updated: Vec<DateTime<Utc>> as Array<Timestamptz>,
        loaded_versions: Vec<i64> as Array<BigInt>,
        are_live: Vec<bool> as Array<Bool>,
        keep_contractors: Vec<bool> as Array<Bool>,
    } -> (),
    "WITH new AS (
         SELECT * FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AS new (
             id, start_utc, end_utc, status, cancellation_reason, version, updated_at,
             loaded_version, is_live, keeps_contractors)
     ), moved AS (
         UPDATE job_assignments AS copy
         SET start_utc = new.start_utc, end_utc = new.end_utc, is_live = new.is_live
         FROM new WHERE copy.job_id = new.id AND new.keeps_contractors
     )
     UPDATE jobs
     SET start_utc = new.start_utc, end_utc = new.end_utc, status = new.status,
         cancellation_reason = new.cancellation_reason, version = new.version,
         updated_at = new.updated_at
     FROM new WHERE jobs.id = new.id AND jobs.version = new.loaded_version"
}

statement! {
    Pg on PgConnection:
    /// Takes the contractors off these jobs.
    DeleteAssignments { job_ids: Vec<Uuid> as Array<SqlUuid>, } -> (),
    "DELETE FROM job_assignments WHERE job_id = ANY(?)"
}

statement! {
    Pg on PgConnection:
    /// Puts contractors on jobs.
    InsertAssignments {
        job_ids: Vec<Uuid> as Array<SqlUuid>,
        contractor_ids: Vec<Uuid> as Array<SqlUuid>,
        positions: Vec<i32> as Array<Integer>,
        starts: Vec<DateTime<Utc>> as Array<Timestamptz>,
        ends: Vec<DateTime<Utc>> as Array<Timestamptz>,
        are_live: Vec<bool> as Array<Bool>,
    } -> (),
    "INSERT INTO job_assignments (job_id, contractor_id, position, start_utc, end_utc, is_live)
     SELECT * FROM unnest(?, ?, ?, ?, ?, ?)"
}

statement! {
    Pg on PgConnection:
    /// Adds contractors.
    InsertContractors {
        ids: Vec<Uuid> as Array<SqlUuid>,
        names: Vec<String> as Array<Text>,
        regions: Vec<String> as Array<Text>,
        timezones: Vec<String> as Array<Text>,
        created: Vec<DateTime<Utc>> as Array<Timestamptz>,
    } -> (),
    "INSERT INTO contractors (id, name, region, timezone, created_at)
     SELECT * FROM unnest(?, ?, ?, ?, ?)"
}

statement! {
    Pg on PgConnection:
    /// Takes sequences; answers the last of them, and the transaction's id.
    TakeSequences { count: i64 as BigInt, } -> (BigInt, BigInt),
    "UPDATE event_sequence SET last = last + ? WHERE id = 1
     RETURNING last, pg_current_xact_id()::text::bigint"
}

statement! {
    Pg on PgConnection:
    /// Writes events to the outbox.
    InsertOutbox {
        created_at: DateTime<Utc> as Timestamptz,
        sequences: Vec<i64> as Array<BigInt>,
        event_ids: Vec<Uuid> as Array<SqlUuid>,
        event_types: Vec<&'static str> as Array<Text>,
        schema_versions: Vec<i64> as Array<BigInt>,
        job_ids: Vec<Uuid> as Array<SqlUuid>,
        regions: Vec<String> as Array<Text>,
        payloads: Vec<String> as Array<Text>,
        groups: Vec<String> as Array<Text>,
        actor_ids: Vec<String> as Array<Text>,
        correlation_ids: Vec<String> as Array<Text>,
        occurred: Vec<DateTime<Utc>> as Array<Timestamptz>,
        traces: Vec<Option<String>> as Array<Nullable<Text>>,
    } -> (),
    "INSERT INTO outbox (sequence, event_id, event_type, schema_version, job_id, region, payload,
                         published_to, actor_id, correlation_id, occurred_at, traceparent,
                         created_at)
     SELECT sequence, event_id, event_type, schema_version, job_id, region, payload::json,
            published_to::json, actor_id, correlation_id, occurred_at, traceparent, ?
     FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AS new (
         sequence, event_id, event_type, schema_version, job_id, region, payload, published_to,
         actor_id, correlation_id, occurred_at, traceparent)"
}

statement! {
    Pg on PgConnection:
    /// Keeps answers. What is under the same key is replaced if it has outlived its time.
    InsertReceipts {
        created_at: DateTime<Utc> as Timestamptz,
        subjects: Vec<String> as Array<Text>,
        keys: Vec<String> as Array<Text>,
        digests: Vec<Vec<u8>> as Array<Binary>,
        receipts: Vec<String> as Array<Text>,
        not_before: DateTime<Utc> as Timestamptz,
    } -> (),
    "INSERT INTO idempotency_keys AS kept (subject, key, digest, receipt, created_at)
     SELECT subject, key, digest, receipt::json, ?
     FROM unnest(?, ?, ?, ?) AS new (subject, key, digest, receipt)
     ON CONFLICT (subject, key) DO UPDATE
     SET digest = excluded.digest, receipt = excluded.receipt, created_at = excluded.created_at
     WHERE kept.created_at < ?"
}

statement! {
    Pg on PgConnection:
    /// Forgets the oldest keys of before a time, but for those that are just being used.
    PurgeKeys { before: DateTime<Utc> as Timestamptz, limit: i64 as BigInt, } -> (),
    "DELETE FROM idempotency_keys WHERE (subject, key) IN (
         SELECT subject, key FROM idempotency_keys WHERE created_at < ?
         ORDER BY created_at LIMIT ? FOR UPDATE SKIP LOCKED)"
}

statement! {
    Pg on PgConnection:
    /// Writes events to the log, each with its groups, but for those that it has.
    InsertLog {
        logged_at: DateTime<Utc> as Timestamptz,
        node_id: String as Text,
        sequences: Vec<i64> as Array<BigInt>,
        event_ids: Vec<Uuid> as Array<SqlUuid>,
        event_types: Vec<&'static str> as Array<Text>,
        schema_versions: Vec<i64> as Array<BigInt>,
        job_ids: Vec<Uuid> as Array<SqlUuid>,
        regions: Vec<String> as Array<Text>,
        payloads: Vec<String> as Array<Text>,
        groups: Vec<String> as Array<Text>,
        actor_ids: Vec<String> as Array<Text>,
        correlation_ids: Vec<String> as Array<Text>,
        occurred: Vec<DateTime<Utc>> as Array<Timestamptz>,
        published: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        traces: Vec<Option<String>> as Array<Nullable<Text>>,
    } -> BigInt,
    "WITH logged AS (
         INSERT INTO event_log (
             sequence, event_id, event_type, schema_version, job_id, region, payload,
             published_to, actor_id, correlation_id, occurred_at, published_at, traceparent,
             logged_at, node_id)
         SELECT sequence, event_id, event_type, schema_version, job_id, region, payload::json,
                published_to::json, actor_id, correlation_id, occurred_at, published_at,
                traceparent, ?, ?
         FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AS new (
             sequence, event_id, event_type, schema_version, job_id, region, payload, published_to,
             actor_id, correlation_id, occurred_at, published_at, traceparent)
         ON CONFLICT (sequence) DO NOTHING
         RETURNING sequence, published_to
     ), announced AS (
         INSERT INTO event_log_groups (group_name, sequence)
         SELECT json_array_elements_text(published_to), sequence FROM logged
         ON CONFLICT DO NOTHING
     )
     SELECT count(*) FROM logged"
}

statement! {
    Pg on PgConnection:
    /// The first events of a group past a sequence and up to another one. Which they are is
    /// found out in the group's index alone, and then each is fetched: in one piece with
    /// the log, a planner may walk the log instead and ask of each event whose it is.
    EventsOfGroup {
        group: String as Text,
        after: i64 as BigInt,
        until: i64 as BigInt,
        limit: i64 as BigInt,
    } -> (
        BigInt, SqlUuid, Text, BigInt, SqlUuid, Text, Text, Text, Text, Text, Timestamptz,
        Nullable<Text>,
    ),
    "SELECT event.sequence, event.event_id, event.event_type, event.schema_version,
            event.job_id, event.region, event.payload, event.published_to, event.actor_id,
            event.correlation_id, event.occurred_at, event.traceparent
     FROM (SELECT sequence FROM event_log_groups
           WHERE group_name = ? AND sequence > ? AND sequence <= ?
           ORDER BY sequence LIMIT ?) AS announced
     JOIN event_log AS event ON event.sequence = announced.sequence
     ORDER BY announced.sequence"
}

statement! {
    Pg on PgConnection:
    /// Of these events those whose place in the log is another one's.
    Displaced {
        sequences: Vec<i64> as Array<BigInt>,
        event_ids: Vec<Uuid> as Array<SqlUuid>,
    } -> (BigInt, SqlUuid, SqlUuid),
    "SELECT logged.sequence, logged.event_id, new.event_id
     FROM unnest(?, ?) AS new (sequence, event_id)
     JOIN event_log AS logged ON logged.sequence = new.sequence
     WHERE logged.event_id <> new.event_id"
}

statement! {
    Pg on PgConnection:
    /// Removes events from the outbox, from one sequence to another.
    ClearOutbox { first: i64 as BigInt, last: i64 as BigInt, } -> (),
    "DELETE FROM outbox WHERE sequence >= ? AND sequence <= ?"
}

statement! {
    Pg on PgConnection:
    /// Removes the rows of the groups of the log's first events, up to a sequence.
    TrimGroups { cut: i64 as BigInt, } -> (),
    "DELETE FROM event_log_groups AS held
     USING event_log AS event
     CROSS JOIN LATERAL json_array_elements(
         CASE WHEN json_typeof(event.published_to) = 'array'
              THEN event.published_to ELSE '[]' END) AS announced (value)
     WHERE event.sequence <= ?
       AND held.group_name = trim(BOTH '\"' FROM announced.value::text)
       AND held.sequence = event.sequence"
}

statement! {
    Pg on PgConnection:
    /// Whether nothing can be written.
    WritableState {} -> Bool,
    "SELECT current_setting('transaction_read_only')::boolean"
}

statement! {
    Pg on PgConnection:
    /// What became of a transaction: `committed`, `aborted` or `in progress`.
    TransactionState { id: i64 as BigInt, } -> Nullable<Text>,
    "SELECT pg_xact_status(?::text::xid8)"
}

statement! {
    Pg on PgConnection:
    /// Whether the session has the role of the log's writer, or gets it now.
    TakeLead { is_leader: bool as Bool, } -> Bool,
    "SELECT CASE WHEN ? THEN true ELSE pg_try_advisory_lock(7362747, 2) END"
}
