//! The jobs' database.

use diesel::dsl::min;
use diesel::prelude::*;
use uuid::Uuid;

use super::commit::Transaction;
use super::connection::Database;
use super::leader::Leader;
use super::lists;
use super::rows::{self, EventRow};
use super::schema::{event_sequence, outbox};
use super::statements::{ClearOutbox, PurgeKeys};
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

/// How often a batch is decided anew because another node was in its way. It loads what
/// that one left behind, so once is usual.
const TRIES_MAX: usize = 5;

/// Jobs, contractors, idempotency keys and the outbox, in one database.
pub(super) struct PostgresJobStore {
    pub(super) database: Database,
    pub(super) leader: Leader,
}

impl JobStore for PostgresJobStore {
    fn commit_if(
        &self,
        requests: &[CommandRequest],
        now: Timestamp,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Committed, StoreError> {
        let mut tries = 1;
        loop {
            let outcome = self.database.write_if(is_wanted, |connection| {
                let mut transaction = Transaction { connection, id: None };
                let committed = commit_batch(&mut transaction, requests, now)?;
                Ok((committed, transaction.id))
            });
            match outcome {
                Err(StoreError::Contended(text)) if tries < TRIES_MAX => {
                    log::debug!(reason = text; "a batch is decided again");
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
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
        self.database.read(|connection| {
            let rows: Vec<EventRow> = outbox::table
                .filter(outbox::sequence.gt(stored_sequence(after)))
                .order(outbox::sequence)
                .limit(i64::try_from(limit).unwrap_or(i64::MAX))
                .select(event_columns!(outbox))
                .load(connection)?;
            rows.into_iter().map(EventRow::event).collect()
        })
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
            let first: Option<chrono::DateTime<chrono::Utc>> =
                first.first(connection).optional()?;
            first.map(|time| rows::time("outbox.occurred_at", time)).transpose()
        })
    }

    fn clear_outbox(&self, last: Sequence) -> Result<(), StoreError> {
        self.database.write(|connection| {
            ClearOutbox { first: 1, last: stored_sequence(last) }.execute(connection)?;
            Ok(())
        })
    }

    fn purge_idempotency_keys(&self, before: Timestamp) -> Result<usize, StoreError> {
        let limit = stored_limit(PURGED_KEYS_MAX);
        self.database.write(|connection| {
            Ok(PurgeKeys { before: before.to_utc(), limit }.execute(connection)?)
        })
    }

    fn database_id(&self) -> Result<Option<Uuid>, StoreError> {
        self.database.read(|connection| {
            let id = event_sequence::table.select(event_sequence::database_id);
            Ok(Some(id.get_result(connection)?))
        })
    }

    fn leads_logging(&self) -> Result<bool, StoreError> {
        self.leader.leads()
    }

    fn ping(&self) -> Result<(), StoreError> {
        self.database.ping()
    }

    fn pools(&self) -> Vec<PoolState> {
        self.database.pools()
    }
}

pub(super) fn last_sequence(connection: &mut PgConnection) -> Result<Sequence, StoreError> {
    let last: i64 = event_sequence::table.select(event_sequence::last).get_result(connection)?;
    number("event_sequence.last", last)
}
