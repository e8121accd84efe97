//! The commands, and the rules that they keep.

use futures_util::future::join_all;
use serde_json::{Value, json};
use signalbox::jobs::Timestamp;

use super::{draft, merged, path, times};
use crate::support::http_client::{Answer, Api};
use crate::support::site::{REGION, Site};

fn uuid_version(value: &Value) -> usize {
    uuid::Uuid::parse_str(value.as_str().expect("text")).expect("a UUID").get_version_num()
}

#[actix_web::test]
async fn a_created_job_is_answered_whole_and_reads_the_same_afterwards() {
    let site = Site::start().await;
    let (admin, api) = (Api::admin(&site), Api::dispatcher(&site));
    let ada = admin.created_contractor(REGION).await;
    let times =
        json!({ "startUtc": "2027-03-01T09:00:00+01:00", "endUtc": "2027-03-01T09:30:00.5Z" });
    let draft = merged(merged(draft(0), &times), &json!({ "contractorIds": [ada] }));
    let before = Timestamp::now();

    let made = api.post("/api/jobs", &draft).send().await;

    let created_at = made.body["createdAt"].as_str().expect("a time");
    let expected = json!({
        "id": made.body["id"], "title": "Boiler inspection", "customer": "Harbour Hotel",
        "address": "1 Quay Street", "region": REGION, "timezone": "Europe/Berlin",
        "startUtc": "2027-03-01T08:00:00.000Z", "endUtc": "2027-03-01T09:30:00.500Z",
        "status": "scheduled", "contractorIds": [ada], "cancellationReason": null,
        "version": 1, "createdAt": created_at, "updatedAt": created_at,
    });
    assert_eq!((made.status, &made.body), (201, &expected));
    let time = Timestamp::parse(created_at).expect("a time");
    assert!(time.to_string() == created_at && before <= time && time <= Timestamp::now());
    assert_eq!(uuid_version(&made.body["id"]), 7);
    assert_eq!(api.get(made.header("location")).send().await.body, expected);
    assert_eq!(api.get("/api/jobs").send().await.body["items"], json!([expected]));
}

#[actix_web::test]
async fn an_answer_to_a_change_names_version_and_event() {
    let site = Site::start().await;
    let (admin, api) = (Api::admin(&site), Api::dispatcher(&site));
    let ada = admin.created_contractor(REGION).await;
    let job = api.created_job(&draft(0)).await;
    let changes = [
        api.post(&path(&job, "/assign"), &json!({ "contractorIds": [ada] })),
        api.put(&path(&job, "/reschedule"), &times(1, 0)),
        api.post(&path(&job, "/cancel"), &json!({ "reason": "Flood" })),
    ];
    for (version, change) in (2..).zip(changes) {
        let answer = change.send().await;
        assert_eq!((answer.status, &answer.body["version"]), (200, &json!(version)));
        assert_eq!(answer.header("etag"), format!("\"{version}\""));
        assert_eq!(answer.sequence(), version);
        assert_eq!(uuid_version(&json!(answer.header("x-event-id"))), 7);
        assert_eq!(answer.header("location"), "");
        let read = api.get(&path(&job, "")).send().await;
        assert_eq!((&read.body, read.sequence()), (&answer.body, version));
        assert_eq!(read.header("etag"), answer.header("etag"));
    }
}

/// A job with all that may happen to it: what each request said, and the job before
/// and after.
struct Life {
    site: Site,
    created: Value,
    assigned: Value,
    moved: Value,
    last: Value,
}

impl Life {
    async fn lived() -> Self {
        let site = Site::start().await;
        let (admin, api) = (Api::admin(&site), Api::dispatcher(&site));
        let (ada, eve) =
            (admin.created_contractor(REGION).await, admin.created_contractor(REGION).await);
        let created = api.created_job(&merged(draft(0), &json!({ "contractorIds": [ada] }))).await;
        let assigned = json!({ "contractorIds": [eve, ada] });
        let moved = merged(times(1, 0), &json!({ "reason": "Customer is away" }));
        let cancel = json!({ "reason": "Flood" });
        api.post(&path(&created, "/assign"), &assigned).header("x-request-id", "r-1").send().await;
        api.put(&path(&created, "/reschedule"), &moved).send().await;
        let last = api.post(&path(&created, "/cancel"), &cancel).send().await.body;
        Self { site, created, assigned, moved, last }
    }
}

#[actix_web::test]
async fn changes_leave_the_job_as_they_say_and_the_rest_of_it_alone() {
    let Life { site: _site, created, assigned, moved, last } = Life::lived().await;
    let expected = json!({
        "contractorIds": assigned["contractorIds"],
        "startUtc": moved["startUtc"],
        "endUtc": moved["endUtc"],
        "status": "cancelled",
        "cancellationReason": "Flood",
        "version": 4,
        "updatedAt": last["updatedAt"],
    });
    assert_eq!(last, merged(created, &expected));
}

#[actix_web::test]
async fn each_change_makes_the_event_that_tells_it() {
    let Life { site, created, assigned, moved, .. } = Life::lived().await;
    let actor = json!({ "id": "dispatcher-1", "role": "dispatcher", "name": "Tess" });
    let tellings = [
        json!({ "type": "JobCreated", "contractorIds": created["contractorIds"] }),
        json!({ "type": "JobAssigned", "previousContractorIds": created["contractorIds"],
            "contractorIds": assigned["contractorIds"], "correlationId": "r-1" }),
        json!({ "type": "JobRescheduled", "previousStartUtc": created["startUtc"],
            "newEndUtc": moved["endUtc"], "reason": "Customer is away" }),
        json!({ "type": "JobCancelled", "startUtc": moved["startUtc"], "reason": "Flood" }),
    ];
    let answer = Api::admin(&site).get("/api/events").send().await;
    let events = answer.body["items"].as_array().expect("a list");
    assert_eq!(events.len(), tellings.len());
    for ((place, event), telling) in (1..).zip(events).zip(tellings) {
        let common = json!({ "sequence": place, "jobVersion": place, "jobId": created["id"],
            "title": created["title"], "region": REGION, "schemaVersion": 1, "actor": actor });
        assert_eq!(*event, merged(merged(event.clone(), &common), &telling));
    }
}

#[actix_web::test]
async fn a_change_to_what_the_job_already_is_makes_no_event() {
    let site = Site::start().await;
    let (admin, api) = (Api::admin(&site), Api::dispatcher(&site));
    let (ada, eve) =
        (admin.created_contractor(REGION).await, admin.created_contractor(REGION).await);
    let job = api.created_job(&merged(draft(0), &json!({ "contractorIds": [ada, eve] }))).await;
    for same in [
        api.put(&path(&job, "/reschedule"), &merged(times(0, 0), &json!({ "reason": "Why not" }))),
        api.post(&path(&job, "/assign"), &json!({ "contractorIds": [ada, eve] })),
        api.post(&path(&job, "/assign"), &json!({ "contractorIds": [eve, ada] })),
    ] {
        let answer = same.send().await;
        assert_eq!((answer.status, &answer.body), (200, &job));
        assert_eq!(answer.header("etag"), "\"1\"");
        assert!(!answer.headers.contains_key("x-event-id"), "{answer:?}");
    }
    assert_eq!(api.get("/api/events").send().await.items("type"), ["JobCreated"]);
}

#[actix_web::test]
async fn a_cancellation_needs_no_body_and_a_blank_reason_is_none() {
    let site = Site::start().await;
    let api = Api::dispatcher(&site);
    let bodies =
        [None, Some(json!({})), Some(json!({ "reason": null })), Some(json!({ "reason": "  " }))];
    for (day, body) in (0..).zip(bodies) {
        let job = api.created_job(&draft(day)).await;
        let cancel = api.call("POST", &path(&job, "/cancel"));
        let cancel = body.iter().fold(cancel, |cancel, body| cancel.json(body));
        let answer = cancel.send().await;
        assert_eq!((answer.status, &answer.body["cancellationReason"]), (200, &Value::Null));
    }
    let events = api.get("/api/events?type=JobCancelled").send().await;
    assert_eq!(events.items("reason"), ["No reason provided"; 4]);
}

#[actix_web::test]
async fn texts_up_to_their_bounds_are_taken_as_they_are() {
    let site = Site::start().await;
    let api = Api::dispatcher(&site);
    let texts = json!({
        "title": "\"".repeat(80), "customer": "ü".repeat(150), "address": "\\".repeat(150),
    });
    let job = api.created_job(&merged(draft(0), &texts)).await;
    assert_eq!(job, merged(job.clone(), &texts));
    let reason = json!({ "reason": "🙂".repeat(75) });
    let cancelled = api.post(&path(&job, "/cancel"), &reason).send().await;
    assert_eq!((cancelled.status, &cancelled.body["cancellationReason"]), (200, &reason["reason"]));
}

#[actix_web::test]
async fn touching_windows_do_not_conflict() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    let ada = json!({ "contractorIds": [api.created_contractor(REGION).await] });
    for hour in [1, 0, 2] {
        let draft = merged(merged(draft(0), &times(0, hour)), &ada);
        assert_eq!(api.post("/api/jobs", &draft).send().await.status, 201, "hour {hour}");
    }
}

#[actix_web::test]
async fn a_cancelled_job_makes_room_in_its_contractors_day() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    let draft =
        merged(draft(0), &json!({ "contractorIds": [api.created_contractor(REGION).await] }));
    let first = api.created_job(&draft).await;
    let conflict = api.post("/api/jobs", &draft).send().await;
    assert_eq!(conflict.body["conflictingJobIds"], json!([first["id"]]), "{conflict:?}");
    api.post(&path(&first, "/cancel"), &json!({})).send().await;
    assert_eq!(api.post("/api/jobs", &draft).send().await.status, 201);
}

#[actix_web::test]
async fn of_conflicting_changes_at_the_same_time_exactly_one_wins() {
    const JOBS: i64 = 16;
    let site = Site::start().await;
    let api = Api::admin(&site);
    let ada = json!({ "contractorIds": [api.created_contractor(REGION).await] });
    let mut jobs = Vec::new();
    for day in 0..JOBS {
        jobs.push(api.created_job(&merged(draft(day), &ada)).await);
    }
    let moved = times(100, 0);
    let changes = jobs.iter().map(|job| api.put(&path(job, "/reschedule"), &moved).send());
    let answers: Vec<Answer> = join_all(changes).await;

    let winner = answers.iter().find(|answer| answer.status == 200).expect("one wins");
    for loser in answers.iter().filter(|answer| answer.status != 200) {
        let conflict = (&loser.body["code"], &loser.body["conflictingJobIds"]);
        assert_eq!(conflict, (&json!("schedule_conflict"), &json!([winner.body["id"]])));
    }
    let starts = api.get("/api/jobs").send().await.items("startUtc");
    let moved_there = starts.iter().filter(|start| **start == moved["startUtc"]).count();
    assert_eq!((starts.len() as i64, moved_there), (JOBS, 1));
}

#[actix_web::test]
async fn a_contractor_is_created_without_an_event() {
    let site = Site::start().await;
    let api = Api::dispatcher(&site);
    let draft = json!({ "name": "Ada", "region": REGION, "timezone": "Europe/Berlin" });
    let made = api.post("/api/contractors", &draft).send().await;
    let own = json!({ "id": made.body["id"], "createdAt": made.body["createdAt"] });
    assert_eq!((made.status, &made.body), (201, &merged(draft, &own)));
    assert_eq!((made.header("x-event-id"), made.header("etag")), ("", ""));
    assert_eq!(api.get(made.header("location")).send().await.body, made.body);
    assert_eq!(api.get("/api/contractors").send().await.body["items"], json!([made.body]));
    assert_eq!(api.get("/api/events").send().await.sequence(), 0);
}
