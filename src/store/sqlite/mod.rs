//! SQLite: one file, or two with a log of its own.
//!
//! Each file has one connection that writes, behind a [`gate`], and some that read
//! ([`connection`]). A batch of commands is in [`commit`]; what is read, in a module
//! per subject; what the tables are, in [`schema`] and the migrations.

mod backup;
mod checkpoint;
mod commit;
mod connection;
mod event_log;
mod gate;
mod job_store;
mod lists;
mod migrations;
mod records;
mod rows;
mod schema;
mod statements;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use r2d2::ManageConnection;

pub(super) use self::backup::{copy, cut_log_behind_jobs};
use self::connection::{Database, Durability, FileIdentity, FileManager, Preparation};
use self::event_log::SqliteEventLog;
use self::gate::Gate;
use self::job_store::SqliteJobStore;
use super::migrations::Contents;
use super::pool::PoolNames;
use super::{EventLog, JobStore, JobsAndLog, StoreError};

/// Jobs and log in one file.
pub(super) fn open_both(
    path: &Path,
    node_id: &str,
    migrate: bool,
) -> Result<JobsAndLog, StoreError> {
    let (jobs, gate) =
        open_file(path, Preparation { contents: Contents::JobsAndEventLog, migrate })?;
    // Pools of its own: whatever keeps the log's connections busy takes none from the
    // commands. The gate is one, as the file has one writer. An event leaves the outbox
    // in the transaction that logs it, so a loss of power that takes one takes both, and
    // the event is logged again.
    let manager = FileManager::existing(path)?.with_durability(Durability::Ordered);
    let database = Database::new(manager, gate, PoolNames::EVENT_LOG);
    let node_id = node_id.to_owned();
    let log = SqliteEventLog { database, node_id, shares_database: true };
    Ok((Arc::new(SqliteJobStore { database: jobs }), Arc::new(log)))
}

/// The jobs' file, with the log elsewhere.
pub(super) fn open_jobs(path: &Path, migrate: bool) -> Result<Arc<dyn JobStore>, StoreError> {
    let (database, _) = open_file(path, Preparation { contents: Contents::Jobs, migrate })?;
    Ok(Arc::new(SqliteJobStore { database }))
}

/// The log's file, with the jobs elsewhere. It may be missing for now: every new
/// connection to it looks again.
pub(super) fn open_log(
    path: &Path,
    node_id: &str,
    migrate: bool,
) -> Result<Arc<dyn EventLog>, StoreError> {
    let preparation = Preparation { contents: Contents::EventLog, migrate };
    let manager = FileManager::preparing(path, preparation)?;
    if let Err(error) = manager.connect() {
        log::warn!(error:%; "the event log cannot be used yet");
    }
    let gate = Arc::new(Gate::default());
    checkpoint::start(manager.clone(), &gate);
    let (database, node_id) =
        (Database::new(manager, gate, PoolNames::EVENT_LOG), node_id.to_owned());
    Ok(Arc::new(SqliteEventLog { database, node_id, shares_database: false }))
}

/// Jobs and log in one file, to be read as they are.
pub(super) fn read_both(path: &Path) -> Result<JobsAndLog, StoreError> {
    let database = read_file(path, Contents::JobsAndEventLog)?;
    let log = SqliteEventLog {
        database: database.clone(),
        node_id: String::new(),
        shares_database: true,
    };
    Ok((Arc::new(SqliteJobStore { database }), Arc::new(log)))
}

/// The jobs' file, to be read as it is.
pub(super) fn read_jobs(path: &Path) -> Result<Arc<dyn JobStore>, StoreError> {
    Ok(Arc::new(SqliteJobStore { database: read_file(path, Contents::Jobs)? }))
}

/// The log's file, to be read as it is.
pub(super) fn read_log(path: &Path) -> Result<Arc<dyn EventLog>, StoreError> {
    let database = read_file(path, Contents::EventLog)?;
    Ok(Arc::new(SqliteEventLog { database, node_id: String::new(), shares_database: false }))
}

fn read_file(path: &Path, contents: Contents) -> Result<Database, StoreError> {
    let preparation = Preparation { contents, migrate: false };
    let file = FileManager::preparing(path, preparation)?.read_only();
    file.connect()?;
    let database = Database::new(file, Arc::default(), PoolNames::JOBS);
    database.await_connections()?;
    Ok(database)
}

/// A file that has to be in order, or is made so now.
fn open_file(path: &Path, preparation: Preparation) -> Result<(Database, Arc<Gate>), StoreError> {
    // The pools would hide what is wrong for half a second, and then say less.
    FileManager::preparing(path, preparation)?.connect()?;
    let gate = Arc::new(Gate::default());
    let database = Database::new(FileManager::existing(path)?, Arc::clone(&gate), PoolNames::JOBS);
    database.await_connections()?;
    checkpoint::start(FileManager::existing(path)?, &gate);
    Ok((database, gate))
}

/// The migrations that a file lacks, by name. One that is not there lacks them all, and
/// is not made.
pub(super) fn pending_migrations(
    path: &Path,
    contents: Contents,
) -> Result<Vec<String>, StoreError> {
    if !path.exists() {
        return migrations::all(contents);
    }
    FileManager::existing(path)?.connect()?.pending_migrations(contents)
}

/// Whether two paths lead to one file, also where it is yet to be made.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    match (FileIdentity::of(one), FileIdentity::of(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), Err(_)) => match (full_path(one), full_path(other)) {
            (Some(one), Some(other)) => one == other,
            _ => one == other,
        },
        _ => false,
    }
}

/// The path of a file in an existing folder, without detours.
fn full_path(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
    Some(folder.join(path.file_name()?))
}
