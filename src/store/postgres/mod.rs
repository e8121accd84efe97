//! PostgreSQL: one database that several nodes may share, or two with a log of its own.
//!
//! What differs from SQLite is here. Transactions of several nodes run side by side, so a
//! batch locks what it decides on, in a fixed order: jobs, then contractors, each by id,
//! then the row of sequences ([`commit`]). Statements are set-based, since each one is a
//! round trip. The server may be away, now or later, and comes back by itself
//! ([`connection`]). One of the nodes writes the log ([`leader`]).

mod commit;
mod connection;
mod event_log;
mod job_store;
mod leader;
mod lists;
mod migrations;
mod parameters;
mod records;
mod rows;
mod schema;
mod statements;

use std::sync::Arc;

use self::connection::{Connector, Database, Purpose};
use self::event_log::PostgresEventLog;
use self::job_store::PostgresJobStore;
use self::leader::Leader;
use super::migrations::Contents;
use super::{EventLog, JobStore, JobsAndLog, StoreError};

/// Jobs and log in one database.
pub(super) fn open_both(url: &str, node_id: &str, migrate: bool) -> Result<JobsAndLog, StoreError> {
    let connector = Connector::new(url, Contents::JobsAndEventLog, migrate);
    let jobs = job_store(&connector)?;
    let database = Database::new(&connector, Purpose::Log);
    let node_id = node_id.to_owned();
    let log = PostgresEventLog { database, node_id, shares_database: true };
    Ok((jobs, Arc::new(log)))
}

/// The jobs' database, with the log elsewhere.
pub(super) fn open_jobs(url: &str, migrate: bool) -> Result<Arc<dyn JobStore>, StoreError> {
    job_store(&Connector::new(url, Contents::Jobs, migrate))
}

/// The log's database, with the jobs elsewhere.
pub(super) fn open_log(
    url: &str,
    node_id: &str,
    migrate: bool,
) -> Result<Arc<dyn EventLog>, StoreError> {
    let connector = Connector::new(url, Contents::EventLog, migrate);
    if let Err(error) = connector.try_once() {
        log::warn!(error:%; "the event log cannot be used yet");
    }
    let database = Database::new(&connector, Purpose::Log);
    let node_id = node_id.to_owned();
    Ok(Arc::new(PostgresEventLog { database, node_id, shares_database: false }))
}

/// Jobs and log in one database, to be read as they are.
pub(super) fn read_both(url: &str) -> Result<JobsAndLog, StoreError> {
    let connector = Connector::reading(url, Contents::JobsAndEventLog)?;
    Ok((jobs_to_read(&connector), log_to_read(&connector, true)))
}

/// The jobs' database, to be read as it is.
pub(super) fn read_jobs(url: &str) -> Result<Arc<dyn JobStore>, StoreError> {
    Ok(jobs_to_read(&Connector::reading(url, Contents::Jobs)?))
}

/// The log's database, to be read as it is.
pub(super) fn read_log(url: &str) -> Result<Arc<dyn EventLog>, StoreError> {
    Ok(log_to_read(&Connector::reading(url, Contents::EventLog)?, false))
}

fn jobs_to_read(connector: &Connector) -> Arc<dyn JobStore> {
    let database = Database::new(connector, Purpose::Reading);
    Arc::new(PostgresJobStore { database, leader: Leader::new(connector.clone()) })
}

fn log_to_read(connector: &Connector, shares_database: bool) -> Arc<dyn EventLog> {
    let database = Database::new(connector, Purpose::Reading);
    Arc::new(PostgresEventLog { database, node_id: String::new(), shares_database })
}

fn job_store(connector: &Connector) -> Result<Arc<dyn JobStore>, StoreError> {
    let database = Database::new(connector, Purpose::Jobs);
    match connector.try_once() {
        Ok(()) => database.await_connections(),
        // The server is reached and wrong, which no waiting mends.
        Err(error @ (StoreError::Corrupt(_) | StoreError::NotMigrated(_))) => return Err(error),
        Err(error) => log::error!(error:%; "the jobs' database cannot be used yet"),
    }
    let leader = Leader::new(connector.clone());
    Ok(Arc::new(PostgresJobStore { database, leader }))
}

/// This build has it.
pub(super) fn check_built() -> Result<(), StoreError> {
    Ok(())
}

/// The migrations that the database lacks, by name.
pub(super) fn pending_migrations(url: &str, contents: Contents) -> Result<Vec<String>, StoreError> {
    Connector::new(url, contents, false).pending_migrations()
}
