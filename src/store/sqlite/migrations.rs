//! The migrations for SQLite, and which of them a file lacks.

use diesel::RunQueryDsl;
use diesel::SqliteConnection;
use diesel::dsl::sql;
use diesel::migration::{Migration, MigrationSource};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::store::StoreError;
use crate::store::migrations::{Contents, stopped};

const JOBS: EmbeddedMigrations = embed_migrations!("migrations/sqlite/jobs");
const EVENT_LOG: EmbeddedMigrations = embed_migrations!("migrations/sqlite/event_log");

impl MigrationSource<Sqlite> for Contents {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<Sqlite>>>> {
        self.of(&JOBS, &EVENT_LOG)
    }
}

/// The names of all migrations for these contents, in their order.
pub(super) fn all(contents: Contents) -> Result<Vec<String>, StoreError> {
    contents.lacking::<Sqlite>(&[])
}

/// The names of those that the database lacks. Unlike diesel's own question, this one
/// leaves the database as it is, even one without any table.
pub(super) fn pending(
    connection: &mut SqliteConnection,
    contents: Contents,
) -> Result<Vec<String>, StoreError> {
    let tables: i64 = diesel::select(sql::<BigInt>(
        "(SELECT count(*) FROM sqlite_master WHERE name = '__diesel_schema_migrations')",
    ))
    .get_result(connection)?;
    if tables == 0 {
        return all(contents);
    }
    let applied: Vec<String> =
        sql::<Text>("SELECT version FROM __diesel_schema_migrations").load(connection)?;
    contents.lacking::<Sqlite>(&applied)
}

/// Applies what the database lacks.
pub(super) fn apply(
    connection: &mut SqliteConnection,
    contents: Contents,
) -> Result<(), StoreError> {
    connection.run_pending_migrations(contents).map(|_| ()).map_err(stopped)
}
