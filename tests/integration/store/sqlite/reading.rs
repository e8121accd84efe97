//! Files that are read and stay as they are, byte by byte.

use std::fs;

use super::super::site::config;
use super::super::verify::scene_on;
use super::folder;
use crate::support::database::TestDatabase;
use signalbox::store::{StoreConfig, StoreError, open_read_only, verify};

#[test]
fn no_file_is_made_to_be_read() {
    let database = TestDatabase::sqlite();
    let refused = open_read_only(&config(&database)).err();
    assert!(matches!(refused, Some(StoreError::Unavailable(_))), "{refused:?}");
    assert!(!database.file().exists());
}

#[test]
fn a_copy_is_verified_as_it_is() {
    let (site, _) = scene_on(TestDatabase::sqlite());
    let folder = folder();
    let copy = folder.path().join("copy.db");
    // Such a copy has no write-ahead log, and is not given one.
    site.database.open().run(&format!("VACUUM INTO '{}'", copy.display()));
    let before = fs::read(&copy).expect("a file");
    let database_url = format!("sqlite://{}", copy.display());
    let store = open_read_only(&StoreConfig { database_url, ..config(&site.database) });
    assert_eq!(verify(&store.expect("the store opens")).expect("it can be read").faults(), 0);
    assert_eq!(fs::read(&copy).expect("a file"), before);
}

#[test]
fn a_file_that_is_only_read_stays_as_it_is() {
    let (site, _) = scene_on(TestDatabase::sqlite());
    let database = site.closed();
    let before = fs::read(database.file()).expect("a file");
    let store = open_read_only(&config(&database)).expect("the store opens");
    assert_eq!(verify(&store).expect("it can be read").faults(), 0);
    assert!(store.jobs.clear_outbox(8).is_err());
    drop(store);
    assert_eq!(fs::read(database.file()).expect("a file"), before);
}
