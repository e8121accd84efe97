//! Events that outlive their time in the log: what is left is whole from its first
//! event on, and whoever asks for more is told.

use std::time::Duration;

use serde_json::json;
use signalbox::jobs::{Scope, Timestamp};
use signalbox::pipeline::PipelineConfig;
use signalbox::store::{EventFilter, Store, verify};

use crate::store::site::{Site as StoreSite, assign, entries, hours, reschedule, sequences};
use crate::support::database::TestDatabase;
use crate::support::http_client::Api;
use crate::support::site::{REGION, Site, SiteOptions, token};
use crate::support::until;
use crate::support::websocket::HubClient;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What makes events old enough to go, up to this sequence.
fn age(last: u64) -> String {
    format!("UPDATE event_log SET logged_at = '2001-01-01T00:00:00.000Z' WHERE sequence <= {last}")
}

fn logged(store: &Store) -> Vec<u64> {
    let filter = EventFilter { limit: 500, ..EventFilter::default() };
    sequences(&store.log.read(&Scope::All, &filter).expect("the log works"))
}

fn faults(store: &Store) -> String {
    let report = verify(store).expect("the databases can be read");
    if report.faults() == 0 { String::new() } else { report.to_string() }
}

fn yesterday() -> Timestamp {
    Timestamp::now().saturating_add_millis(-24 * 60 * 60 * 1000)
}

/// Six logged events of two jobs, two of them with groups of contractors.
fn log_of_six() -> StoreSite {
    let site = StoreSite::new();
    let ann = site.contractor();
    let first = site.job(hours(9, 10), &[ann]);
    site.accept(assign(first, &[]));
    let second = site.job(hours(9, 10), &[]);
    for end in 11..14 {
        site.accept(reschedule(second, hours(9, end)));
    }
    site.store.log.append(&entries(site.outbox()), true).expect("the log works");
    site
}

#[test]
fn the_log_is_cut_from_its_first_event_up_to_the_first_younger_one() {
    let site = log_of_six();
    let mut database = site.database.open();
    let trim = |last, limit| site.store.log.trim(yesterday(), last, limit).expect("the log works");
    assert_eq!((trim(6, 10), logged(&site.store)), (0, vec![1, 2, 3, 4, 5, 6]));
    database.run(&age(6));
    database.run("UPDATE event_log SET logged_at = '2999-01-01T00:00:00.000Z' WHERE sequence = 5");
    assert_eq!((trim(6, 1), logged(&site.store)), (1, vec![2, 3, 4, 5, 6]));
    assert_eq!((trim(3, 10), logged(&site.store)), (2, vec![4, 5, 6]), "none past the last");
    assert_eq!((trim(6, 10), logged(&site.store)), (1, vec![5, 6]), "6 is behind a younger one");
    assert_eq!((trim(6, 10), database.count("event_log_groups")), (0, 2));
}

#[test]
fn a_log_that_was_cut_is_clean_wherever_it_begins() {
    let site = log_of_six();
    site.database.open().run(&age(6));
    for left in (0..6).rev() {
        assert_eq!(site.store.log.trim(yesterday(), 6, 1).expect("the log works"), 1);
        assert_eq!((logged(&site.store).len(), faults(&site.store)), (left, String::new()));
    }
    let report = verify(&site.store).expect("the databases can be read").to_string();
    assert!(report.starts_with("events 0, all up to 6 were cut from the log: "), "{report}");
    site.job(hours(9, 10), &[]);
    let report = verify(&site.store).expect("the databases can be read").to_string();
    assert!(report.starts_with("events 1, sequences 7 to 7, those before were cut"), "{report}");
    assert!(report.ends_with("verified: clean"), "{report}");
}

#[test]
fn an_event_without_readable_groups_goes_as_well() {
    let site = log_of_six();
    let mut database = site.database.open();
    database.run(&age(6));
    // The type of PostgreSQL's column takes no text that is no JSON.
    let unreadable = database.either("all", "\"all\"");
    let statement =
        format!("UPDATE event_log SET published_to = '{unreadable}' WHERE sequence = 2");
    database.run(&statement);
    assert_eq!(site.store.log.trim(yesterday(), 6, 10).expect("the log works"), 6);
}

fn options(event_log: Option<TestDatabase>) -> SiteOptions {
    let options = SiteOptions::default();
    let pipeline = PipelineConfig {
        event_retention: Some(DAY),
        retention_interval: Duration::from_millis(20),
        ..options.pipeline
    };
    SiteOptions { pipeline, event_log, ..options }
}

/// A site of five events, of which the log has forgotten the first three; what was
/// relayed is no longer in memory.
async fn site_of_a_cut_log() -> Site {
    let site = Site::start_with(options(None)).await;
    for day in 0..5 {
        site.job(day, None).await;
    }
    let progress = &site.server.pipeline.progress;
    until("all is logged", async || progress.logged() == 5).await;
    site.database().run(&age(3));
    until("the log is cut", async || site.database().count("event_log") == 2).await;
    site.restart().await
}

#[actix_web::test]
async fn a_subscriber_is_told_whether_the_log_reaches_back_that_far() {
    let site = site_of_a_cut_log().await;
    let group = format!("dispatch/{REGION}");
    for (after, is_complete) in [(0, false), (2, false), (3, true), (5, true)] {
        let mut client =
            HubClient::connect(&site.url("/hub/dispatch"), &token("dispatcher", &[REGION], None))
                .await;
        let subscription = json!([{ "groups": [group], "after": after }]);
        let completion = client.invoke("Subscribe", subscription).await;
        let replayed = 5 - after.max(3);
        let expected = json!({ "sequence": 5, "replayed": replayed, "complete": is_complete });
        assert_eq!(completion["result"], expected, "after {after}");
        for sequence in after.max(3) + 1..=5 {
            assert_eq!(client.next_event().await.expect("an event")["sequence"], sequence);
        }
    }
}

#[actix_web::test]
async fn the_list_of_events_begins_with_the_first_that_is_kept() {
    let site = site_of_a_cut_log().await;
    let answer = Api::admin(&site).get("/api/events").send().await;
    assert_eq!((answer.items("sequence"), answer.sequence()), (vec![json!(4), json!(5)], 5));
    assert_eq!(faults(&site.server.store), "");
    // Sequences go on, and so do commands.
    site.job(5, None).await;
    let answer = Api::admin(&site).get("/api/events?after=5").send().await;
    assert_eq!(answer.items("sequence"), [json!(6)]);
}

#[actix_web::test]
async fn what_the_outbox_still_holds_is_not_forgotten_before_it_has_left() {
    // The process ended between the log's commit and the outbox's, long ago.
    let site = StoreSite::with_log(TestDatabase::new(), TestDatabase::new());
    for hour in 0..4 {
        site.job(hours(hour, hour + 1), &[]);
    }
    let events = site.outbox();
    site.store.log.append(&entries(events[..2].to_vec()), false).expect("the log works");
    site.store.jobs.clear_outbox(1).expect("the store works");
    site.log_database().open().run(&age(4));
    let (unlogged_from, _) = site.store.jobs.outbox_start().expect("the store works");
    assert_eq!(unlogged_from, Some(2));

    let StoreSite { store, database, event_log } = site;
    drop(store);
    let site = Site::start_on(database, options(event_log)).await;
    let store = &site.server.store;
    until("the log has all that is not old", async || logged(store) == [3, 4]).await;
    assert_eq!(faults(store), "");
}
