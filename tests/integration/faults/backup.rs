//! Copies are made while commands run, and a server goes on from one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::load::{Acknowledged, Load};
use super::scene::{WRITERS, fixed_address, random, serve};
use crate::support::database::TestDatabase;
use crate::support::postgres;
use crate::support::program;
use crate::support::site::{REGION, Site, SiteOptions};
use crate::support::websocket::HubClient;
use signalbox::store::{JOBS_FILE, LOG_FILE};

/// Copies of the databases of a server, put where another one can use them.
struct Restored {
    jobs: TestDatabase,
    /// If the log has a database of its own.
    log: Option<TestDatabase>,
}

impl Restored {
    /// As `docs/backup.md` says for this kind of database.
    fn of(jobs: &TestDatabase, log: Option<&TestDatabase>) -> Self {
        let folder = TempDir::with_prefix("signalbox-backup-").expect("a temporary folder");
        if jobs.url().starts_with("sqlite://") {
            Self::of_files(jobs, log, &folder.path().join("copy"))
        } else {
            Self::of_servers(jobs, log, folder.path())
        }
    }

    fn of_files(jobs: &TestDatabase, log: Option<&TestDatabase>, copy: &Path) -> Self {
        let (to, jobs_url) = (copy.display().to_string(), jobs.url());
        let mut arguments = vec!["backup", "--to", &to, "--database-url", &jobs_url];
        let log_url = log.map(TestDatabase::url);
        if let Some(url) = &log_url {
            arguments.extend(["--event-log-database-url", url]);
        }
        let (code, said, complaints) = program::run(arguments);
        assert_eq!((code, complaints.as_str()), (Some(0), ""), "{said}");
        assert!(said.contains("verified: clean\n"), "{said}");
        let restored = |name: &str| {
            let database = TestDatabase::sqlite();
            fs::copy(copy.join(name), database.file()).expect("the copy is there");
            database
        };
        Self { jobs: restored(JOBS_FILE), log: log.map(|_| restored(LOG_FILE)) }
    }

    fn of_servers(jobs: &TestDatabase, log: Option<&TestDatabase>, folder: &Path) -> Self {
        let dump = |database: &TestDatabase, name: &str| {
            let file = folder.join(name).display().to_string();
            run("pg_dump", &["--format=custom", "--file", &file, &database.url()]);
            file
        };
        let restored = |file: String| {
            let database = TestDatabase::new();
            let url = database.url();
            let how = ["--single-transaction", "--exit-on-error", "--no-owner", "--dbname", &url];
            run("pg_restore", &[&how[..], &[&file]].concat());
            database
        };
        // The jobs first: what their outbox no longer has is in the log by then.
        let (jobs, log) = (dump(jobs, "jobs"), log.map(|log| dump(log, "log")));
        let restored = Self { jobs: restored(jobs), log: log.map(restored) };
        if let Some(log) = &restored.log {
            let last = restored.jobs.open().last_sequence();
            for table in ["event_log_groups", "event_log"] {
                log.open().execute(&format!("DELETE FROM {table} WHERE sequence > {last}"));
            }
        }
        restored
    }

    /// Sequences and ids of all events, logged or not.
    fn events(&self) -> BTreeMap<i64, String> {
        let (mut jobs, log) = (self.jobs.open(), self.log.as_ref().unwrap_or(&self.jobs));
        let logged = log.open().event_log();
        let logged = logged.into_iter().map(|event| (event.sequence, event.event_id));
        jobs.outbox().into_iter().chain(logged).collect()
    }
}

fn run(name: &str, arguments: &[&str]) {
    let output = Command::new(postgres::program(name)).args(arguments).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Copies the databases of a server under load; answers the copies, the last sequence before
/// they were begun, and what was acknowledged before and after.
fn copied_under_load(log: Option<TestDatabase>) -> (Restored, i64, Vec<Acknowledged>) {
    let (jobs, address) = (TestDatabase::new(), fixed_address());
    let mut serve = serve(&jobs, &address);
    if let Some(log) = &log {
        serve = serve.flag("--event-log-database-url", &log.url());
    }
    let server = serve.start();
    let load = Load::start(&[address], WRITERS, &mut random());
    load.wait_for_changes(150);
    let last_before = jobs.open().last_sequence();
    let restored = Restored::of(&jobs, log.as_ref());
    load.wait_for_changes(50);
    let acknowledged = load.stop().acknowledged;
    server.kill();
    (restored, last_before, acknowledged)
}

fn check(log: Option<TestDatabase>) {
    let (restored, last_before, acknowledged) = copied_under_load(log);
    let last = restored.jobs.open().last_sequence();
    assert!(last >= last_before, "all that was there before is copied");
    let events = restored.events();
    assert_eq!(events.keys().copied().collect::<Vec<_>>(), (1..=last).collect::<Vec<_>>());
    for change in acknowledged.iter().filter(|change| change.sequence <= last) {
        assert_eq!(events.get(&change.sequence), Some(&change.event_id), "{change:?}");
    }
    let ahead = acknowledged.iter().map(|change| change.sequence).max().expect("some");
    assert!(ahead > last, "the load went on");
    actix_web::rt::System::new().block_on(goes_on(restored, last, ahead));
}

/// A server on the copy goes on behind the copy's last event. A client that has events past
/// it, which are no more, is told to reload; one that has none of those misses nothing.
async fn goes_on(restored: Restored, last: i64, ahead: i64) {
    let options = SiteOptions { event_log: restored.log, ..SiteOptions::default() };
    let site = Site::start_on(restored.jobs, options).await;
    let group = format!("dispatch/{REGION}");
    let token = site.token("dispatcher", &[REGION], None);
    let mut followers = Vec::new();
    for (after, complete) in [(ahead, false), (last, true)] {
        let mut follower = HubClient::connect(&site.url("/hub/dispatch"), &token).await;
        let subscription = json!([{ "groups": [group], "after": after }]);
        let answer = follower.invoke("Subscribe", subscription).await;
        assert_eq!(answer["result"]["complete"], complete, "after {after} of {last}: {answer}");
        assert_eq!(answer["result"]["sequence"], last, "{answer}");
        followers.push(follower);
    }
    let job = site.job(9_000, None).await;
    for follower in &mut followers {
        let event = follower.next_event().await.expect("it stays connected");
        assert_eq!(event["sequence"], last + 1);
        assert_eq!(event["jobId"], job.id.to_string());
    }
    let report = site.verify();
    assert_eq!(report.faults(), 0, "{report}");
    assert!(report.to_string().contains(&format!("sequences 1 to {}:", last + 1)), "{report}");
}

#[test]
fn a_copy_has_all_that_was_acknowledged_before_it_and_a_server_goes_on_from_it() {
    check(None);
}

#[test]
fn a_copy_of_a_log_of_its_own_fits_the_copy_of_the_jobs() {
    check(Some(TestDatabase::new()));
}
