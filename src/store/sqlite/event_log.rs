//! The event log, in the jobs' database or in one of its own.

use diesel::SqliteConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::connection::Database;
use super::rows::EventRow;
use super::schema::{event_log, event_log_groups, outbox};
use crate::jobs::{CommittedEvent, Region, Scope, Sequence, Timestamp, contractor_group};
use crate::store::values::{stored_sequence, to_json};
use crate::store::{EventFilter, EventLog, LogEntry, PoolState, StoreError};

/// The log of all events, in one file.
pub(super) struct SqliteEventLog {
    pub(super) database: Database,
    /// Who writes, as the rows say.
    pub(super) node_id: String,
    /// Whether the outbox is in the same database.
    pub(super) shares_database: bool,
}

impl EventLog for SqliteEventLog {
    fn append(&self, entries: &[LogEntry], clear_outbox: bool) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.database.write(|connection| {
            let logged_at = Timestamp::now().to_string();
            for entry in entries {
                self.append_one(connection, entry, &logged_at)?;
            }
            if clear_outbox && self.shares_database {
                for entry in entries {
                    let logged = outbox::table.find(stored_sequence(entry.event.sequence));
                    diesel::delete(logged).execute(connection)?;
                }
            }
            Ok(())
        })
    }

    fn read(&self, scope: &Scope, filter: &EventFilter) -> Result<Vec<CommittedEvent>, StoreError> {
        self.database.read(|connection| read(connection, scope, filter))
    }

    fn trim(&self, before: Timestamp, last: Sequence, limit: usize) -> Result<usize, StoreError> {
        self.database.write(|connection| trim(connection, before, last, limit))
    }

    fn ping(&self) -> Result<(), StoreError> {
        // To begin to write tells whether the file can be written, and leaves no trace.
        self.database.write(|_| Ok(()))
    }

    fn pools(&self) -> Vec<PoolState> {
        self.database.pools()
    }
}

impl SqliteEventLog {
    fn append_one(
        &self,
        connection: &mut SqliteConnection,
        entry: &LogEntry,
        logged_at: &str,
    ) -> Result<(), StoreError> {
        let event = &entry.event;
        let sequence = stored_sequence(event.sequence);
        let event_id = event.event_id.to_string();
        let rows = diesel::insert_into(event_log::table)
            .values((
                event_log::sequence.eq(sequence),
                event_log::event_id.eq(&event_id),
                event_log::event_type.eq(event.event_type.as_str()),
                event_log::schema_version.eq(i64::from(event.schema_version)),
                event_log::job_id.eq(event.job_id.to_string()),
                event_log::region.eq(event.region.as_str()),
                event_log::payload.eq(&*event.payload),
                event_log::published_to.eq(to_json(&event.groups)?),
                event_log::actor_id.eq(&event.actor_id),
                event_log::correlation_id.eq(&event.correlation_id),
                event_log::occurred_at.eq(event.occurred_at.to_string()),
                event_log::published_at.eq(entry.published_at.map(|time| time.to_string())),
                event_log::logged_at.eq(logged_at),
                event_log::node_id.eq(&self.node_id),
                event_log::traceparent.eq(event.trace.map(|trace| trace.to_string())),
            ))
            .on_conflict(event_log::sequence)
            .do_nothing()
            .execute(connection)?;
        if rows == 0 {
            return same_event(connection, sequence, &event_id);
        }
        for group in &event.groups {
            diesel::insert_into(event_log_groups::table)
                .values((
                    event_log_groups::group_name.eq(group),
                    event_log_groups::sequence.eq(sequence),
                ))
                .on_conflict_do_nothing()
                .execute(connection)?;
        }
        Ok(())
    }
}

/// An event may come again, but its place in the log cannot be another one's: that
/// would be the log of another server, or of jobs that were lost, and to leave it as it
/// is would lose the event.
fn same_event(
    connection: &mut SqliteConnection,
    sequence: i64,
    event_id: &str,
) -> Result<(), StoreError> {
    let logged: String =
        event_log::table.find(sequence).select(event_log::event_id).get_result(connection)?;
    if logged == event_id {
        Ok(())
    } else {
        Err(StoreError::Corrupt(format!(
            "the log holds event {logged} at sequence {sequence}, not event {event_id}"
        )))
    }
}

/// By the primary key, since the rows have no index by sequence.
const TRIM_GROUPS: &str = "
    DELETE FROM event_log_groups
    WHERE (group_name, sequence) IN (
        SELECT announced.value, event.sequence
        FROM event_log AS event, json_each(CASE WHEN json_valid(event.published_to)
                                               THEN event.published_to ELSE '[]' END) AS announced
        WHERE event.sequence <= ?)";

fn trim(
    connection: &mut SqliteConnection,
    before: Timestamp,
    last: Sequence,
    limit: usize,
) -> Result<usize, StoreError> {
    let first: Vec<(i64, String)> = event_log::table
        .filter(event_log::sequence.le(stored_sequence(last)))
        .order(event_log::sequence)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((event_log::sequence, event_log::logged_at))
        .load(connection)?;
    let before = before.to_string();
    let outlived = first.iter().take_while(|(_, logged_at)| *logged_at < before);
    let Some((cut, _)) = outlived.last() else {
        return Ok(0);
    };
    sql_query(TRIM_GROUPS).bind::<BigInt, _>(cut).execute(connection)?;
    Ok(diesel::delete(event_log::table.filter(event_log::sequence.le(cut))).execute(connection)?)
}

/// The columns of an [`EventRow`].
macro_rules! select_events {
    () => {
        "SELECT event.sequence, event.event_id, event.event_type, event.schema_version,
                event.job_id, event.region, event.payload, event.published_to,
                event.actor_id, event.correlation_id, event.occurred_at, event.traceparent "
    };
}

/// What every reading is limited by; each part that is null or true limits nothing.
/// The plus keeps SQLite from walking an index by region, which would put all its
/// events in order for each page.
macro_rules! limited {
    () => {
        "AND (?3 IS NULL OR event.event_type = ?3)
         AND (?4 IS NULL OR +event.job_id = ?4)
         AND (?5 OR +event.region IN (SELECT value FROM json_each(?6))
              OR EXISTS (SELECT 1 FROM event_log_groups AS own
                         WHERE own.group_name = ?7 AND own.sequence = event.sequence)) "
    };
}

const BY_SEQUENCE: &str = concat!(
    select_events!(),
    "FROM event_log AS event
     WHERE ?1 IS NULL AND event.sequence > ?2 AND event.sequence <= ?9 ",
    limited!(),
    "ORDER BY event.sequence LIMIT ?8"
);

const BY_GROUP: &str = concat!(
    select_events!(),
    "FROM event_log_groups AS announced
     CROSS JOIN event_log AS event ON event.sequence = announced.sequence
     WHERE announced.group_name = ?1 AND announced.sequence > ?2
       AND announced.sequence <= ?9 ",
    limited!(),
    "ORDER BY announced.sequence LIMIT ?8"
);

const BY_JOB: &str = concat!(
    select_events!(),
    "FROM event_log AS event
     WHERE event.job_id = ?1 AND event.sequence > ?2 AND event.sequence <= ?9 ",
    limited!(),
    "ORDER BY event.sequence LIMIT ?8"
);

const BY_REGION: &str = concat!(
    select_events!(),
    "FROM event_log AS event
     WHERE event.region = ?1 AND event.sequence > ?2 AND event.sequence <= ?9 ",
    limited!(),
    "ORDER BY event.sequence LIMIT ?8"
);

fn read(
    connection: &mut SqliteConnection,
    scope: &Scope,
    filter: &EventFilter,
) -> Result<Vec<CommittedEvent>, StoreError> {
    let (sees_all, regions, own_group): (bool, &[Region], Option<String>) = match scope {
        Scope::All => (true, &[], None),
        Scope::Only { regions, contractor_id } => {
            (false, regions, contractor_id.map(contractor_group))
        }
    };
    let job_id = filter.job_id.map(|id| id.to_string());
    // The narrowest index that holds the events in their order.
    let (statement, key) = match (&job_id, &filter.group, sees_all, regions, &own_group) {
        (Some(job_id), ..) => (BY_JOB, Some(job_id.as_str())),
        (None, Some(group), ..) => (BY_GROUP, Some(group.as_str())),
        (None, None, false, [], Some(group)) => (BY_GROUP, Some(group.as_str())),
        (None, None, false, [region], None) => (BY_REGION, Some(region.as_str())),
        (None, None, ..) => (BY_SEQUENCE, None),
    };
    let rows: Vec<EventRow> = sql_query(statement)
        .bind::<Nullable<Text>, _>(key)
        .bind::<BigInt, _>(stored_sequence(filter.after))
        .bind::<Nullable<Text>, _>(filter.event_type.map(|event_type| event_type.as_str()))
        .bind::<Nullable<Text>, _>(job_id.as_deref())
        .bind::<Bool, _>(sees_all)
        .bind::<Text, _>(to_json(&regions)?)
        .bind::<Nullable<Text>, _>(own_group.as_deref())
        .bind::<BigInt, _>(i64::try_from(filter.limit).unwrap_or(i64::MAX))
        .bind::<BigInt, _>(filter.until.map_or(i64::MAX, stored_sequence))
        .load(connection)?;
    rows.into_iter().map(EventRow::event).collect()
}
