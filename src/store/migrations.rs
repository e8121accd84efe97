//! Which migrations a database has to have. Each backend embeds a folder of its own; the
//! names are the same in all.

use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource};

use super::StoreError;

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

impl Contents {
    /// The migrations of these contents, from a backend's two folders.
    pub(super) fn of<DB: Backend>(
        self,
        jobs: &impl MigrationSource<DB>,
        event_log: &impl MigrationSource<DB>,
    ) -> diesel::migration::Result<Vec<Box<dyn Migration<DB>>>> {
        let mut all = Vec::new();
        if self != Self::EventLog {
            all.extend(jobs.migrations()?);
        }
        if self != Self::Jobs {
            all.extend(event_log.migrations()?);
        }
        Ok(all)
    }

    /// The names of those migrations that are not among the applied versions, in their order.
    pub(super) fn lacking<DB: Backend>(self, applied: &[String]) -> Result<Vec<String>, StoreError>
    where
        Self: MigrationSource<DB>,
    {
        let mut all = MigrationSource::<DB>::migrations(&self)
            .map_err(|error| StoreError::Corrupt(format!("the migrations are garbled: {error}")))?;
        all.sort_by_key(|migration| migration.name().version().as_owned());
        let names = all.iter().map(|migration| {
            let name = migration.name();
            (applied.contains(&name.version().to_string()), name.to_string())
        });
        Ok(names.filter(|(is_applied, _)| !is_applied).map(|(_, name)| name).collect())
    }
}

/// That a migration could not be applied.
pub(super) fn stopped(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("a migration stopped: {error}"))
}
