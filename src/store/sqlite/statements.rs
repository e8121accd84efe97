//! The statements of a batch, as such that stay prepared.

use diesel::SqliteConnection;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::schema::jobs;
use crate::store::statement::statement;

statement! {
    Sqlite on SqliteConnection:
    /// Jobs by a JSON array of ids, each with the JSON array of its contractors.
    JobsById { ids: String as Text, } -> (jobs::SqlType, Text),
    "SELECT jobs.id, title, customer, address, region, timezone, start_utc, end_utc, status,
            cancellation_reason, version, created_at, updated_at,
            (SELECT json_group_array(contractor_id ORDER BY position)
             FROM job_assignments WHERE job_id = jobs.id)
     FROM jobs WHERE jobs.id IN (SELECT value FROM json_each(?))"
}

statement! {
    Sqlite on SqliteConnection:
    /// Kept answers by a JSON array of pairs of subject and key, no older than a time.
    ReceiptsByKey { keys: String as Text, not_before: String as Text, }
        -> (Text, Text, Binary, Text),
    "SELECT kept.subject, kept.key, kept.digest, kept.receipt
     FROM json_each(?) AS wanted
     CROSS JOIN idempotency_keys AS kept
       ON kept.subject = wanted.value ->> 0 AND kept.key = wanted.value ->> 1
     WHERE kept.created_at >= ?"
}

statement! {
    Sqlite on SqliteConnection:
    /// The live jobs that overlap a window of a contractor, by a JSON array of
    /// contractor, window's start, window's end, and the earliest start of any job that
    /// could still go on at the window's start.
    ///
    /// A contractor's live jobs never overlap, so of all that start before the window
    /// only the last can reach into it. From there on the index is read up to the
    /// window's end: two or three rows instead of a month of them.
    BusyWindows { wanted: String as Text, } -> (Text, Text, Text, Text),
    "WITH wanted (contractor_id, starts, ends, reach) AS MATERIALIZED (
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)
     )
     SELECT busy.contractor_id, busy.job_id, busy.start_utc, busy.end_utc
     FROM wanted
     CROSS JOIN job_assignments AS busy
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
    Sqlite on SqliteConnection:
    /// Writes what commands can change of a job, if it still has the version that they
    /// were decided on.
    UpdateJob {
        start_utc: String as Text,
        end_utc: String as Text,
        status: &'static str as Text,
        cancellation_reason: Option<String> as Nullable<Text>,
        version: i64 as BigInt,
        updated_at: String as Text,
        id: String as Text,
        loaded_version: i64 as BigInt,
    } -> (),
    "UPDATE jobs
     SET start_utc = ?, end_utc = ?, status = ?, cancellation_reason = ?, version = ?,
         updated_at = ?
     WHERE id = ? AND version = ?"
}

statement! {
    Sqlite on SqliteConnection:
    /// Copies a job's window and life to its assignments.
    UpdateAssignments {
        start_utc: String as Text,
        end_utc: String as Text,
        is_live: bool as Bool,
        job_id: String as Text,
    } -> (),
    "UPDATE job_assignments SET start_utc = ?, end_utc = ?, is_live = ? WHERE job_id = ?"
}

statement! {
    Sqlite on SqliteConnection:
    /// Takes sequences, and answers the last of them.
    TakeSequences { count: i64 as BigInt, } -> BigInt,
    "UPDATE event_sequence SET last = last + ? RETURNING last"
}
