//! Looks into a server's database files, as an operator would.

use std::path::Path;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

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
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// A connection of the test's own.
pub struct Database(SqliteConnection);

impl Database {
    pub fn open(path: &Path) -> Self {
        let mut connection = SqliteConnection::establish(&path.display().to_string())
            .expect("the database file can be opened");
        connection.batch_execute("PRAGMA busy_timeout = 10000").expect("a pragma");
        Self(connection)
    }

    /// The whole log, in the order of its rows' sequences.
    pub fn event_log(&mut self) -> Vec<LoggedEvent> {
        let all = "SELECT sequence, event_id, job_id, payload FROM event_log ORDER BY sequence";
        diesel::sql_query(all).load(&mut self.0).expect("the log can be read")
    }

    pub fn job_versions(&mut self) -> Vec<JobVersion> {
        let all = "SELECT id, version FROM jobs ORDER BY id";
        diesel::sql_query(all).load(&mut self.0).expect("the jobs can be read")
    }

    pub fn count(&mut self, table: &str) -> i64 {
        let count = format!("SELECT count(*) AS count FROM {table}");
        let rows: Vec<Count> = diesel::sql_query(count).load(&mut self.0).expect("a count");
        rows[0].count
    }

    /// Writes what no part of the program would write.
    pub fn run(&mut self, statements: &str) {
        let unchecked = format!("PRAGMA foreign_keys = OFF; {statements}");
        let outcome = self.0.batch_execute(&unchecked);
        assert!(outcome.is_ok(), "{statements}: {outcome:?}");
    }

    /// Keeps every other writer out until [`unlock`](Self::unlock).
    pub fn lock(&mut self) {
        self.0.batch_execute("BEGIN IMMEDIATE").expect("the lock is free");
    }

    pub fn unlock(&mut self) {
        self.0.batch_execute("ROLLBACK").expect("the lock is held");
    }
}
