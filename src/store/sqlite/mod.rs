//! SQLite: one file, or two with a log of its own.
//!
//! Each file has one connection that writes, behind a [`gate`], and some that read
//! ([`connection`]). A batch of commands is in [`commit`]; what is read, in a module
//! per subject; what the tables are, in [`schema`] and the migrations.

mod checkpoint;
mod commit;
mod connection;
mod contractors;
mod error;
mod event_log;
mod gate;
mod job_store;
mod jobs;
mod migrations;
mod records;
mod rows;
mod schema;
mod statements;
mod url;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use r2d2::ManageConnection;

use self::connection::{Database, Durability, FileIdentity, FileManager, Preparation};
use self::event_log::SqliteEventLog;
use self::gate::Gate;
use self::job_store::SqliteJobStore;
use self::migrations::Contents;
use super::{Store, StoreConfig, StoreError};

/// See [`super::open`].
pub(super) fn open(config: &StoreConfig) -> Result<Store, StoreError> {
    let Files { jobs, log } = Files::of(config)?;
    let contents = if log.is_none() { Contents::JobsAndEventLog } else { Contents::Jobs };
    let preparation = Preparation { contents, migrate: config.migrate };
    // The pools would hide what is wrong for half a second, and then say less.
    FileManager::preparing(&jobs, preparation)?.connect()?;
    let gate = Arc::new(Gate::default());
    let database = Database::new(FileManager::existing(&jobs)?, Arc::clone(&gate));
    database.await_connections()?;
    checkpoint::start(FileManager::existing(&jobs)?, &gate);
    let log_database = match &log {
        // Pools of its own also in the same file: whatever keeps the log's connections
        // busy takes none from the commands. The gate is one, as the file has one writer.
        // An event leaves the outbox in the transaction that logs it, so a loss of power
        // that takes one takes both, and the event is logged again.
        None => {
            Database::new(FileManager::existing(&jobs)?.with_durability(Durability::Ordered), gate)
        }
        Some(path) => open_log(path, config.migrate)?,
    };
    Ok(store(config, database, log_database, log.is_none()))
}

/// See [`super::open_read_only`].
pub(super) fn open_read_only(config: &StoreConfig) -> Result<Store, StoreError> {
    let Files { jobs, log } = Files::of(config)?;
    let open = |path: &Path, contents| {
        let preparation = Preparation { contents, migrate: false };
        let file = FileManager::preparing(path, preparation)?.read_only();
        file.connect()?;
        let database = Database::new(file, Arc::default());
        database.await_connections()?;
        Ok::<_, StoreError>(database)
    };
    let contents = if log.is_none() { Contents::JobsAndEventLog } else { Contents::Jobs };
    let database = open(&jobs, contents)?;
    let log_database = match &log {
        None => database.clone(),
        Some(path) => open(path, Contents::EventLog)?,
    };
    Ok(store(config, database, log_database, log.is_none()))
}

fn store(config: &StoreConfig, jobs: Database, log: Database, log_shares_database: bool) -> Store {
    let log = SqliteEventLog {
        database: log,
        node_id: config.node_id.clone(),
        shares_database: log_shares_database,
    };
    Store {
        jobs: Arc::new(SqliteJobStore { database: jobs }),
        log: Arc::new(log),
        log_shares_database,
    }
}

/// A log of its own may be missing for now: every new connection to it looks again.
fn open_log(path: &Path, migrate: bool) -> Result<Database, StoreError> {
    let preparation = Preparation { contents: Contents::EventLog, migrate };
    let manager = FileManager::preparing(path, preparation)?;
    if let Err(error) = manager.connect() {
        log::warn!("the event log cannot be used yet: {error}");
    }
    let gate = Arc::new(Gate::default());
    checkpoint::start(manager.clone(), &gate);
    Ok(Database::new(manager, gate))
}

/// See [`super::pending_migrations`].
pub(super) fn pending_migrations(config: &StoreConfig) -> Result<Vec<String>, StoreError> {
    let Files { jobs, log } = Files::of(config)?;
    match log {
        None => pending_of(&jobs, Contents::JobsAndEventLog),
        Some(log) => {
            let mut pending = pending_of(&jobs, Contents::Jobs)?;
            pending.extend(pending_of(&log, Contents::EventLog)?);
            Ok(pending)
        }
    }
}

/// A file that is not there lacks them all, and is not made.
fn pending_of(path: &Path, contents: Contents) -> Result<Vec<String>, StoreError> {
    if !path.exists() {
        return migrations::all(contents);
    }
    FileManager::existing(path)?.connect()?.pending_migrations(contents)
}

/// The files that the URLs name.
struct Files {
    jobs: PathBuf,
    /// None if the log shares the jobs' file.
    log: Option<PathBuf>,
}

impl Files {
    fn of(config: &StoreConfig) -> Result<Self, StoreError> {
        let jobs = url::path(&config.database_url)?;
        let log = config.event_log_database_url.as_deref().map(url::path).transpose()?;
        let log = log.filter(|log| !is_same_file(&jobs, log));
        Ok(Self { jobs, log })
    }
}

/// Whether two paths lead to one file, also where it is yet to be made.
fn is_same_file(one: &Path, other: &Path) -> bool {
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
