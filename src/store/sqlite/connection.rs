//! Connections to a database file, and the transactions on them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::r2d2::R2D2Connection;
use diesel::sql_types::Text;
use diesel::{Connection, RunQueryDsl, SqliteConnection};
use r2d2::{ManageConnection, NopErrorHandler, Pool};

use super::gate::Gate;
use super::migrations;

use crate::store::migrations::Contents;
use crate::store::pool::{CountedPool, PoolNames, PoolState};
use crate::store::{StoreError, url};

/// How long a caller waits for a connection before it is told that there is none.
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(500);

/// How long opening waits for the first one.
const FIRST_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Lists run side by side; each holds a file handle and a page cache of 2 MB.
const READ_CONNECTIONS_MAX: u32 = 4;

/// For each connection. The busy timeout comes first, because it holds for the lines
/// after it; it is met by other processes only, since the gate orders our own writers.
/// The write-ahead log is copied back by a thread of its own (`checkpoint`); only if it
/// should reach 256 MB does the writer that fills it do so.
const CONNECTION_PRAGMAS: &str = "
    PRAGMA busy_timeout = 500;
    PRAGMA foreign_keys = ON;
    PRAGMA wal_autocheckpoint = 65536;
";

/// What a loss of power may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Nothing that was committed.
    Full,
    /// The last transactions of this connection, but never one without those after it:
    /// what is lost must be such that it is done again.
    Ordered,
}

impl Durability {
    fn pragma(self) -> &'static str {
        match self {
            Self::Full => "PRAGMA synchronous = FULL",
            Self::Ordered => "PRAGMA synchronous = NORMAL",
        }
    }
}

/// A database file: who may write to it next, one connection for that, and some to read.
#[derive(Clone)]
pub(super) struct Database {
    gate: Arc<Gate>,
    writes: CountedPool<FileManager>,
    reads: CountedPool<FileManager>,
}

impl Database {
    /// Needs no file yet: connections are made in the background, and again whenever
    /// one is asked for and none is there.
    pub(super) fn new(file: FileManager, gate: Arc<Gate>, names: PoolNames) -> Self {
        let pool = |connections_max: u32| {
            Pool::builder()
                .max_size(connections_max)
                .connection_timeout(CONNECTION_TIMEOUT)
                // A file's connections do not age, and a fresh one would have to prepare
                // its statements again.
                .max_lifetime(None)
                .idle_timeout(None)
                // Who waited for a connection gets the error, and handles it.
                .error_handler(Box::new(NopErrorHandler))
                .build_unchecked(file.clone())
        };
        Self {
            gate,
            writes: CountedPool::new(names.writes, pool(1)),
            reads: CountedPool::new(names.reads, pool(READ_CONNECTIONS_MAX)),
        }
    }

    /// Waits for the first connection of each kind. Pools make them in the background,
    /// which on a busy machine takes longer than a caller is to wait for one.
    pub(super) fn await_connections(&self) -> Result<(), StoreError> {
        for pool in [&self.writes, &self.reads] {
            pool.get_timeout(FIRST_CONNECTION_TIMEOUT)?;
        }
        Ok(())
    }

    /// One transaction that holds the right to write from its begin: it cannot fail
    /// half-way because another one wrote. An error rolls it back.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Dropped in the opposite order: the turn ends after the connection is given back.
        let (_turn, mut file) = {
            let _waits = self.writes.wait();
            (self.gate.enter(), self.writes.get()?)
        };
        let outcome = file.connection.immediate_transaction(work);
        file.note(outcome)
    }

    /// One transaction that reads: all its statements see the same snapshot.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut file = {
            let _waits = self.reads.wait();
            self.reads.get()?
        };
        let outcome = file.connection.transaction(work);
        file.note(outcome)
    }

    pub(super) fn pools(&self) -> Vec<PoolState> {
        vec![self.writes.counted_state(), self.reads.counted_state()]
    }
}

/// What must be so before a database is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preparation {
    /// The tables that it must have.
    pub(super) contents: Contents,
    /// Whether the file is made and migrated if need be; else it must be in order.
    pub(super) migrate: bool,
}

/// Makes connections to one file.
#[derive(Debug, Clone)]
pub(super) struct FileManager {
    path: Arc<PathBuf>,
    uri: Arc<str>,
    durability: Durability,
    is_read_only: bool,
    preparation: Option<Preparation>,
    /// Held while the file is prepared, so that two connections do not migrate at once.
    preparing: Arc<Mutex<()>>,
}

impl FileManager {
    /// For a file that is prepared by whoever connects first, and again if it is
    /// replaced: a database that may be missing for a while.
    pub(super) fn preparing(path: &Path, preparation: Preparation) -> Result<Self, StoreError> {
        let mode = if preparation.migrate { "rwc" } else { "rw" };
        Self::new(path, mode, Some(preparation))
    }

    /// For a file that is in order. It is never made anew: an empty one in its place
    /// would begin to count from 1 again.
    pub(super) fn existing(path: &Path) -> Result<Self, StoreError> {
        Self::new(path, "rw", None)
    }

    /// The same file with connections of another durability.
    pub(super) fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The same file with connections that write nothing to it.
    pub(super) fn read_only(self) -> Self {
        Self { is_read_only: true, ..self }
    }

    fn new(path: &Path, mode: &str, preparation: Option<Preparation>) -> Result<Self, StoreError> {
        Ok(Self {
            path: Arc::new(path.to_owned()),
            uri: url::sqlite_uri(path, mode)?.into(),
            durability: Durability::Full,
            is_read_only: false,
            preparation,
            preparing: Arc::default(),
        })
    }

    fn prepare(
        &self,
        connection: &mut SqliteConnection,
        preparation: Preparation,
    ) -> Result<(), StoreError> {
        let _alone = self.preparing.lock().unwrap_or_else(PoisonError::into_inner);
        // The mode stays with the file. Setting it needs the file for oneself, so it is
        // not set where it is so already.
        let mode: String = sql::<Text>("PRAGMA journal_mode").get_result(connection)?;
        if mode != "wal" && !self.is_read_only {
            connection.batch_execute("PRAGMA journal_mode = WAL")?;
        }
        let pending = migrations::pending(connection, preparation.contents)?;
        if pending.is_empty() {
            Ok(())
        } else if preparation.migrate {
            migrations::apply(connection, preparation.contents)
        } else {
            Err(self.unavailable(&format!("lacks the migrations {}", pending.join(", "))))
        }
    }

    fn unavailable(&self, complaint: &str) -> StoreError {
        StoreError::Unavailable(format!("database file '{}' {complaint}", self.path.display()))
    }
}

impl ManageConnection for FileManager {
    type Connection = OpenFile;
    type Error = StoreError;

    fn connect(&self) -> Result<OpenFile, StoreError> {
        let mut connection = SqliteConnection::establish(&self.uri)
            .map_err(|error| self.unavailable(&format!("cannot be opened: {error}")))?;
        connection.batch_execute(CONNECTION_PRAGMAS)?;
        connection.batch_execute(self.durability.pragma())?;
        if self.is_read_only {
            // Opened for reading alone, SQLite would leave the files of its write-ahead
            // log behind.
            connection.batch_execute("PRAGMA query_only = ON")?;
        }
        if let Some(preparation) = self.preparation {
            self.prepare(&mut connection, preparation)?;
        }
        let identity = FileIdentity::of(&self.path)
            .map_err(|error| self.unavailable(&format!("cannot be found: {error}")))?;
        Ok(OpenFile { connection, identity, is_suspect: false })
    }

    /// Whether the connection's file is still the one of that name. SQLite itself would
    /// go on writing to a file that was deleted, and lose it all when it is closed.
    fn is_valid(&self, file: &mut OpenFile) -> Result<(), StoreError> {
        match FileIdentity::of(&self.path) {
            Ok(identity) if identity == file.identity => Ok(()),
            Ok(_) => Err(self.unavailable("was replaced")),
            Err(error) => Err(self.unavailable(&format!("cannot be found: {error}"))),
        }
    }

    fn has_broken(&self, file: &mut OpenFile) -> bool {
        file.is_suspect || std::thread::panicking() || file.connection.is_broken()
    }
}

/// A connection, and the file that it was made to.
pub(super) struct OpenFile {
    connection: SqliteConnection,
    identity: FileIdentity,
    is_suspect: bool,
}

impl OpenFile {
    /// For statements that belong to no transaction.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// The names of the migrations that the file lacks.
    pub(super) fn pending_migrations(
        &mut self,
        contents: Contents,
    ) -> Result<Vec<String>, StoreError> {
        migrations::pending(&mut self.connection, contents)
    }

    /// After a failure the next caller gets a fresh connection: whatever was wrong with
    /// the file, this one may have kept half of it.
    fn note<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        self.is_suspect = outcome.is_err();
        outcome
    }
}

/// Tells a file from another one that took its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileIdentity(
    #[cfg(unix)] (u64, u64),
    #[cfg(not(unix))] Option<std::time::SystemTime>,
);

impl FileIdentity {
    /// Of the file of that name; an error where there is none.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Ok(Self((metadata.dev(), metadata.ino())))
        }
        #[cfg(not(unix))]
        Ok(Self(metadata.created().ok()))
    }
}
