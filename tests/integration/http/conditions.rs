//! Changes that apply on a condition: `If-Match` and `Idempotency-Key`.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{draft, merged, path, times};
use crate::support::http_client::{Answer, Api, Call};
use crate::support::site::{REGION, Site};

#[actix_web::test]
async fn a_change_applies_to_the_version_that_if_match_names() {
    let site = Site::start().await;
    let api = Api::dispatcher(&site);
    let job = api.created_job(&draft(0)).await;
    for (version, tag) in (2..).zip(["\"1\"", " \"2\" ", "*"]) {
        let change = api.put(&path(&job, "/reschedule"), &times(version, 0));
        let answer = change.header("if-match", tag).send().await;
        assert_eq!((answer.status, &answer.body["version"]), (200, &json!(version)), "{tag}");
    }
    let cancel = api.post(&path(&job, "/cancel"), &json!({})).header("if-match", "\"4\"");
    assert_eq!(cancel.send().await.status, 200);
}

#[actix_web::test]
async fn a_change_of_another_version_is_refused_and_shows_the_job_as_it_is() {
    let site = Site::start().await;
    let api = Api::dispatcher(&site);
    let job = api.created_job(&draft(0)).await;
    let assign = json!({ "contractorIds": [] });
    for tag in ["\"2\"", "\"0\"", "W/\"1\"", "\"one\"", "\"\"", "\"+1\"", "\"01\"", "\"-1\""] {
        for change in [
            api.post(&path(&job, "/assign"), &assign),
            api.put(&path(&job, "/reschedule"), &times(1, 0)),
            api.put(&path(&job, "/reschedule"), &times(0, 0)),
            api.post(&path(&job, "/cancel"), &json!({})),
        ] {
            let answer = change.header("if-match", tag).send().await;
            let refusal = (answer.status, &answer.body["code"], &answer.body["job"]);
            assert_eq!(refusal, (412, &json!("version_mismatch"), &job), "{tag}");
        }
    }
    assert_eq!(api.get("/api/events").send().await.sequence(), 1);
}

/// Requests that each may be repeated under a key, in an order in which they apply.
async fn keyed_requests(api: &Api) -> Vec<(&'static str, String, Value)> {
    let ada = api.created_contractor(REGION).await;
    let job = api.created_job(&draft(0)).await;
    let eve = json!({ "name": "Eve", "region": REGION, "timezone": "Europe/Oslo" });
    vec![
        ("POST", "/api/contractors".to_owned(), eve),
        ("POST", "/api/jobs".to_owned(), draft(1)),
        ("POST", path(&job, "/assign"), json!({ "contractorIds": [ada] })),
        ("PUT", path(&job, "/reschedule"), times(2, 0)),
        ("PUT", path(&job, "/reschedule"), times(2, 0)),
        ("POST", path(&job, "/cancel"), json!({ "reason": "Flood" })),
    ]
}

/// Sends each request under a key of its own.
async fn send_keyed(api: &Api, requests: &[(&'static str, String, Value)]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (place, (method, path, body)) in requests.iter().enumerate() {
        let call = api.call(method, path).json(body);
        let answer = call.header("idempotency-key", &format!("key-{place}")).send().await;
        assert!(answer.status < 300, "{answer:?}");
        answers.push(without_chance(answer));
    }
    answers
}

/// The answer without what differs between any two answers.
fn without_chance(mut answer: Answer) -> Answer {
    answer.headers.remove("date");
    answer.headers.remove("x-request-id");
    answer
}

#[actix_web::test]
async fn a_request_repeated_under_its_key_gets_its_answer_again_and_makes_no_second_event() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    let requests = keyed_requests(&api).await;
    let first = send_keyed(&api, &requests).await;
    let last = api.get("/api/events").send().await.sequence();
    let again = send_keyed(&api, &requests).await;
    assert_eq!(again, first);
    assert_eq!(api.get("/api/events").send().await.sequence(), last);
    let named = first.iter().filter(|answer| answer.headers.contains_key("x-event-id")).count();
    assert_eq!(named, 4, "neither the contractor nor the second move made an event");
}

#[actix_web::test]
async fn a_key_is_honoured_by_a_server_that_was_restarted() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    let requests = keyed_requests(&api).await;
    let first = send_keyed(&api, &requests).await;
    let last = api.get("/api/events").send().await.sequence();

    let site = site.restart().await;
    let api = Api::admin(&site);
    assert_eq!(send_keyed(&api, &requests).await, first);
    assert_eq!(api.get("/api/events").send().await.sequence(), last);
}

#[actix_web::test]
async fn a_request_sent_many_times_at_once_under_one_key_is_carried_out_once() {
    let site = Site::start().await;
    let api = Api::dispatcher(&site);
    let calls =
        (0..8).map(|_| api.post("/api/jobs", &draft(0)).header("idempotency-key", "once").send());
    let answers: Vec<Answer> = join_all(calls).await.into_iter().map(without_chance).collect();
    assert_eq!(answers[0].status, 201);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(api.get("/api/jobs").send().await.items("id").len(), 1);
}

#[actix_web::test]
async fn a_key_is_good_for_one_request_only() {
    let site = Site::start().await;
    let api = Api::dispatcher(&site);
    let key = "k".repeat(255);
    let keyed = |call: Call| call.header("idempotency-key", &key).send();
    let job = keyed(api.post("/api/jobs", &draft(0))).await.body;
    let contractor = json!({ "name": "Eve", "region": REGION, "timezone": "Europe/Oslo" });
    for other in [
        api.post("/api/jobs", &merged(draft(0), &json!({ "title": "Another" }))),
        api.post("/api/jobs", &draft(0)).header("if-match", "*"),
        api.post("/api/contractors", &contractor),
        api.post(&path(&job, "/cancel"), &json!({})),
    ] {
        let answer = keyed(other).await;
        let refusal = (answer.status, &answer.body["code"]);
        assert_eq!(refusal, (422, &json!("idempotency_key_reused")), "{answer:?}");
    }
    assert_eq!(api.get("/api/events").send().await.sequence(), 1);
}

#[actix_web::test]
async fn callers_use_the_same_key_independently() {
    let site = Site::start().await;
    let (admin, dispatcher) = (Api::admin(&site), Api::dispatcher(&site));
    let mut ids = Vec::new();
    for api in [&admin, &dispatcher, &admin] {
        let create = api.post("/api/jobs", &draft(0)).header("idempotency-key", "k");
        ids.push(create.send().await.body["id"].clone());
    }
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
}

#[actix_web::test]
async fn a_refused_command_does_not_use_its_key_up() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    let ada = json!({ "contractorIds": [api.created_contractor(REGION).await] });
    let busy = api.created_job(&merged(draft(1), &ada)).await;
    let job = api.created_job(&merged(draft(0), &ada)).await;
    let move_keyed = || {
        let change = api.put(&path(&job, "/reschedule"), &times(1, 0));
        change.header("idempotency-key", "k").send()
    };
    assert_eq!(move_keyed().await.status, 409);
    api.post(&path(&busy, "/cancel"), &json!({})).send().await;
    assert_eq!(move_keyed().await.status, 200, "the same request under the same key");
    let other = api.put(&path(&job, "/reschedule"), &times(1, 0)).header("if-match", "\"9\"");
    assert_eq!(other.header("idempotency-key", "fresh").send().await.status, 412);
    let other = api.put(&path(&job, "/reschedule"), &times(5, 0));
    assert_eq!(other.header("idempotency-key", "fresh").send().await.status, 200);
}
