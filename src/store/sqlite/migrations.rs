//! The migrations, and which of them a database lacks.

use diesel::RunQueryDsl;
use diesel::SqliteConnection;
use diesel::dsl::sql;
use diesel::migration::{Migration, MigrationSource};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::store::StoreError;

const JOBS: EmbeddedMigrations = embed_migrations!("migrations/sqlite/jobs");
const EVENT_LOG: EmbeddedMigrations = embed_migrations!("migrations/sqlite/event_log");

/// What a database is for, and so which tables it must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    /// Everything but the log, which has a database of its own.
    Jobs,
    /// The log alone.
    EventLog,
    /// Both.
    JobsAndEventLog,
}

impl MigrationSource<Sqlite> for Contents {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<Sqlite>>>> {
        let mut all = Vec::new();
        if *self != Self::EventLog {
            all.extend(MigrationSource::<Sqlite>::migrations(&JOBS)?);
        }
        if *self != Self::Jobs {
            all.extend(MigrationSource::<Sqlite>::migrations(&EVENT_LOG)?);
        }
        Ok(all)
    }
}

/// The names of all migrations for these contents, in their order.
pub(super) fn all(contents: Contents) -> Result<Vec<String>, StoreError> {
    Ok(sorted(contents)?.iter().map(|migration| migration.name().to_string()).collect())
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
    let names = sorted(contents)?.into_iter().map(|migration| {
        let is_applied = applied.contains(&migration.name().version().to_string());
        (is_applied, migration.name().to_string())
    });
    Ok(names.filter(|(is_applied, _)| !is_applied).map(|(_, name)| name).collect())
}

/// Applies what the database lacks.
pub(super) fn apply(
    connection: &mut SqliteConnection,
    contents: Contents,
) -> Result<(), StoreError> {
    connection
        .run_pending_migrations(contents)
        .map(|_| ())
        .map_err(|error| StoreError::Unavailable(format!("a migration stopped: {error}")))
}

fn sorted(contents: Contents) -> Result<Vec<Box<dyn Migration<Sqlite>>>, StoreError> {
    let mut all = contents
        .migrations()
        .map_err(|error| StoreError::Corrupt(format!("the migrations are garbled: {error}")))?;
    all.sort_by_key(|migration| migration.name().version().as_owned());
    Ok(all)
}
