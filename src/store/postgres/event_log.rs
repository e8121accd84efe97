//! The event log, in the jobs' database or in one of its own.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Nullable, Text};
use uuid::Uuid;

use super::connection::Database;
use super::rows::EventRow;
use super::schema::{event_log, event_log_groups};
use super::statements::{ClearOutbox, Displaced, EventsOfGroup, InsertLog, TrimGroups};
use crate::jobs::{CommittedEvent, Region, Scope, Sequence, Timestamp, contractor_group};
use crate::store::columns::event_columns;
use crate::store::values::{stored_limit, stored_sequence, to_json};
use crate::store::{EventFilter, EventLog, LogEntry, PoolState, StoreError};

/// The log of all events, in one database.
pub(super) struct PostgresEventLog {
    pub(super) database: Database,
    /// Who writes, as the rows say.
    pub(super) node_id: String,
    /// Whether the outbox is in the same database.
    pub(super) shares_database: bool,
}

impl EventLog for PostgresEventLog {
    fn append(&self, entries: &[LogEntry], clear_outbox: bool) -> Result<(), StoreError> {
        let insert = self.insert(entries)?;
        let sequences = insert.sequences.iter().copied();
        let (Some(first), Some(last)) = (sequences.clone().min(), sequences.max()) else {
            return Ok(());
        };
        self.database.write(|connection| {
            let logged: i64 = (&insert).get_result(connection)?;
            if usize::try_from(logged) != Ok(entries.len()) {
                refuse_displaced(connection, &insert)?;
            }
            if clear_outbox && self.shares_database {
                // They have no gap.
                ClearOutbox { first, last }.execute(connection)?;
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
        self.database.ping()
    }

    fn pools(&self) -> Vec<PoolState> {
        self.database.pools()
    }
}

impl PostgresEventLog {
    fn insert(&self, entries: &[LogEntry]) -> Result<InsertLog, StoreError> {
        let all = entries.iter().map(|entry| &entry.event);
        let published = entries.iter().map(|entry| entry.published_at.map(Timestamp::to_utc));
        Ok(InsertLog {
            logged_at: Timestamp::now().to_utc(),
            node_id: self.node_id.clone(),
            sequences: all.clone().map(|event| stored_sequence(event.sequence)).collect(),
            event_ids: all.clone().map(|event| event.event_id.0).collect(),
            event_types: all.clone().map(|event| event.event_type.as_str()).collect(),
            schema_versions: all.clone().map(|event| i64::from(event.schema_version)).collect(),
            job_ids: all.clone().map(|event| event.job_id.0).collect(),
            regions: all.clone().map(|event| event.region.to_string()).collect(),
            payloads: all.clone().map(|event| event.payload.to_string()).collect(),
            groups: all.clone().map(|event| to_json(&event.groups)).collect::<Result<_, _>>()?,
            actor_ids: all.clone().map(|event| event.actor_id.clone()).collect(),
            correlation_ids: all.clone().map(|event| event.correlation_id.clone()).collect(),
            occurred: all.map(|event| event.occurred_at.to_utc()).collect(),
            published: published.collect(),
            traces: entries
                .iter()
                .map(|entry| entry.event.trace.map(|it| it.to_string()))
                .collect(),
        })
    }
}

fn trim(
    connection: &mut PgConnection,
    before: Timestamp,
    last: Sequence,
    limit: usize,
) -> Result<usize, StoreError> {
    let first: Vec<(i64, DateTime<Utc>)> = event_log::table
        .filter(event_log::sequence.le(stored_sequence(last)))
        .order(event_log::sequence)
        .limit(stored_limit(limit))
        .select((event_log::sequence, event_log::logged_at))
        .load(connection)?;
    let outlived = first.iter().take_while(|(_, logged_at)| *logged_at < before.to_utc());
    let Some((cut, _)) = outlived.last() else {
        return Ok(0);
    };
    TrimGroups { cut: *cut }.execute(connection)?;
    Ok(diesel::delete(event_log::table.filter(event_log::sequence.le(cut))).execute(connection)?)
}

/// An event may come again, but its place in the log cannot be another one's: that
/// would be the log of another server, or of jobs that were lost, and to leave it as it
/// is would lose the event.
fn refuse_displaced(connection: &mut PgConnection, insert: &InsertLog) -> Result<(), StoreError> {
    let (sequences, event_ids) = (insert.sequences.clone(), insert.event_ids.clone());
    let displaced: Option<(i64, Uuid, Uuid)> =
        Displaced { sequences, event_ids }.get_result(connection).optional()?;
    match displaced {
        None => Ok(()),
        Some((sequence, logged, event_id)) => Err(StoreError::Corrupt(format!(
            "the log holds event {logged} at sequence {sequence}, not event {event_id}"
        ))),
    }
}

/// What a reading is limited by, whichever index it walks.
macro_rules! limited {
    ($query:expr, $order:expr, $scope:expr, $filter:expr) => {{
        let limit = stored_limit($filter.limit);
        let mut query = $query.order($order).limit(limit).select(event_columns!(event_log));
        if let Some(event_type) = $filter.event_type {
            query = query.filter(event_log::event_type.eq(event_type.as_str()));
        }
        if let Some(job_id) = $filter.job_id {
            query = query.filter(event_log::job_id.eq(job_id.0));
        }
        if let Scope::Only { regions, contractor_id } = $scope {
            let regions: Vec<&str> = regions.iter().map(Region::as_str).collect();
            let is_seen = sql::<Bool>("(event_log.region = ANY(")
                .bind::<Array<Text>, _>(regions)
                .sql(
                    ") OR EXISTS (SELECT 1 FROM event_log_groups AS own
                       WHERE own.sequence = event_log.sequence AND own.group_name = ",
                )
                .bind::<Nullable<Text>, _>(contractor_id.map(contractor_group))
                .sql("))");
            query = query.filter(is_seen);
        }
        query
    }};
}

fn read(
    connection: &mut PgConnection,
    scope: &Scope,
    filter: &EventFilter,
) -> Result<Vec<CommittedEvent>, StoreError> {
    let own_group = match scope {
        Scope::Only { regions, contractor_id: Some(own) } if regions.is_empty() => {
            Some(contractor_group(*own))
        }
        Scope::Only { .. } | Scope::All => None,
    };
    let after = stored_sequence(filter.after);
    let until = filter.until.map_or(i64::MAX, stored_sequence);
    let rows: Vec<EventRow> = match filter.group.as_ref().or(own_group.as_ref()) {
        // No group has such a name, and no text in the database.
        Some(group) if group.contains('\0') => Vec::new(),
        Some(group) if is_all_of_group(scope, filter) => {
            let (group, limit) = (group.clone(), stored_limit(filter.limit));
            EventsOfGroup { group, after, until, limit }.load(connection)?
        }
        Some(group) => {
            let announced = event_log_groups::table
                .inner_join(event_log::table.on(event_log::sequence.eq(event_log_groups::sequence)))
                .filter(event_log_groups::group_name.eq(group))
                .filter(event_log_groups::sequence.gt(after))
                .filter(event_log_groups::sequence.le(until))
                .filter(event_log::sequence.gt(after))
                .filter(event_log::sequence.le(until))
                .into_boxed();
            limited!(announced, event_log_groups::sequence, scope, filter).load(connection)?
        }
        None => {
            let all = event_log::table
                .filter(event_log::sequence.gt(after))
                .filter(event_log::sequence.le(until))
                .into_boxed();
            limited!(all, event_log::sequence, scope, filter).load(connection)?
        }
    };
    rows.into_iter().map(EventRow::event).collect()
}

/// Whether the group is all that limits a reading.
fn is_all_of_group(scope: &Scope, filter: &EventFilter) -> bool {
    matches!(scope, Scope::All) && filter.event_type.is_none() && filter.job_id.is_none()
}
