//! Changes over the hub: the rules and the codes are those of HTTP.

use serde_json::{Value, json};
use signalbox::jobs::{Job, JobId};

use super::{connect, join};
use crate::support::http_client::Api;
use crate::support::raw_websocket::{RawSocket, invocation};
use crate::support::site::{REGION, Site, token, window};

/// Calls a method; answers its result, or its error's text.
async fn ask(socket: &mut RawSocket, target: &str, arguments: Value) -> Result<Value, String> {
    socket.send_text(&invocation("i", target, arguments)).await;
    let mut completion = socket.message().await;
    match completion["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(completion["result"].take()),
    }
}

/// The change to an hour of the job's day.
fn to_hour(hour: i64) -> Value {
    let window = window(0, hour);
    json!({ "startUtc": window.start(), "endUtc": window.end() })
}

fn with(mut change: Value, member: &str, value: Value) -> Value {
    change[member] = value;
    change
}

async fn as_over_http(site: &Site, job: &Job) -> Value {
    Api::dispatcher(site).get(&format!("/api/jobs/{}", job.id)).send().await.body
}

#[actix_web::test]
async fn a_job_is_rescheduled_and_cancelled_and_everybody_is_told() {
    let site = Site::start().await;
    let job = site.job(0, None).await;
    let mut watcher = connect(&site).await;
    watcher.send_text(&join("1")).await;
    watcher.message().await;
    let mut socket = connect(&site).await;

    let change = with(to_hour(3), "reason", json!("traffic"));
    let moved = ask(&mut socket, "RescheduleJob", json!([job.id, change])).await.expect("moved");
    assert_eq!((&moved["version"], &moved["startUtc"]), (&json!(2), &to_hour(3)["startUtc"]));
    assert_eq!(moved, as_over_http(&site, &job).await);
    let mut event = watcher.message().await;
    if event["target"] == "JobCreated" {
        // It was relayed after the watcher had joined.
        event = watcher.message().await;
    }
    let told = &event["arguments"][0];
    assert_eq!((&event["target"], &told["reason"]), (&json!("JobRescheduled"), &json!("traffic")));
    assert_eq!(told["actor"]["id"], "dispatcher-1");

    let cancelled = ask(&mut socket, "CancelJob", json!([job.id, { "reason": "ill" }])).await;
    let cancelled = cancelled.expect("cancelled");
    assert_eq!(
        (&cancelled["status"], &cancelled["cancellationReason"]),
        (&json!("cancelled"), &json!("ill"))
    );
    assert_eq!(watcher.message().await["target"], "JobCancelled");
}

#[actix_web::test]
async fn a_cancellation_needs_no_reason() {
    let site = Site::start().await;
    for (day, change) in [(0, json!(null)), (1, json!({})), (2, json!({ "reason": null }))] {
        let job = site.job(day, None).await;
        let mut socket = connect(&site).await;
        let outcome = ask(&mut socket, "CancelJob", json!([job.id, change])).await;
        assert_eq!(outcome.expect("cancelled")["status"], "cancelled", "{change}");
    }
}

#[actix_web::test]
async fn a_refused_change_says_its_code_and_changes_nothing() {
    let site = Site::start().await;
    let contractor = site.contractor().await;
    let busy = site.job(0, Some(contractor)).await;
    let job = site.job(1, Some(contractor)).await;
    let before = as_over_http(&site, &job).await;
    let mut socket = connect(&site).await;
    let (start, end) = (to_hour(1)["startUtc"].clone(), to_hour(0)["startUtc"].clone());
    let overlap = json!({ "startUtc": busy.window.start(), "endUtc": busy.window.end() });
    let long = json!("x".repeat(301));
    for (target, id, change, code) in [
        ("RescheduleJob", job.id, overlap, "schedule_conflict: "),
        ("RescheduleJob", job.id, with(to_hour(5), "ifMatch", json!(7)), "version_mismatch: "),
        ("RescheduleJob", JobId::fresh(), to_hour(5), "not_found: "),
        ("RescheduleJob", job.id, json!({ "startUtc": start, "endUtc": end }), "invalid_time"),
        ("RescheduleJob", job.id, json!({ "startUtc": "now", "endUtc": end }), "invalid_field: "),
        ("RescheduleJob", job.id, with(to_hour(5), "reason", long.clone()), "invalid_field: "),
        ("RescheduleJob", job.id, with(to_hour(5), "why", json!("")), "malformed_request: "),
        ("RescheduleJob", job.id, json!({}), "malformed_request: "),
        ("RescheduleJob", job.id, with(to_hour(5), "ifMatch", json!("1")), "malformed_request: "),
        ("CancelJob", job.id, json!({ "ifMatch": 7 }), "version_mismatch: "),
        ("CancelJob", job.id, json!({ "reason": long }), "invalid_field: "),
        ("CancelJob", JobId::fresh(), json!({}), "not_found: "),
        ("CancelJob", job.id, json!(["x"]), "malformed_request: "),
    ] {
        let refused = ask(&mut socket, target, json!([id, change])).await;
        let error = refused.expect_err("it is refused");
        assert!(error.starts_with(code), "{target} {change}: {error}");
    }
    let no_id = ask(&mut socket, "CancelJob", json!(["one", {}])).await.expect_err("no job");
    assert!(no_id.starts_with("not_found: "), "{no_id}");
    assert_eq!(as_over_http(&site, &job).await, before);
}

#[actix_web::test]
async fn who_may_not_change_a_job_does_not_over_the_hub_either() {
    let site = Site::start().await;
    let contractor = site.contractor().await;
    let job = site.job(0, Some(contractor)).await;
    for (role, regions, code) in [
        ("dispatcher", &["south"][..], "not_found: "),
        ("contractor", &[REGION], "forbidden: "),
        ("viewer", &["*"], "not_found: "),
    ] {
        let mut socket = RawSocket::connect(&site, &token(role, regions, Some(contractor))).await;
        for (target, change) in [("RescheduleJob", to_hour(5)), ("CancelJob", json!({}))] {
            let refused = ask(&mut socket, target, json!([job.id, change])).await;
            let error = refused.expect_err("it is refused");
            assert!(error.starts_with(code), "{role} {target}: {error}");
        }
    }
}

#[actix_web::test]
async fn a_change_that_matches_its_version_is_made() {
    let site = Site::start().await;
    let job = site.job(0, None).await;
    let mut socket = connect(&site).await;
    let change = with(to_hour(5), "ifMatch", json!(1));
    let moved = ask(&mut socket, "RescheduleJob", json!([job.id, change.clone()])).await;
    assert_eq!(moved.expect("moved")["version"], 2);
    let again = ask(&mut socket, "RescheduleJob", json!([job.id, change])).await;
    assert!(again.expect_err("changed since").starts_with("version_mismatch: "));
}
