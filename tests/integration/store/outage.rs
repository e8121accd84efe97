//! Files that go away and come back.

use std::fs;
use std::time::{Duration, Instant};

use super::site::{Site, config, config_with_log, create, entries, folder, hours, noon, sequences};
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

fn any() -> EventFilter {
    EventFilter { limit: 100, ..EventFilter::default() }
}

#[test]
fn a_log_that_is_missing_at_start_works_once_it_can_be_made() {
    let site = Site::with_missing_log();
    site.job(hours(9, 10), &[]);
    let events = site.outbox();
    assert!(is_unavailable(site.store.log.append(&entries(events.clone()), false)));
    assert!(is_unavailable(site.store.log.read(&Scope::All, &any())));
    assert!(is_unavailable(site.store.log.ping()));
    fs::create_dir(site.path("log")).expect("a folder");
    eventually(|| site.store.log.append(&entries(events.clone()), false));
    eventually(|| site.store.log.ping());
    assert_eq!(eventually(|| site.store.log.read(&Scope::All, &any())), events);
}

#[test]
fn a_log_that_is_deleted_is_made_again() {
    let site = Site::with_missing_log();
    fs::create_dir(site.path("log")).expect("a folder");
    site.job(hours(9, 10), &[]);
    site.job(hours(10, 11), &[]);
    let events = site.outbox();
    eventually(|| site.store.log.append(&entries(events[..1].to_vec()), false));
    fs::remove_dir_all(site.path("log")).expect("the folder goes");
    assert!(is_unavailable(site.store.log.append(&entries(events[1..].to_vec()), false)));
    fs::create_dir(site.path("log")).expect("a folder");
    eventually(|| site.store.log.append(&entries(events[1..].to_vec()), false));
    let logged = eventually(|| site.store.log.read(&Scope::All, &any()));
    assert_eq!(sequences(&logged), [2]);
}

#[test]
fn jobs_whose_file_is_away_are_unavailable_until_it_is_back() {
    let site = Site::new();
    let id = site.job(hours(9, 10), &[]);
    let names = ["jobs.db", "jobs.db-wal", "jobs.db-shm"];
    fs::create_dir(site.path("away")).expect("a folder");
    for name in names {
        fs::rename(site.path(name), site.path("away").join(name)).expect("the file moves");
    }
    let batch = [create("north", hours(9, 10), &[])];
    assert!(is_unavailable(site.store.jobs.commit(&batch, noon())));
    assert!(is_unavailable(site.store.jobs.job(&Scope::All, id)));
    assert!(is_unavailable(site.store.jobs.ping()));
    assert!(!site.path("jobs.db").exists(), "an empty database would count from 1 again");
    // The first to give up the old file ends its log of writes; what is left comes back.
    for name in names {
        if site.path("away").join(name).exists() {
            fs::rename(site.path("away").join(name), site.path(name)).expect("the file moves");
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

#[test]
fn urls_that_name_no_file_are_refused() {
    let folder = folder();
    for url in ["sqlite://:memory:", "mysql://ann:secret@host/db", "jobs.db"] {
        let jobs = StoreConfig { database_url: url.into(), ..config(&folder) };
        let log =
            StoreConfig { event_log_database_url: Some(url.into()), ..config_with_log(&folder) };
        for config in [jobs, log] {
            let error = open(&config).err().expect("the url is refused");
            assert!(matches!(error, StoreError::Url(_)), "{error:?}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
