//! What only SQLite has: files that grow, go away, and are named in several ways.

mod checkpoint;
mod migrations;
mod names;
mod outage;
mod reading;

use super::site::Site;
use crate::support::database::TestDatabase;
use signalbox::store::StoreConfig;
use tempfile::TempDir;

/// A store on a file, whichever database the tests run on.
fn site() -> Site {
    Site::on(TestDatabase::sqlite())
}

/// An empty folder, for a test that names the files itself.
fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

/// One file for all.
fn config(folder: &TempDir) -> StoreConfig {
    StoreConfig {
        database_url: format!("sqlite://{}/jobs.db", folder.path().display()),
        event_log_database_url: None,
        node_id: "node-1".into(),
        migrate: true,
    }
}

/// A log of its own, in a folder that is not there yet.
fn config_with_log(folder: &TempDir) -> StoreConfig {
    let url = format!("sqlite://{}/log/events.db", folder.path().display());
    StoreConfig { event_log_database_url: Some(url), ..config(folder) }
}
