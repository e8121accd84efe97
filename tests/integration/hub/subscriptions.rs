//! Following groups from a sequence on, and streams of events.

use serde_json::{Value, json};
use signalbox::jobs::ContractorId;
use signalbox::pipeline::Panic;
use signalbox::signalr::{ConnectionOptions, HubOptions};

use super::{connect, done, join};
use crate::support::database::TestDatabase;
use crate::support::raw_websocket::{RawSocket, Received, invocation};
use crate::support::site::{REGION, Site, SiteOptions, token};
use crate::support::until;

fn group() -> String {
    format!("dispatch/{REGION}")
}

async fn call(socket: &mut RawSocket, id: &str, target: &str, argument: Value) {
    socket.send_text(&invocation(id, target, json!([argument]))).await;
}

/// Every message up to the completion of this id: the sequences of the events, and the
/// completion.
async fn until_done(socket: &mut RawSocket, id: &str) -> (Vec<u64>, Value) {
    let mut sequences = Vec::new();
    loop {
        let message = socket.message().await;
        if message["invocationId"] == id {
            return (sequences, message);
        }
        sequences.push(sequence(&message["arguments"][0]));
    }
}

fn sequence(event: &Value) -> u64 {
    event["sequence"].as_u64().unwrap_or_else(|| panic!("an event, not {event}"))
}

/// The sequences of the next events.
async fn events(socket: &mut RawSocket, count: usize) -> Vec<u64> {
    let mut sequences = Vec::new();
    for _ in 0..count {
        sequences.push(sequence(&socket.message().await["arguments"][0]));
    }
    sequences
}

fn subscribed(sequence: u64, replayed: u64) -> Value {
    json!({ "sequence": sequence, "replayed": replayed, "complete": true })
}

#[actix_web::test]
async fn a_subscription_without_a_sequence_begins_with_what_comes_next() {
    let site = Site::start().await;
    site.job(0, None).await;
    let mut socket = connect(&site).await;
    call(&mut socket, "1", "Subscribe", json!({ "groups": [group()] })).await;
    let (replayed, completion) = until_done(&mut socket, "1").await;
    assert_eq!((replayed, &completion["result"]["replayed"]), (vec![], &json!(0)));
    site.job(1, None).await;
    let next = events(&mut socket, 1).await[0];
    let known = completion["result"]["sequence"].as_u64().expect("a number");
    assert!(known < next, "what is past {known} comes live, as {next} did");
}

#[actix_web::test]
async fn what_was_missed_comes_first_and_what_happens_follows_without_a_gap() {
    let site = Site::start().await;
    for day in 0..5 {
        site.job(day, None).await;
    }
    let mut socket = connect(&site).await;
    call(&mut socket, "1", "Subscribe", json!({ "groups": [group()], "after": 2 })).await;
    let (replayed, completion) = until_done(&mut socket, "1").await;
    assert_eq!((replayed, &completion["result"]), (vec![3, 4, 5], &subscribed(5, 3)));
    for day in 5..8 {
        site.job(day, None).await;
    }
    assert_eq!(events(&mut socket, 3).await, [6, 7, 8]);
}

#[actix_web::test]
async fn what_a_former_process_relayed_is_read_from_the_log() {
    let site = Site::start().await;
    for day in 0..5 {
        site.job(day, None).await;
    }
    let site = site.restart().await;
    let mut socket = connect(&site).await;
    call(&mut socket, "1", "Subscribe", json!({ "groups": [group()], "after": 1 })).await;
    let (replayed, completion) = until_done(&mut socket, "1").await;
    assert_eq!((replayed, &completion["result"]), (vec![2, 3, 4, 5], &subscribed(5, 4)));
}

#[actix_web::test]
async fn what_a_former_process_did_not_log_is_not_missed() {
    // No folder, no log: the outbox keeps the events, and the next process relays them
    // before it has connections.
    let options = SiteOptions { event_log: Some(TestDatabase::absent()), ..SiteOptions::default() };
    let site = Site::start_with(options).await;
    for day in 0..5 {
        site.job(day, None).await;
    }
    let site = site.restart().await;
    let mut socket = connect(&site).await;
    call(&mut socket, "1", "Subscribe", json!({ "groups": [group()], "after": 1 })).await;
    let (mut seen, completion) = until_done(&mut socket, "1").await;
    let replayed = seen.len();
    assert_eq!(completion["result"]["replayed"], replayed);
    seen.extend(events(&mut socket, 4 - replayed).await);
    assert_eq!(seen, [2, 3, 4, 5]);
}

#[actix_web::test]
async fn a_subscriber_that_is_far_behind_gets_everything_once_while_events_go_on() {
    let site = Site::start().await;
    const BEFORE: u64 = 1_200;
    const DURING: u64 = 300;
    let job = site.job(0, None).await;
    let change = async |number: u64| {
        let hour = i64::try_from(number % 2).expect("small");
        site.reschedule(&job, 0, hour + 1).await.expect("the command succeeds");
    };
    for number in 1..BEFORE {
        change(number).await;
    }
    let mut socket = connect(&site).await;
    call(&mut socket, "1", "Subscribe", json!({ "groups": [group()], "after": 0 })).await;
    let going_on = async {
        for number in BEFORE..BEFORE + DURING {
            change(number).await;
        }
    };
    let reading = async {
        let (mut seen, completion) = until_done(&mut socket, "1").await;
        let rest = usize::try_from(BEFORE + DURING).expect("small") - seen.len();
        seen.extend(events(&mut socket, rest).await);
        (seen, completion)
    };
    let ((), (seen, completion)) = futures_util::future::join(going_on, reading).await;
    assert_eq!(seen, (1..=BEFORE + DURING).collect::<Vec<_>>());
    let (replayed, sequence) =
        (&completion["result"]["replayed"], &completion["result"]["sequence"]);
    assert_eq!(replayed, sequence, "every event was the group's");
    assert!(sequence.as_u64().is_some_and(|sequence| sequence >= BEFORE));
}

#[actix_web::test]
async fn an_event_that_came_live_by_another_group_is_not_sent_again() {
    let site = Site::start().await;
    let contractor = site.contractor().await;
    let mut socket = connect(&site).await;
    socket.send_text(&join("1")).await;
    assert_eq!(socket.message().await, done("1"));
    site.job(0, Some(contractor)).await;
    assert_eq!(events(&mut socket, 1).await, [1]);

    let own = format!("contractor/{contractor}");
    call(&mut socket, "2", "Subscribe", json!({ "groups": [own], "after": 0 })).await;
    let (replayed, completion) = until_done(&mut socket, "2").await;
    assert_eq!((replayed, &completion["result"]), (vec![], &subscribed(1, 0)));
    site.job(1, Some(contractor)).await;
    assert_eq!(events(&mut socket, 1).await, [2]);
    call(&mut socket, "3", "Unsubscribe", json!({ "groups": [group(), own] })).await;
    assert_eq!(socket.message().await, done("3"));
    site.job(2, Some(contractor)).await;
    call(&mut socket, "4", "Unsubscribe", json!({ "groups": [] })).await;
    assert_eq!(socket.message().await, done("4"), "and nothing after leaving");
}

/// Has the registry panic. It comes back after a pause, which doubles each time.
async fn end_registry(site: &Site) {
    let registry = &site.server.pipeline.registry;
    until("the registry is there", async || registry.try_send(Panic).is_ok()).await;
    until("the registry is gone", async || registry.try_send(Panic).is_err()).await;
}

#[actix_web::test]
async fn what_was_acknowledged_before_it_was_relayed_is_not_sent_again() {
    let site = Site::start().await;
    let mut socket = connect(&site).await;
    for day in [0, 2, 4] {
        end_registry(&site).await;
        site.job(day, None).await;
        let known = site.server.pipeline.progress.committed();
        call(&mut socket, "1", "Subscribe", json!({ "groups": [group()], "after": known })).await;
        let (replayed, completion) = until_done(&mut socket, "1").await;
        assert_eq!((replayed, &completion["result"]), (vec![], &subscribed(known, 0)));
        site.job(day + 1, None).await;
        assert_eq!(events(&mut socket, 1).await, [known + 1]);
        call(&mut socket, "2", "Unsubscribe", json!({ "groups": [group()] })).await;
        assert_eq!(socket.message().await, done("2"));
    }
}

#[actix_web::test]
async fn who_is_ahead_of_a_relay_that_does_not_come_is_told_to_try_again() {
    let site = Site::start().await;
    // The last pause is longer than a subscription waits.
    for _ in 0..7 {
        end_registry(&site).await;
    }
    let (mut ahead, mut behind) = (connect(&site).await, connect(&site).await);
    site.job(0, None).await;
    let begin = async |socket: &mut RawSocket, after: u64| {
        call(socket, "1", "Subscribe", json!({ "groups": [group()], "after": after })).await;
        until_done(socket, "1").await
    };
    let ((sent, refusal), (replayed, completion)) =
        futures_util::future::join(begin(&mut ahead, 1), begin(&mut behind, 0)).await;
    let error = refusal["error"].as_str().expect("a refusal");
    assert!(error.starts_with("store_unavailable: ") && sent.is_empty(), "{error}");
    assert_eq!((replayed, &completion["result"]), (vec![], &subscribed(0, 0)));
    assert_eq!(events(&mut behind, 1).await, [1], "it comes when the relay does");
    let again = begin(&mut ahead, 1).await;
    assert_eq!((again.0, &again.1["result"]), (vec![], &subscribed(1, 0)));
}

#[actix_web::test]
async fn a_sequence_that_has_not_happened_here_makes_the_client_reload() {
    let site = Site::start().await;
    site.job(0, None).await;
    let mut socket = connect(&site).await;
    call(&mut socket, "1", "Subscribe", json!({ "groups": [group()], "after": 99 })).await;
    let (replayed, completion) = until_done(&mut socket, "1").await;
    assert_eq!((replayed, &completion["result"]["complete"]), (vec![], &json!(false)));
}

#[actix_web::test]
async fn all_groups_are_joined_or_none() {
    let site = Site::start().await;
    let mut socket = connect(&site).await;
    let nobody = format!("contractor/{}", ContractorId::fresh());
    for (refused, code) in [
        (json!([group(), "dispatch/south"]), "forbidden: "),
        (json!([group(), nobody]), "forbidden: "),
        (json!([group(), "north"]), "forbidden: "),
        (json!([group(), "dispatch/north/"]), "forbidden: "),
        (json!([]), "invalid_field: "),
    ] {
        for after in [Value::Null, json!(0)] {
            let subscription = json!({ "groups": refused, "after": after });
            call(&mut socket, "1", "Subscribe", subscription).await;
            let error = socket.message().await["error"].take();
            assert!(error.as_str().is_some_and(|text| text.starts_with(code)), "{error}");
        }
    }
    site.job(0, None).await;
    call(&mut socket, "2", "Unsubscribe", json!({ "groups": [group()] })).await;
    assert_eq!(socket.message().await, done("2"), "it was in none");
}

#[actix_web::test]
async fn a_subscription_that_fails_half_way_leaves_no_membership_behind() {
    let hub = HubOptions { groups_per_connection_max: 1, ..HubOptions::default() };
    let site = Site::start_with(SiteOptions { hub, ..SiteOptions::default() }).await;
    let mut socket = RawSocket::connect(&site, &token("admin", &[], None)).await;
    let both = json!({ "groups": [group(), "dispatch/south"], "after": 0 });
    call(&mut socket, "1", "Subscribe", both).await;
    assert!(socket.message().await["error"].is_string());
    site.job(0, None).await;
    call(&mut socket, "2", "Subscribe", json!({ "groups": ["dispatch/south"] })).await;
    let (seen, completion) = until_done(&mut socket, "2").await;
    assert_eq!((seen, completion["error"].is_null()), (vec![], true));
}

#[actix_web::test]
async fn a_stream_brings_history_and_then_what_happens_until_it_is_cancelled() {
    let site = Site::start().await;
    for day in 0..3 {
        site.job(day, None).await;
    }
    let mut socket = connect(&site).await;
    let stream = json!({
        "type": 4, "invocationId": "s", "target": "StreamEvents",
        "arguments": [{ "groups": [group()], "after": 1 }],
    });
    socket.send_text(&format!("{stream}\u{1e}")).await;
    let item = async |socket: &mut RawSocket| {
        let message = socket.message().await;
        assert_eq!((&message["type"], &message["invocationId"]), (&json!(2), &json!("s")));
        (sequence(&message["item"]), message["item"]["type"].clone())
    };
    let created = |sequence| (sequence, json!("JobCreated"));
    assert_eq!(item(&mut socket).await, created(2));
    assert_eq!(item(&mut socket).await, created(3));
    for day in 3..6 {
        site.job(day, None).await;
        assert_eq!(item(&mut socket).await.0, u64::try_from(day).expect("positive") + 1);
    }
    socket.send_text("{\"type\":5,\"invocationId\":\"s\"}\u{1e}").await;
    assert_eq!(socket.message().await, json!({ "type": 3, "invocationId": "s" }));
    socket.send_text(&join("1")).await;
    assert_eq!(socket.message().await, done("1"));
}

#[actix_web::test]
async fn a_stream_is_refused_like_a_subscription() {
    let site = Site::start().await;
    let mut socket = connect(&site).await;
    for (argument, code) in [
        (json!({ "groups": ["dispatch/south"] }), "forbidden: "),
        (json!({ "groups": [group()], "after": 9 }), "invalid_field: after"),
    ] {
        let stream = json!({
            "type": 4, "invocationId": "s", "target": "StreamEvents", "arguments": [argument],
        });
        socket.send_text(&format!("{stream}\u{1e}")).await;
        let error = socket.message().await["error"].take();
        assert!(error.as_str().is_some_and(|text| text.starts_with(code)), "{error}");
    }
}

#[actix_web::test]
async fn a_replay_pauses_before_it_runs_over_what_may_wait_for_a_client() {
    let connection =
        ConnectionOptions { output_bytes_max: 128 * 1024, ..ConnectionOptions::default() };
    let hub = HubOptions { connection, pause_output_bytes: 16 * 1024, ..HubOptions::default() };
    let site = Site::start_with(SiteOptions { hub, ..SiteOptions::default() }).await;
    const EVENTS: u64 = 2_000;
    let job = site.job(0, None).await;
    for number in 1..EVENTS {
        let hour = i64::try_from(number % 2).expect("small");
        site.reschedule(&job, 0, hour + 1).await.expect("the command succeeds");
    }
    let mut socket = connect(&site).await;
    // A megabyte and a half: more than may wait, and more than the kernel takes at once.
    call(&mut socket, "1", "Subscribe", json!({ "groups": [group()], "after": 0 })).await;
    let (seen, _) = until_done(&mut socket, "1").await;
    assert_eq!(seen, (1..=EVENTS).collect::<Vec<_>>());
    socket.send_text("{\"type\":7}\u{1e}").await;
    assert_eq!(socket.rest().await.last(), Some(&Received::Close(1000)));
}
