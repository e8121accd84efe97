//! The jobs' database.

use diesel::SqliteConnection;
use diesel::dsl::min;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use uuid::Uuid;

use super::commit::Transaction;
use super::connection::Database;
use super::lists;
use super::rows::{self, EventRow};
use super::schema::{event_sequence, outbox};
use crate::jobs::{
    CommandRequest, CommittedEvent, Contractor, ContractorId, Job, JobId, Scope, Sequence,
    Timestamp,
};
use crate::store::columns::event_columns;
use crate::store::values::{number, stored_limit, stored_sequence};
use crate::store::{
    Committed, ContractorFilter, JobFilter, JobStore, PURGED_KEYS_MAX, Page, PoolState, StoreError,
    commit_batch,
};

/// Jobs, contractors, idempotency keys and the outbox, in one file.
pub(super) struct SqliteJobStore {
    pub(super) database: Database,
}

impl JobStore for SqliteJobStore {
    fn commit_if(
        &self,
        requests: &[CommandRequest],
        now: Timestamp,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Committed, StoreError> {
        self.database.write(|connection| {
            let committed = commit_batch(&mut Transaction(connection), requests, now)?;
            if is_wanted() { Ok(committed) } else { Err(StoreError::late()) }
        })
    }

    fn job(&self, scope: &Scope, id: JobId) -> Result<(Option<Job>, Sequence), StoreError> {
        self.database
            .read(|connection| Ok((lists::job(connection, scope, id)?, last_sequence(connection)?)))
    }

    fn jobs(&self, scope: &Scope, filter: &JobFilter) -> Result<Page<Job>, StoreError> {
        self.database.read(|connection| {
            let (items, next) = lists::jobs(connection, scope, filter)?;
            Ok(Page { items, next, sequence: last_sequence(connection)? })
        })
    }

    fn contractor(&self, id: ContractorId) -> Result<Option<Contractor>, StoreError> {
        self.database.read(|connection| lists::contractor(connection, id))
    }

    fn contractors(
        &self,
        scope: &Scope,
        filter: &ContractorFilter,
    ) -> Result<Page<Contractor>, StoreError> {
        self.database.read(|connection| {
            let (items, next) = lists::contractors(connection, scope, filter)?;
            Ok(Page { items, next, sequence: last_sequence(connection)? })
        })
    }

    fn last_sequence(&self) -> Result<Sequence, StoreError> {
        self.database.read(last_sequence)
    }

    fn outbox_after(
        &self,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<CommittedEvent>, StoreError> {
        self.database.read(|connection| outbox_after(connection, after, limit))
    }

    fn outbox_start(&self) -> Result<(Option<Sequence>, Sequence), StoreError> {
        self.database.read(|connection| {
            let first: Option<i64> =
                outbox::table.select(min(outbox::sequence)).get_result(connection)?;
            let first = first.map(|first| number("outbox.sequence", first)).transpose()?;
            Ok((first, last_sequence(connection)?))
        })
    }

    fn oldest_unlogged(&self) -> Result<Option<Timestamp>, StoreError> {
        self.database.read(|connection| {
            let first = outbox::table.order(outbox::sequence).select(outbox::occurred_at);
            let first: Option<String> = first.first(connection).optional()?;
            first.map(|time| rows::time("outbox.occurred_at", &time)).transpose()
        })
    }

    fn clear_outbox(&self, last: Sequence) -> Result<(), StoreError> {
        self.database.write(|connection| {
            let logged = outbox::table.filter(outbox::sequence.le(stored_sequence(last)));
            diesel::delete(logged).execute(connection)?;
            Ok(())
        })
    }

    fn purge_idempotency_keys(&self, before: Timestamp) -> Result<usize, StoreError> {
        const PURGE: &str = "DELETE FROM idempotency_keys WHERE (subject, key) IN (
            SELECT subject, key FROM idempotency_keys WHERE created_at < ?
            ORDER BY created_at LIMIT ?)";
        self.database.write(|connection| {
            Ok(sql_query(PURGE)
                .bind::<Text, _>(before.to_string())
                .bind::<BigInt, _>(stored_limit(PURGED_KEYS_MAX))
                .execute(connection)?)
        })
    }

    fn database_id(&self) -> Result<Option<Uuid>, StoreError> {
        Ok(None)
    }

    fn leads_logging(&self) -> Result<bool, StoreError> {
        // A file has one server.
        Ok(true)
    }

    fn ping(&self) -> Result<(), StoreError> {
        self.last_sequence().map(|_| ())
    }

    fn pools(&self) -> Vec<PoolState> {
        self.database.pools()
    }
}

/// The last sequence that was taken.
pub(super) fn last_sequence(connection: &mut SqliteConnection) -> Result<Sequence, StoreError> {
    let last: i64 = event_sequence::table.select(event_sequence::last).get_result(connection)?;
    number("event_sequence.last", last)
}

fn outbox_after(
    connection: &mut SqliteConnection,
    after: Sequence,
    limit: usize,
) -> Result<Vec<CommittedEvent>, StoreError> {
    let rows: Vec<EventRow> = outbox::table
        .filter(outbox::sequence.gt(stored_sequence(after)))
        .order(outbox::sequence)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select(event_columns!(outbox))
        .load(connection)?;
    rows.into_iter().map(EventRow::event).collect()
}
