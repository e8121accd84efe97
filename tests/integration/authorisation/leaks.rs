//! What lists, cursors, keys and refusals could tell of what is foreign.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use signalbox::jobs::{ContractorId, JobId};

use super::cast::{NORTH, NOWHERE, SOUTH};
use super::scene::{Scene, TestJob};
use crate::support::http_client::{Answer, Api};
use crate::support::site::{token_of, window};

/// All rows of a list, page by page of one row; each cursor names its page's last row.
async fn walked(api: &Api, path: &str) -> BTreeSet<String> {
    let (mut ids, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = api.get(&format!("{path}limit=1{cursor}")).send().await;
        assert_eq!(page.status, 200, "{path}: {page:?}");
        let of_page: Vec<Value> = page.items("id");
        let texts = of_page.iter().map(|id| id.as_str().expect("an id").to_owned());
        ids.extend(texts);
        let Some(next) = page.body["nextCursor"].as_str() else {
            return ids;
        };
        let decoded = URL_SAFE_NO_PAD.decode(next).expect("base64");
        let (_, id): (String, Value) = serde_json::from_slice(&decoded).expect("a pair");
        assert_eq!([id], of_page[..], "a cursor is of what the caller has seen");
        cursor = format!("&cursor={next}");
    }
}

fn ids<T>(
    all: &[T],
    is_visible: impl Fn(&T) -> bool,
    id: impl Fn(&T) -> String,
) -> BTreeSet<String> {
    all.iter().filter(|one| is_visible(one)).map(id).collect()
}

#[actix_web::test]
async fn lists_hold_what_the_caller_sees_and_end_where_that_ends() {
    let scene = Scene::start().await;
    let mut jobs = scene.jobs().await.to_vec();
    jobs.extend(scene.jobs().await);
    let contractors = scene.contractors();
    for member in scene.members() {
        let (api, grants) = (scene.api(&member), member.grants.expect("somebody"));
        let job_ids = |is_meant: &dyn Fn(&TestJob) -> bool| {
            ids(&jobs, |job| grants.sees_job(job) && is_meant(job), |job| job.id.to_string())
        };
        let all = walked(&api, "/api/jobs?").await;
        assert_eq!(all, job_ids(&|_| true), "{}", member.name);
        for region in [NORTH, SOUTH, NOWHERE] {
            let found = walked(&api, &format!("/api/jobs?region={region}&")).await;
            assert_eq!(found, job_ids(&|job| job.region == region), "{}", member.name);
        }
        for contractor in contractors {
            let path = format!("/api/jobs?contractorId={}&", contractor.id);
            let found = walked(&api, &path).await;
            let of_contractor = |job: &TestJob| job.contractor == Some(contractor.id);
            assert_eq!(found, job_ids(&of_contractor), "{}", member.name);
        }
        let found = walked(&api, "/api/contractors?").await;
        let seen = ids(&contractors, |one| grants.sees_contractor(one), |one| one.id.to_string());
        assert_eq!(found, seen, "{}", member.name);
    }
}

/// The answer without its request's id and time.
fn told(answer: Answer) -> (u16, String, String) {
    let sequence = answer.header("x-event-sequence").to_owned();
    let request_id = answer.header("x-request-id").to_owned();
    (answer.status, sequence, answer.text.replace(&request_id, "REQUEST"))
}

#[actix_web::test]
async fn to_ask_for_what_is_foreign_is_answered_as_to_ask_for_what_is_not_there() {
    let scene = Scene::start().await;
    let south = scene.jobs().await[2];
    let token = token_of("nora", &["dispatcher"], &[NORTH], None);
    let api = Api::new(&scene.site, &token);
    let (no_job, no_contractor) = (JobId::fresh(), ContractorId::fresh());
    for (foreign, missing) in [
        ("/api/jobs?region=south".to_owned(), "/api/jobs?region=nowhere".to_owned()),
        ("/api/contractors?region=south".to_owned(), "/api/contractors?region=nowhere".to_owned()),
        (
            format!("/api/jobs?contractorId={}", scene.cid.id),
            format!("/api/jobs?contractorId={no_contractor}"),
        ),
        (format!("/api/events?jobId={}", south.id), format!("/api/events?jobId={no_job}")),
        (
            "/api/events?group=dispatch/south".to_owned(),
            "/api/events?group=dispatch/nowhere".to_owned(),
        ),
        (
            format!("/api/events?group=contractor/{}", scene.cid.id),
            format!("/api/events?group=contractor/{no_contractor}"),
        ),
    ] {
        let (one, other) = (api.get(&foreign).send().await, api.get(&missing).send().await);
        assert_eq!(one.status, 200);
        assert_eq!(one.body["items"], json!([]), "{foreign}");
        assert_eq!(told(one), told(other), "{foreign}");
    }
    // A contractor of another region is no other than one who does not exist.
    let job = scene.job(NORTH, None).await;
    let assign = format!("/api/jobs/{}/assign", job.id);
    let mut answers = Vec::new();
    for id in [scene.cid.id, no_contractor] {
        let answer = api.post(&assign, &json!({ "contractorIds": [id] })).send().await;
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!("invalid_field")));
        let (status, sequence, text) = told(answer);
        answers.push((status, sequence, text.replace(&id.to_string(), "CONTRACTOR")));
    }
    assert_eq!(answers[0], answers[1]);
}

#[actix_web::test]
async fn a_conflict_names_jobs_that_the_caller_sees() {
    let scene = Scene::start().await;
    let [busy, free, _] = scene.jobs().await;
    for member in scene.members() {
        let (api, grants) = (scene.api(&member), member.grants.expect("somebody"));
        // Contractors and their jobs are of one region, so whoever plans one of two jobs that
        // conflict sees the other one.
        let admin = Api::admin(&scene.site);
        let window = admin.get(&format!("/api/jobs/{}", busy.id)).send().await.body;
        let moved = json!({ "startUtc": window["startUtc"], "endUtc": window["endUtc"] });
        let other = scene.job(NORTH, Some(scene.ada.id)).await;
        let answer = api.put(&format!("/api/jobs/{}/reschedule", other.id), &moved).send().await;
        let conflicts = answer.body["conflictingJobIds"].as_array().cloned().unwrap_or_default();
        let expected = if grants.plans(NORTH) { vec![json!(busy.id)] } else { Vec::new() };
        assert_eq!(conflicts, expected, "{}: {answer:?}", member.name);
        assert!(!answer.text.contains(&free.id.to_string()));
    }
}

#[actix_web::test]
async fn a_mismatch_shows_the_job_to_whoever_may_change_it_and_to_nobody_else() {
    let scene = Scene::start().await;
    let jobs = scene.jobs().await;
    for member in scene.members() {
        let (api, grants) = (scene.api(&member), member.grants.expect("somebody"));
        for job in jobs {
            let cancel = api.post(&format!("/api/jobs/{}/cancel", job.id), &json!({}));
            let answer = cancel.header("if-match", "\"7\"").send().await;
            let shows = answer.body.get("job").is_some();
            assert_eq!(shows, grants.plans(job.region), "{}: {answer:?}", member.name);
        }
    }
}

/// A change under a key, as one caller repeats it or another tries it.
async fn keyed(api: &Api, path: &str, body: &Value) -> Answer {
    api.post(path, body).header("idempotency-key", "the-same-key").send().await
}

#[actix_web::test]
async fn a_key_is_its_callers_own() {
    let scene = Scene::start().await;
    let [_, north, south] = scene.jobs().await;
    let cancel = |job: TestJob| format!("/api/jobs/{}/cancel", job.id);
    let of = |user, regions: &[&str]| {
        Api::new(&scene.site, &token_of(user, &["dispatcher"], regions, None))
    };
    let (nora, sven) = (of("nora", &[NORTH]), of("sven", &[SOUTH]));
    let body = json!({ "reason": "storm" });
    assert_eq!(keyed(&nora, &cancel(north), &body).await.status, 200);
    // The same request of somebody who may not see it, and another one under that key.
    let foreign = keyed(&sven, &cancel(north), &body).await;
    assert_eq!((foreign.status, &foreign.body["code"]), (404, &json!("not_found")));
    assert_eq!(keyed(&sven, &cancel(south), &body).await.status, 200);
    // The caller's own, again.
    assert_eq!(keyed(&nora, &cancel(north), &body).await.status, 200);
}

#[actix_web::test]
async fn a_key_brings_no_answer_back_to_a_caller_who_may_no_longer_have_it() {
    let scene = Scene::start().await;
    let [_, job, _] = scene.jobs().await;
    let cancel = format!("/api/jobs/{}/cancel", job.id);
    let mut draft = json!({
        "title": "Boiler inspection", "customer": "Harbour Hotel", "address": "1 Quay Street",
        "region": NORTH, "timezone": "Europe/Berlin",
    });
    draft["startUtc"] = json!(window(900, 0).start().to_string());
    draft["endUtc"] = json!(window(900, 0).end().to_string());
    let eve = json!({ "name": "Eve", "region": NORTH, "timezone": "Europe/Oslo" });
    let of = |roles: &[&str], regions: &[&str]| {
        Api::new(&scene.site, &token_of("nora", roles, regions, None))
    };
    let before = of(&["dispatcher"], &[NORTH]);
    let requests = [
        ("cancel", cancel, json!({})),
        ("job", "/api/jobs".to_owned(), draft),
        ("contractor", "/api/contractors".to_owned(), eve),
    ];
    for (key, path, body) in &requests {
        let first = before.post(path, body).header("idempotency-key", key).send().await;
        assert!(first.status < 300, "{key}: {first:?}");
    }
    for after in [of(&["dispatcher"], &[SOUTH]), of(&["contractor"], &[NORTH]), of(&[], &[])] {
        for (key, path, body) in &requests {
            let again = after.post(path, body).header("idempotency-key", key).send().await;
            let refused = if *key == "cancel" { 404 } else { 403 };
            assert_eq!(again.status, refused, "{key}: {again:?}");
        }
    }
    for (key, path, body) in &requests {
        let again = before.post(path, body).header("idempotency-key", key).send().await;
        assert!(again.status < 300, "{key}: {again:?}");
    }
}
