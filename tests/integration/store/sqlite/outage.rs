//! Files that go away and come back.

use std::fs;
use std::time::{Duration, Instant};

use super::super::site::{Site, create, entries, hours, noon, sequences};
use super::{config, folder, site};
use crate::support::database::TestDatabase;
use signalbox::jobs::Scope;
use signalbox::store::{EventFilter, StoreConfig, StoreError, open};

/// Tries until it works: a pool looks for its file again every quarter of a second.
fn eventually<T>(mut attempt: impl FnMut() -> Result<T, StoreError>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < deadline, "still {error}"),
        }
    }
}

fn is_unavailable<T>(outcome: Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

fn site_with_missing_log() -> Site {
    Site::with_log(TestDatabase::sqlite(), TestDatabase::absent_sqlite())
}

fn any() -> EventFilter {
    EventFilter { limit: 100, ..EventFilter::default() }
}

#[test]
fn a_log_that_is_missing_at_start_works_once_it_can_be_made() {
    let site = site_with_missing_log();
    site.job(hours(9, 10), &[]);
    let events = site.outbox();
    assert!(is_unavailable(site.store.log.append(&entries(events.clone()), false)));
    assert!(is_unavailable(site.store.log.read(&Scope::All, &any())));
    assert!(is_unavailable(site.store.log.ping()));
    site.log_database().create();
    eventually(|| site.store.log.append(&entries(events.clone()), false));
    eventually(|| site.store.log.ping());
    assert_eq!(eventually(|| site.store.log.read(&Scope::All, &any())), events);
}

#[test]
fn a_log_that_is_deleted_is_made_again() {
    let site = site_with_missing_log();
    site.log_database().create();
    site.job(hours(9, 10), &[]);
    site.job(hours(10, 11), &[]);
    let events = site.outbox();
    eventually(|| site.store.log.append(&entries(events[..1].to_vec()), false));
    let file = site.log_database().file();
    fs::remove_dir_all(file.parent().expect("a folder")).expect("the folder goes");
    assert!(is_unavailable(site.store.log.append(&entries(events[1..].to_vec()), false)));
    site.log_database().create();
    eventually(|| site.store.log.append(&entries(events[1..].to_vec()), false));
    let logged = eventually(|| site.store.log.read(&Scope::All, &any()));
    assert_eq!(sequences(&logged), [2]);
}

#[test]
fn jobs_whose_file_is_away_are_unavailable_until_it_is_back() {
    let site = site();
    let id = site.job(hours(9, 10), &[]);
    let path = |name: &str| site.database.file().with_file_name(name);
    let names = ["signalbox.db", "signalbox.db-wal", "signalbox.db-shm"];
    fs::create_dir(path("away")).expect("a folder");
    for name in names {
        fs::rename(path(name), path("away").join(name)).expect("the file moves");
    }
    let batch = [create("north", hours(9, 10), &[])];
    assert!(is_unavailable(site.store.jobs.commit(&batch, noon())));
    assert!(is_unavailable(site.store.jobs.job(&Scope::All, id)));
    assert!(is_unavailable(site.store.jobs.ping()));
    assert!(!path("signalbox.db").exists(), "an empty database would count from 1 again");
    // The first to give up the old file ends its log of writes; what is left comes back.
    for name in names {
        if path("away").join(name).exists() {
            fs::rename(path("away").join(name), path(name)).expect("the file moves");
        }
    }
    let events = eventually(|| site.store.jobs.commit(&batch, noon())).events;
    assert_eq!(sequences(&events), [2]);
    eventually(|| site.store.jobs.ping());
    assert_eq!(site.read(id).id, id);
}

#[test]
fn a_jobs_database_that_cannot_be_made_ends_the_start() {
    let folder = folder();
    let url = format!("sqlite://{}/absent/jobs.db", folder.path().display());
    let config = StoreConfig { database_url: url, ..config(&folder) };
    let error = open(&config).err().expect("there is no such folder");
    assert!(error.to_string().contains("absent/jobs.db"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_told_from_one_that_is_away() {
    let folder = folder();
    fs::write(
        folder.path().join("jobs.db"),
        "not a database, but long enough to look at".repeat(99),
    )
    .expect("the file is written");
    let error = open(&config(&folder)).err().expect("the file is no database");
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
}
