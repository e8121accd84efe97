//! What surrounds every request: its id, its origin, and the server's health.

use serde_json::{Value, json};
use signalbox::http::{Origins, TARGET_BYTES_MAX};
use signalbox::jobs::Scope;
use signalbox::pipeline::PartState;
use signalbox::store::EventFilter;

use super::{draft, path, times};
use crate::support::database::TestDatabase;
use crate::support::http_client::Api;
use crate::support::site::{Site, SiteOptions};
use crate::support::until;

#[actix_web::test]
async fn a_sane_request_id_is_taken_over_into_answer_and_event() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    let ids = ["a".to_owned(), "Az09-_.:/+=@".to_owned(), "i".repeat(64)];
    for (day, id) in (0..).zip(&ids) {
        let made = api.post("/api/jobs", &draft(day)).header("x-request-id", id).send().await;
        assert_eq!(made.header("x-request-id"), id);
    }
    assert_eq!(api.get("/api/events").send().await.items("correlationId"), ids);
}

#[actix_web::test]
async fn a_well_formed_trace_is_kept_with_the_event_and_another_one_ignored() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (day, trace) in (0..).zip([good, "00-0af7651916cd43dd8448eb211c80319c-zz-01", ""]) {
        let made = api.post("/api/jobs", &draft(day)).header("traceparent", trace).send().await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let filter = EventFilter { limit: 10, ..EventFilter::default() };
    let events = site.server.store.events(&Scope::All, &filter).expect("the store works").items;
    let traces: Vec<_> = events.iter().map(|event| event.trace.map(String::from)).collect();
    assert_eq!(traces, [Some(good.to_owned()), None, None]);
    let shown = api.get("/api/events").send().await;
    assert!(!shown.text.contains("0af7651916cd"), "events look as they did: {}", shown.text);
}

#[actix_web::test]
async fn an_insane_request_id_is_replaced() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    let long = "i".repeat(65);
    let insane = ["", "a b", "a\"b", "a\\b", "a,b", "é", long.as_str()];
    for (day, id) in (0..).zip(insane) {
        let made = api.post("/api/jobs", &draft(day)).header("x-request-id", id).send().await;
        let own = made.header("x-request-id");
        assert!(own != id && uuid::Uuid::parse_str(own).is_ok(), "{id:?} became {own:?}");
    }
    let carried = api.get("/api/events").send().await.items("correlationId");
    assert!(carried.iter().all(|id| id.as_str().is_some_and(|id| id.len() == 36)), "{carried:?}");
}

#[actix_web::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let site = Site::start().await;
    let api = Api::dispatcher(&site);
    let foreign = api.get("/api/jobs").header("origin", "https://evil.example");
    let mut seen = std::collections::BTreeSet::new();
    for (name, call) in [
        ("a list", api.get("/api/jobs")),
        ("a refusal", api.get("/api/jobs/42")),
        ("a foreign origin", foreign),
        ("an unknown path", api.get("/nowhere")),
        ("a wrong method", api.call("DELETE", "/api/jobs")),
        ("health", api.get("/healthz")),
        ("a negotiation", api.call("POST", "/hub/dispatch/negotiate")),
        ("a refused negotiation", Api::nobody(&site).call("POST", "/hub/dispatch/negotiate")),
    ] {
        let answer = call.send().await;
        let id = answer.header("x-request-id").to_owned();
        assert!(id.len() == 36 && seen.insert(id), "{name}: {answer:?}");
    }
}

#[actix_web::test]
async fn every_answer_tells_browsers_to_be_careful() {
    let site = Site::start().await;
    let api = Api::dispatcher(&site);
    let foreign = api.get("/api/jobs").header("origin", "https://evil.example");
    let long = format!("/api/jobs?status={}", "x".repeat(TARGET_BYTES_MAX));
    for (name, call, is_page) in [
        ("the page", api.get("/"), cfg!(feature = "board")),
        ("a list", api.get("/api/jobs"), false),
        ("a refusal", api.get("/api/jobs/42"), false),
        ("a foreign origin", foreign, false),
        ("an unknown path", api.get("/nowhere"), false),
        ("a wrong method", api.call("DELETE", "/api/jobs"), false),
        ("another spelling", api.get("/%61pi/jobs"), false),
        ("a target too long", api.get(&long), false),
        ("nobody", Api::nobody(&site).get("/api/jobs"), false),
        ("health", api.get("/healthz"), false),
        ("metrics", api.get("/metrics"), false),
        ("a negotiation", api.call("POST", "/hub/dispatch/negotiate"), false),
        ("a refused one", Api::nobody(&site).call("POST", "/hub/dispatch/negotiate"), false),
        ("a poll of nothing", api.get("/hub/dispatch?id=x"), false),
        ("below the hub", api.get("/hub/dispatch/nowhere"), false),
    ] {
        let answer = call.send().await;
        for (header, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(header), value, "{name}: {answer:?}");
        }
        assert!(answer.header("permissions-policy").contains("geolocation=()"), "{name}");
        let policy = answer.header("content-security-policy");
        let default = if is_page { "default-src 'self'" } else { "default-src 'none'" };
        assert!(policy.starts_with(default), "{name}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{name}: {policy}");
        assert!(!policy.contains("unsafe"), "{name}: {policy}");
    }
}

#[actix_web::test]
async fn only_pages_of_the_own_origin_may_call() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    let own = site.url("");
    let other_port = format!("http://127.0.0.1:{}", site.server.address.port() ^ 1);
    for (origin, is_own) in [
        (own.as_str(), true),
        ("https://evil.example", false),
        (other_port.as_str(), false),
        ("null", false),
        ("", false),
    ] {
        let list = api.get("/api/jobs").header("origin", origin).send().await;
        let hub = api.call("POST", "/hub/dispatch/negotiate").header("origin", origin);
        let hub = hub.send().await;
        if is_own {
            assert_eq!((list.status, hub.status), (200, 200), "{origin}");
        } else {
            assert_eq!((list.status, &list.body["code"]), (403, &json!("forbidden")), "{origin}");
            assert_eq!((hub.status, hub.text.as_str()), (403, ""), "{origin}");
        }
        assert_eq!(list.header("access-control-allow-origin"), "", "nothing is configured");
    }
}

const BOARD: &str = "https://board.example";

fn open_to_the_board() -> SiteOptions {
    let origins = Origins::new(vec![BOARD.to_owned()]);
    SiteOptions { origins, ..SiteOptions::default() }
}

#[actix_web::test]
async fn a_configured_origin_may_read_answers_with_credentials() {
    let site = Site::start_with(open_to_the_board()).await;
    let api = Api::admin(&site);
    for call in [
        api.get("/api/jobs"),
        api.get("/api/jobs/42"),
        api.post("/api/jobs", &draft(0)),
        api.call("POST", "/hub/dispatch/negotiate"),
    ] {
        let answer = call.header("origin", BOARD).send().await;
        assert_ne!(answer.status, 403, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), BOARD);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
        for header in ["etag", "location", "x-event-id", "x-event-sequence", "x-request-id"] {
            assert!(exposed.split(", ").any(|name| name == header), "{header} of {exposed}");
        }
    }
    let foreign = api.get("/api/jobs").header("origin", "https://evil.example").send().await;
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (403, ""));
}

#[actix_web::test]
async fn a_configured_origin_may_ask_before_it_calls() {
    let site = Site::start_with(open_to_the_board()).await;
    let api = Api::nobody(&site);
    let asked = "authorization,content-type,if-match,x-requested-with,x-signalr-user-agent";
    for (path, method) in [
        ("/api/jobs", "POST"),
        ("/api/jobs/42/reschedule", "PUT"),
        ("/hub/dispatch/negotiate", "POST"),
        ("/hub/dispatch", "DELETE"),
    ] {
        let preflight = |origin| {
            let call = api.call("OPTIONS", path).header("origin", origin);
            call.header("access-control-request-method", method)
                .header("access-control-request-headers", asked)
                .send()
        };
        let allowed = preflight(BOARD).await;
        assert_eq!(allowed.status, 200, "{path}: {allowed:?}");
        assert_eq!(allowed.header("access-control-allow-origin"), BOARD);
        assert_eq!(allowed.header("access-control-allow-credentials"), "true");
        let methods = allowed.header("access-control-allow-methods");
        assert!(methods.split(", ").any(|name| name == method), "{path}: {methods}");
        let headers = allowed.header("access-control-allow-headers").to_ascii_lowercase();
        assert!(asked.split(',').all(|name| headers.contains(name)), "{path}: {headers}");
        assert_eq!(preflight("https://evil.example").await.status, 403, "{path}");
    }
}

#[actix_web::test]
async fn a_server_in_order_says_so_to_anyone() {
    let site = Site::start().await;
    let api = Api::nobody(&site);
    assert_eq!(api.get("/healthz").send().await.body, json!({ "status": "up" }));
    let ready = api.get("/readyz").send().await;
    let parts = json!({ "ready": true, "jobStore": "up", "eventLog": "up", "backplane": "up" });
    assert_eq!((ready.status, ready.body), (200, parts));
}

#[actix_web::test]
async fn a_server_without_its_log_is_ready() {
    let options = SiteOptions { event_log: Some(TestDatabase::absent()), ..SiteOptions::default() };
    let site = Site::start_with(options).await;
    let api = Api::admin(&site);
    api.created_job(&draft(0)).await;
    let progress = &site.server.pipeline.progress;
    until("the log is down", async || progress.log_state() == PartState::Down).await;
    let ready = api.get("/readyz").send().await;
    let parts = json!({ "ready": true, "jobStore": "up", "eventLog": "down", "backplane": "up" });
    assert_eq!((ready.status, ready.body), (200, parts));
}

#[actix_web::test]
async fn a_server_without_its_jobs_is_alive_but_serves_nothing() {
    let site = Site::start().await;
    let (api, job) = (Api::admin(&site), Api::admin(&site).created_job(&draft(0)).await);
    site.take_database_away();
    assert_eq!(api.get("/healthz").send().await.status, 200);
    let ready = api.get("/readyz").send().await;
    let state = (ready.status, &ready.body["ready"], &ready.body["jobStore"]);
    assert_eq!(state, (503, &Value::Bool(false), &json!("down")));
    for call in [
        api.get("/api/jobs"),
        api.get("/api/events"),
        api.put(&path(&job, "/reschedule"), &times(1, 0)),
        api.post("/api/jobs", &draft(1)),
    ] {
        let answer = call.send().await;
        let problem = (answer.status, &answer.body["code"], answer.header("retry-after"));
        assert_eq!(problem, (503, &json!("store_unavailable"), "1"), "{answer:?}");
    }
}

#[actix_web::test]
async fn a_refused_method_is_answered_with_those_that_the_path_has() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    for (method, path, allow) in [
        ("DELETE", "/api/jobs", "GET, POST"),
        ("POST", "/readyz", "GET"),
        ("POST", "/", "GET, HEAD"),
    ] {
        let refused = api.call(method, path).send().await;
        assert_eq!((refused.status, refused.header("allow")), (405, allow), "{method} {path}");
    }
}
