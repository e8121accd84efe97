//! Copies of SQLite's files while servers go on to write them.

use std::fs::{self, File};
use std::path::Path;

use super::{DatabaseUrl, Places, StoreConfig, StoreError, sqlite};

/// The copy of the jobs' file, with the log's tables unless the log has a file of its own.
pub const JOBS_FILE: &str = "signalbox.db";

/// The copy of the log's own file.
pub const LOG_FILE: &str = "event_log.db";

/// Copies the databases into this folder, which is made now; answers where the copies are.
///
/// Each file is copied as it is at one moment, without keeping anybody from writing. Of two
/// files the jobs' is the first: an event that it no longer has in its outbox stands in the
/// log by then. What was logged of later events while the copy was made is cut off the
/// log's, or a server would take it for events that it is yet to make.
///
/// # Errors
/// For a database of PostgreSQL, which has `pg_dump`; when the folder is there already, or
/// anything of it cannot be written. Then what is left has the name of the folder with
/// `.partial` behind it.
pub fn back_up(config: &StoreConfig, folder: &Path) -> Result<StoreConfig, StoreError> {
    let Places { jobs, log } = Places::of(config)?;
    let (jobs, log) = (file(&jobs)?, log.as_ref().map(file).transpose()?);
    let partial = folder.with_added_extension("partial");
    if folder.exists() {
        return Err(StoreError::Unavailable(format!("'{}' is there already", folder.display())));
    }
    make_private(&partial).map_err(|error| unwritable(&partial, &error))?;
    let inside = partial.canonicalize().map_err(|error| unwritable(&partial, &error))?;
    sqlite::copy(jobs, &inside.join(JOBS_FILE))?;
    if let Some(log) = log {
        let copy = inside.join(LOG_FILE);
        sqlite::copy(log, &copy)?;
        sqlite::cut_log_behind_jobs(&copy, &inside.join(JOBS_FILE))?;
    }
    let written = || -> std::io::Result<()> {
        for entry in fs::read_dir(&inside)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(&inside)?.sync_all()?;
        fs::rename(&inside, folder)?;
        let parent = inside.parent().unwrap_or(Path::new("/"));
        File::open(parent)?.sync_all()
    };
    written().map_err(|error| unwritable(folder, &error))?;
    let url = |name: &str| format!("sqlite://{}", folder.join(name).display());
    Ok(StoreConfig {
        database_url: url(JOBS_FILE),
        event_log_database_url: log.map(|_| url(LOG_FILE)),
        ..config.clone()
    })
}

/// Makes a folder for nobody else to read: what is in it is about customers.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn file(place: &DatabaseUrl) -> Result<&Path, StoreError> {
    match place {
        DatabaseUrl::Sqlite(path) => Ok(path),
        DatabaseUrl::Postgres(_) => Err(StoreError::Url(
            "a database of PostgreSQL is backed up by its own pg_dump".to_owned(),
        )),
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("'{}' cannot be written: {error}", path.display()))
}
