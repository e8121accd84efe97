//! A database of a test's own, of the kind that the tests run on, and a look into it as
//! an operator has it.

use std::env;
use std::fs;
use std::path::PathBuf;

use diesel::connection::SimpleConnection as _;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite;
use tempfile::TempDir;
use uuid::Uuid;

use super::postgres::Postgres;

/// Says on which kind of database the tests run: `sqlite`, the default, or `postgres`.
const KIND: &str = "SIGNALBOX_TEST_DATABASE";
/// The URL of a superuser of a PostgreSQL that is there for the tests.
const POSTGRES_URL: &str = "SIGNALBOX_TEST_POSTGRES_URL";

/// An empty database; removed when dropped.
pub struct TestDatabase(Place);

enum Place {
    /// A file in the folder `data` of this folder. The database is absent when `data` is.
    File(TempDir),
    /// A database of a server: the URL of its superuser, up to the name, and the name.
    Server { server: String, name: String },
}

impl TestDatabase {
    /// Of the kind that the tests run on.
    pub fn new() -> Self {
        let database = Self::absent();
        database.create();
        database
    }

    /// The same, for a test that is about SQLite's files.
    pub fn sqlite() -> Self {
        let database = Self::absent_sqlite();
        database.create();
        database
    }

    /// On a server of the test's own.
    pub fn on(postgres: &Postgres) -> Self {
        let database = Self::absent_on(&postgres.url(""));
        database.create();
        database
    }

    /// One that has an URL and is not there yet.
    pub fn absent() -> Self {
        match env::var(KIND).as_deref() {
            Err(_) | Ok("sqlite") => Self::absent_sqlite(),
            Ok("postgres") => {
                let url = env::var(POSTGRES_URL);
                Self::absent_on(&url.expect("scripts/with-services starts a PostgreSQL"))
            }
            Ok(other) => panic!("{KIND} is sqlite or postgres, not {other}"),
        }
    }

    /// The same, for a test that is about SQLite's files.
    pub fn absent_sqlite() -> Self {
        Self(Place::File(TempDir::with_prefix("signalbox-test-").expect("a temporary folder")))
    }

    fn absent_on(server_url: &str) -> Self {
        let (server, _) = server_url.rsplit_once('/').expect("a URL that names a database");
        let name = format!("test_{}", Uuid::new_v4().simple());
        Self(Place::Server { server: server.to_owned(), name })
    }

    pub fn create(&self) {
        match &self.0 {
            Place::File(folder) => {
                fs::create_dir(folder.path().join("data")).expect("it is absent");
            }
            Place::Server { server, name } => {
                let create = format!("CREATE DATABASE {name}");
                administer(server, &create).expect("the server makes a database");
            }
        }
    }

    /// Makes it unreachable; connections to it break, or find its file gone.
    pub fn take_away(&self) {
        match &self.0 {
            Place::File(folder) => {
                let (from, to) = (folder.path().join("data"), folder.path().join("away"));
                fs::rename(from, to).expect("it is there");
            }
            Place::Server { server, name } => {
                let close = format!(
                    "ALTER DATABASE {name} ALLOW_CONNECTIONS false;
                     SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                );
                administer(server, &close).expect("the server closes a database");
            }
        }
    }

    /// Undoes [`take_away`](Self::take_away).
    pub fn bring_back(&self) {
        match &self.0 {
            Place::File(folder) => {
                let (from, to) = (folder.path().join("away"), folder.path().join("data"));
                fs::rename(from, to).expect("it was taken away");
            }
            Place::Server { server, name } => {
                let open = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true");
                administer(server, &open).expect("the server opens a database");
            }
        }
    }

    /// As the server under test is told it.
    pub fn url(&self) -> String {
        match &self.0 {
            Place::File(_) => format!("sqlite://{}", self.file().display()),
            Place::Server { server, name } => format!("{server}/{name}"),
        }
    }

    /// The file of a database of SQLite; beside it there may be those of its logs.
    pub fn file(&self) -> PathBuf {
        match &self.0 {
            Place::File(folder) => folder.path().join("data/signalbox.db"),
            Place::Server { name, .. } => panic!("{name} is no file"),
        }
    }

    /// A connection of the test's own.
    pub fn open(&self) -> Database {
        match &self.0 {
            Place::File(_) => {
                let file = self.file().display().to_string();
                let mut connection =
                    SqliteConnection::establish(&file).expect("the database file can be opened");
                connection.batch_execute("PRAGMA busy_timeout = 10000").expect("a pragma");
                Database::Sqlite(connection)
            }
            Place::Server { .. } => Database::Postgres(
                PgConnection::establish(&self.url()).expect("the server takes a connection"),
            ),
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Place::Server { server, name } = &self.0 {
            // A server of the test's own may be gone, and the database with it.
            let _ = administer(server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

/// Carries statements out, each by itself, in the server's own database.
fn administer(server: &str, statements: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = PgConnection::establish(&format!("{server}/postgres"))?;
    for statement in statements.split(';') {
        connection.batch_execute(statement)?;
    }
    Ok(())
}

/// An event as the log's table has it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct LoggedEvent {
    #[diesel(sql_type = BigInt)]
    pub sequence: i64,
    #[diesel(sql_type = Text)]
    pub event_id: String,
    #[diesel(sql_type = Text)]
    pub job_id: String,
    #[diesel(sql_type = Text)]
    pub payload: String,
    #[diesel(sql_type = Text)]
    pub node_id: String,
}

/// When an event was published, where that is known, and logged: RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct LogTimes {
    #[diesel(sql_type = Nullable<Text>)]
    pub published_at: Option<String>,
    #[diesel(sql_type = Text)]
    pub logged_at: String,
}

/// A job's id and version.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct JobVersion {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = BigInt)]
    pub version: i64,
}

#[derive(QueryableByName)]
struct UnloggedEvent {
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = Text)]
    event_id: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// An open connection.
pub enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    /// The whole log, in the order of its rows' sequences.
    pub fn event_log(&mut self) -> Vec<LoggedEvent> {
        self.rows(
            "SELECT sequence, CAST(event_id AS TEXT) AS event_id, CAST(job_id AS TEXT) AS job_id,
                    CAST(payload AS TEXT) AS payload, node_id
             FROM event_log ORDER BY sequence",
        )
    }

    /// Sequences and ids of the events that are not logged, in order.
    pub fn outbox(&mut self) -> Vec<(i64, String)> {
        let rows: Vec<UnloggedEvent> = self.rows(
            "SELECT sequence, CAST(event_id AS TEXT) AS event_id FROM outbox ORDER BY sequence",
        );
        rows.into_iter().map(|row| (row.sequence, row.event_id)).collect()
    }

    /// The times of the whole log, in the same order.
    pub fn log_times(&mut self) -> Vec<LogTimes> {
        let text = |column: &str| match self {
            Self::Sqlite(_) => column.to_owned(),
            Self::Postgres(_) => {
                format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
            }
        };
        let (published, logged) = (text("published_at"), text("logged_at"));
        self.rows(&format!(
            "SELECT {published} AS published_at, {logged} AS logged_at
             FROM event_log ORDER BY sequence"
        ))
    }

    /// The sequences of the log's events that were announced to any of these groups.
    pub fn sequences_of(&mut self, groups: &[String]) -> Vec<i64> {
        let names: Vec<String> = groups.iter().map(|group| format!("'{group}'")).collect();
        self.numbers(&format!(
            "SELECT DISTINCT sequence AS number FROM event_log_groups
             WHERE group_name IN ({}) ORDER BY 1",
            names.join(", ")
        ))
    }

    pub fn job_versions(&mut self) -> Vec<JobVersion> {
        self.rows("SELECT CAST(id AS TEXT) AS id, version FROM jobs ORDER BY 1")
    }

    /// The last sequence that was taken.
    pub fn last_sequence(&mut self) -> i64 {
        self.numbers("SELECT last AS number FROM event_sequence")[0]
    }

    pub fn count(&mut self, table: &str) -> i64 {
        self.numbers(&format!("SELECT count(*) AS number FROM {table}"))[0]
    }

    /// The answer to a query for whole numbers, named `number`.
    pub fn numbers(&mut self, query: &str) -> Vec<i64> {
        self.rows::<Number>(query).iter().map(|row| row.number).collect()
    }

    fn rows<Row>(&mut self, query: &str) -> Vec<Row>
    where
        Row: QueryableByName<Sqlite> + QueryableByName<Pg> + 'static,
    {
        let rows = match self {
            Self::Sqlite(connection) => diesel::sql_query(query).load(connection),
            Self::Postgres(connection) => diesel::sql_query(query).load(connection),
        };
        rows.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Of two forms of one text of SQL, the one for this kind of database.
    pub fn either<'a>(&self, sqlite: &'a str, postgres: &'a str) -> &'a str {
        match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }

    /// Writes what no part of the program would write: no foreign key is heeded.
    pub fn run(&mut self, statements: &str) {
        let unchecked =
            self.either("PRAGMA foreign_keys = OFF", "SET session_replication_role = replica");
        let unchecked = format!("{unchecked}; {statements}");
        let outcome = match self {
            Self::Sqlite(connection) => connection.batch_execute(&unchecked),
            Self::Postgres(connection) => connection.batch_execute(&unchecked),
        };
        assert!(outcome.is_ok(), "{statements}: {outcome:?}");
    }

    /// Carries a statement out as an operator would.
    pub fn execute(&mut self, statement: &str) {
        let outcome = match self {
            Self::Sqlite(connection) => connection.batch_execute(statement),
            Self::Postgres(connection) => connection.batch_execute(statement),
        };
        assert!(outcome.is_ok(), "{statement}: {outcome:?}");
    }

    /// Keeps every other writer out until [`unlock`](Self::unlock).
    pub fn lock(&mut self) {
        match self {
            Self::Sqlite(connection) => connection.batch_execute("BEGIN IMMEDIATE"),
            Self::Postgres(connection) => {
                connection.batch_execute("BEGIN; LOCK TABLE event_sequence, jobs IN EXCLUSIVE MODE")
            }
        }
        .expect("the lock is free");
    }

    pub fn unlock(&mut self) {
        match self {
            Self::Sqlite(connection) => connection.batch_execute("ROLLBACK"),
            Self::Postgres(connection) => connection.batch_execute("ROLLBACK"),
        }
        .expect("the lock is held");
    }
}
