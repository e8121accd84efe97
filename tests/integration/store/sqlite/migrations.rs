//! The migrations of each backend, and that a store applies what its file lacks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::super::site::{self, Site, entries as log_entries, hours, sequences};
use super::{config, config_with_log, folder};
use crate::support::database::TestDatabase;
use signalbox::store::{StoreConfig, StoreError, open, pending_migrations};

/// The folders of all migrations, in the order of their versions.
fn migrations() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut folders: Vec<PathBuf> = entries(&root).iter().flat_map(|set| entries(set)).collect();
    folders.sort_by_key(|folder| folder.file_name().map(ToOwned::to_owned));
    folders
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of migrations");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn run(connection: &mut SqliteConnection, migration: &Path, file: &str) {
    let statements = fs::read_to_string(migration.join(file)).expect("both files are there");
    let outcome = connection.batch_execute(&statements);
    assert!(outcome.is_ok(), "{} {file}: {outcome:?}", migration.display());
}

/// What defines each table and index.
fn schema(connection: &mut SqliteConnection) -> Vec<String> {
    sql::<Text>("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name")
        .load(connection)
        .expect("the schema can be read")
}

fn in_memory() -> SqliteConnection {
    SqliteConnection::establish(":memory:").expect("SQLite is built in")
}

#[test]
fn each_migration_can_be_taken_back_and_applied_again() {
    let connection = &mut in_memory();
    for migration in migrations() {
        let before = schema(connection);
        run(connection, &migration, "up.sql");
        let after = schema(connection);
        assert_ne!(before, after, "{}", migration.display());
        run(connection, &migration, "down.sql");
        assert_eq!(schema(connection), before, "{}", migration.display());
        run(connection, &migration, "up.sql");
        assert_eq!(schema(connection), after, "{}", migration.display());
    }
}

#[test]
fn versions_are_unique_across_the_folders() {
    let version = |folder: &PathBuf| {
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        name.split('_').next().map(str::to_owned)
    };
    let versions: BTreeSet<_> = migrations().iter().map(version).collect();
    assert_eq!(versions.len(), migrations().len());
}

#[test]
fn every_migration_opens_with_a_sentence() {
    for migration in migrations() {
        for file in ["up.sql", "down.sql"] {
            let text = fs::read_to_string(migration.join(file)).expect("both files are there");
            assert!(text.starts_with("-- "), "{} {file}", migration.display());
        }
    }
}

#[test]
fn every_foreign_key_has_an_index() {
    let connection = &mut in_memory();
    migrations().iter().for_each(|migration| run(connection, migration, "up.sql"));
    let without: Vec<String> = sql::<Text>(
        "SELECT t.name || '.' || fk.\"from\"
         FROM sqlite_master AS t, pragma_foreign_key_list(t.name) AS fk
         WHERE t.type = 'table' AND NOT EXISTS (
             SELECT 1 FROM pragma_index_list(t.name) AS i, pragma_index_info(i.name) AS c
             WHERE c.seqno = fk.seq AND c.name = fk.\"from\" AND i.partial = 0)",
    )
    .load(connection)
    .expect("the schema can be read");
    assert_eq!(without, Vec::<String>::new());
}

#[test]
fn what_is_pending_is_listed_and_not_applied() {
    let folder = folder();
    let all: Vec<String> = migrations()
        .iter()
        .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
        .collect();
    for config in [config(&folder), config_with_log(&folder)] {
        let mut pending = pending_migrations(&config).expect("no file is needed");
        // Those of a log of its own come behind.
        pending.sort();
        assert_eq!(pending, all);
        assert!(!folder.path().join("jobs.db").exists());
    }
    // An empty file is one without tables.
    fs::write(folder.path().join("jobs.db"), "").expect("the file is written");
    assert_eq!(pending_migrations(&config(&folder)).expect("a file"), all);
    assert_eq!(fs::metadata(folder.path().join("jobs.db")).expect("a file").len(), 0);
    drop(open(&config(&folder)).expect("the store opens"));
    assert_eq!(pending_migrations(&config(&folder)).expect("a file"), Vec::<String>::new());
}

#[test]
fn a_file_with_migrations_pending_is_not_opened_unless_they_may_be_applied() {
    let folder = folder();
    let as_it_is = StoreConfig { migrate: false, ..config(&folder) };
    let refused = open(&as_it_is).err();
    assert!(matches!(refused, Some(StoreError::Unavailable(_))), "{refused:?}");
    assert!(!folder.path().join("jobs.db").exists());
    drop(open(&config(&folder)).expect("the store opens"));
    assert!(open(&as_it_is).is_ok());
}

#[test]
fn an_older_file_gets_what_it_lacks_and_keeps_its_rows() {
    // A file that knew the jobs alone, since the log was elsewhere.
    let site = Site::with_log(TestDatabase::sqlite(), TestDatabase::sqlite());
    let id = site.job(hours(9, 10), &[]);
    assert_eq!(pending_migrations(&site::config(&site.database)).expect("a file").len(), 2);
    let site = site.reopened();
    assert_eq!(site.read(id).id, id);
    let events = log_entries(site.outbox());
    site.store.log.append(&events, true).expect("the log works");
    assert_eq!(sequences(&site.outbox()), Vec::<u64>::new());
}
