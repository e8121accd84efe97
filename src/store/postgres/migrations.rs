//! The migrations for PostgreSQL, and which of them a database lacks.

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel::{PgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::store::StoreError;
use crate::store::migrations::{Contents, stopped};

const JOBS: EmbeddedMigrations = embed_migrations!("migrations/postgres/jobs");
const EVENT_LOG: EmbeddedMigrations = embed_migrations!("migrations/postgres/event_log");

/// Held while one node migrates, so that another one that starts at the same moment waits.
/// The numbers say "signalbox" to nobody else in the same database.
const LOCK: &str = "SELECT pg_advisory_lock(7362747, 1)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(7362747, 1)";

impl MigrationSource<Pg> for Contents {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        self.of(&JOBS, &EVENT_LOG)
    }
}

/// The names of those that the database lacks; leaves the database as it is.
pub(super) fn pending(
    connection: &mut PgConnection,
    contents: Contents,
) -> Result<Vec<String>, StoreError> {
    let is_new: bool =
        diesel::select(sql::<Bool>("to_regclass('__diesel_schema_migrations') IS NULL"))
            .get_result(connection)?;
    let applied: Vec<String> = if is_new {
        Vec::new()
    } else {
        sql::<Text>("SELECT version::text FROM __diesel_schema_migrations").load(connection)?
    };
    contents.lacking::<Pg>(&applied)
}

/// Applies what the database lacks.
pub(super) fn apply(connection: &mut PgConnection, contents: Contents) -> Result<(), StoreError> {
    connection.batch_execute(LOCK)?;
    // A failure ends with the connection, and the lock with it.
    connection.run_pending_migrations(contents).map_err(stopped)?;
    Ok(connection.batch_execute(UNLOCK)?)
}
