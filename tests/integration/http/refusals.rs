//! Every way to be refused: the status, the stable code, and the fields at fault. A
//! refusal is a problem document (RFC 9457) and changes nothing.

use serde_json::{Value, json};

use super::{draft, merged, path, times};
use crate::support::http_client::{Answer, Api, Call};
use crate::support::raw_http::raw_answer;
use crate::support::site::{REGION, Site, token};
use crate::support::{PATIENCE, until};

/// A request that is refused, and how.
struct Case {
    name: &'static str,
    call: Call,
    status: u16,
    code: &'static str,
    /// The fields that the problem complains about.
    fields: &'static [&'static str],
}

fn case(
    name: &'static str,
    call: Call,
    status: u16,
    code: &'static str,
    fields: &'static [&'static str],
) -> Case {
    Case { name, call, status, code, fields }
}

/// A site with something to be refused about.
struct Scene {
    site: Site,
    api: Api,
    /// Assigned to ada.
    job: Value,
    /// Ada's as well, on the next day.
    busy: Value,
    cancelled: Value,
    ada: String,
    /// Of another region.
    stranger: String,
}

const FOREIGN: &str = "south";

impl Scene {
    async fn start() -> Self {
        let site = Site::start().await;
        let (api, admin) = (Api::dispatcher(&site), Api::admin(&site));
        let ada = admin.created_contractor(REGION).await;
        let stranger = admin.created_contractor(FOREIGN).await;
        let assigned = json!({ "contractorIds": [ada] });
        let job = api.created_job(&merged(draft(0), &assigned)).await;
        let busy = api.created_job(&merged(draft(1), &assigned)).await;
        let cancelled = api.created_job(&draft(2)).await;
        let cancel = api.post(&path(&cancelled, "/cancel"), &json!({})).send().await;
        Self { site, api, job, busy, cancelled: cancel.body, ada, stranger }
    }

    fn api_of(&self, role: &str, regions: &[&str]) -> Api {
        let contractor = self.ada.parse().expect("a contractor's id");
        Api::new(&self.site, &token(role, regions, Some(contractor)))
    }

    fn create(&self, members: &Value) -> Call {
        self.api.post("/api/jobs", &merged(draft(9), members))
    }

    fn change(&self, name: &str, body: &Value) -> Call {
        let method = if name == "reschedule" { "PUT" } else { "POST" };
        self.api.call(method, &path(&self.job, &format!("/{name}"))).json(body)
    }

    /// All that a refused request could have changed.
    async fn state(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let progress = &self.site.server.pipeline.progress;
        assert!(progress.wait_logged(progress.committed(), PATIENCE).await, "all is logged");
        let mut database = self.site.database();
        let tables = ["jobs", "contractors", "event_log", "outbox", "idempotency_keys"];
        (database.job_versions(), tables.map(|table| database.count(table)))
    }
}

fn malformed_requests(scene: &Scene) -> Vec<Case> {
    let api = &scene.api;
    let malformed = |name, call| case(name, call, 400, "malformed_request", &[]);
    let json_text = |text: &str| {
        api.call("POST", "/api/jobs").header("content-type", "application/json").raw_body(text)
    };
    let mut without_title = draft(9);
    without_title.as_object_mut().expect("an object").remove("title");
    let unknown = json!({ "priority": 1 });
    vec![
        malformed("no JSON", json_text("{\"title\":")),
        malformed("no object", json_text("[]")),
        malformed("no body", json_text("")),
        malformed("something behind the JSON", json_text(&format!("{}x", draft(9)))),
        malformed("not UTF-8", json_text("").raw_body(b"{\"title\":\"\xFF\"}".to_vec())),
        malformed("a field twice", json_text("{\"title\":\"a\",\"title\":\"b\"}")),
        malformed("an unknown field of a job", scene.create(&unknown)),
        malformed("an unknown field of a change", scene.change("cancel", &unknown)),
        malformed("a field too few", api.post("/api/jobs", &without_title)),
        malformed("a field of another type", scene.create(&json!({ "title": 1 }))),
        malformed("null for a text", scene.create(&json!({ "title": null }))),
        malformed("an unknown query parameter", api.get("/api/jobs?colour=red")),
        malformed("an unknown query parameter of events", api.get("/api/events?before=3")),
        malformed("a query parameter twice", api.get("/api/jobs?limit=1&limit=2")),
        malformed("a limit that is no number", api.get("/api/jobs?limit=many")),
    ]
}

fn malformed_headers(scene: &Scene) -> Vec<Case> {
    let with = |name, header, value: &str| {
        let call = scene.change("reschedule", &times(8, 0)).header(header, value);
        case(name, call, 400, "malformed_request", &[])
    };
    vec![
        with("a tag without quotes", "if-match", "1"),
        with("several tags", "if-match", "\"1\", \"2\""),
        with("no tag", "if-match", ""),
        with("an empty key", "idempotency-key", ""),
        with("a key with a space", "idempotency-key", "a b"),
        with("a key that is not ASCII", "idempotency-key", "schlüssel"),
        with("a key that is too long", "idempotency-key", &"k".repeat(256)),
    ]
}

fn invalid_fields(scene: &Scene) -> Vec<Case> {
    let field = |name, members: Value, fields| {
        case(name, scene.create(&members), 400, "invalid_field", fields)
    };
    let contractors =
        |name, ids: Value| field(name, json!({ "contractorIds": ids }), &["contractorIds"]);
    let fresh = || json!(uuid::Uuid::now_v7());
    let eleven: Vec<Value> = (0..11).map(|_| fresh()).collect();
    let all_wrong = json!({ "title": "", "region": "A", "timezone": "?", "startUtc": "?" });
    vec![
        contractors("a contractor that is no UUID", json!(["ada"])),
        contractors("a UUID in another spelling", json!([scene.ada.replace('-', "")])),
        contractors("eleven contractors", json!(eleven)),
        contractors("a contractor twice", json!([scene.ada, scene.ada])),
        contractors("an unknown contractor", json!([fresh()])),
        contractors("a contractor of another region", json!([scene.stranger])),
        field("a region of another form", json!({ "region": "North" }), &["region"]),
        field("an unknown time zone", json!({ "timezone": "Europe/Atlantis" }), &["timezone"]),
        field("a start that is no time", json!({ "startUtc": "tomorrow" }), &["startUtc"]),
        field("an end without an offset", json!({ "endUtc": "2027-01-01T10:00:00" }), &["endUtc"]),
        field("an empty title", json!({ "title": " " }), &["title"]),
        field("a title too long", json!({ "title": "x".repeat(161) }), &["title"]),
        field("a title too long in JSON", json!({ "title": "\"".repeat(81) }), &["title"]),
        field("a customer too long", json!({ "customer": "ü".repeat(151) }), &["customer"]),
        field("an address too long", json!({ "address": "\\".repeat(151) }), &["address"]),
        field("a control character", json!({ "customer": "a\u{7}b" }), &["customer"]),
        field("all at once", all_wrong, &["title", "region", "timezone", "startUtc"]),
    ]
}

fn invalid_fields_of_changes(scene: &Scene) -> Vec<Case> {
    let field = |name, call, fields| case(name, call, 400, "invalid_field", fields);
    let assign = |ids: Value| scene.change("assign", &json!({ "contractorIds": ids }));
    let long = json!({ "reason": "x".repeat(301) });
    let contractor = json!({ "name": "\n", "region": "", "timezone": "Mars" });
    let api = &scene.api;
    vec![
        field("assigning a stranger", assign(json!([scene.stranger])), &["contractorIds"]),
        field("assigning nobody known", assign(json!(["x"])), &["contractorIds"]),
        field("a reason too long", scene.change("cancel", &long), &["reason"]),
        field(
            "another reason too long",
            scene.change("reschedule", &merged(times(8, 0), &long)),
            &["reason"],
        ),
        field(
            "two times that are none",
            scene
                .change("reschedule", &json!({ "startUtc": "", "endUtc": "1969-12-31T00:00:00Z" })),
            &["startUtc", "endUtc"],
        ),
        field(
            "a contractor of nothing",
            api.post("/api/contractors", &contractor),
            &["name", "region", "timezone"],
        ),
        field("a limit of 0", api.get("/api/jobs?limit=0"), &["limit"]),
        field("a limit of 501", api.get("/api/events?limit=501"), &["limit"]),
        field("a made-up cursor", api.get("/api/jobs?cursor=nonsense"), &["cursor"]),
        field("listing no status", api.get("/api/jobs?status=lost"), &["status"]),
        field("listing from no time", api.get("/api/jobs?from=now"), &["from"]),
        field(
            "listing for no contractor",
            api.get("/api/jobs?contractorId=ada"),
            &["contractorId"],
        ),
        field("listing no type", api.get("/api/events?type=JobLost"), &["type"]),
        field("listing no job's events", api.get("/api/events?jobId=1"), &["jobId"]),
    ]
}

fn invalid_windows(scene: &Scene) -> Vec<Case> {
    let window = |start: &str, end: &str| json!({ "startUtc": start, "endUtc": end });
    let reversed = window("2027-01-01T10:00:00Z", "2027-01-01T09:00:00Z");
    let empty = window("2027-01-01T10:00:00Z", "2027-01-01T10:00:00Z");
    let long = window("2027-01-01T10:00:00Z", "2027-02-01T10:00:00.001Z");
    [("a reversed window", reversed), ("an empty window", empty), ("32 days", long)]
        .into_iter()
        .flat_map(|(name, window)| {
            [scene.create(&window), scene.change("reschedule", &window)]
                .map(|call| case(name, call, 400, "invalid_time_window", &[]))
        })
        .collect()
}

fn wrong_requests(scene: &Scene) -> Vec<Case> {
    let api = &scene.api;
    let no_job = format!("/api/jobs/{}", uuid::Uuid::now_v7());
    let simple = format!("/api/jobs/{}", scene.job["id"].as_str().expect("an id").replace('-', ""));
    let form = scene.create(&json!({})).header("content-type", "application/x-www-form-urlencoded");
    let not_found = |name, call| case(name, call, 404, "not_found", &[]);
    let no_method = |method: &str, path: &str| {
        case("a wrong method", api.call(method, path), 405, "method_not_allowed", &[])
    };
    vec![
        case("a form", form, 415, "unsupported_media_type", &[]),
        case(
            "a body of no type",
            api.call("POST", &path(&scene.job, "/cancel")).raw_body("{}"),
            415,
            "unsupported_media_type",
            &[],
        ),
        no_method("PATCH", "/api/jobs"),
        no_method("DELETE", &path(&scene.job, "")),
        no_method("GET", &path(&scene.job, "/assign")),
        no_method("POST", &path(&scene.job, "/reschedule")),
        no_method("POST", "/api/events"),
        no_method("DELETE", "/readyz"),
        not_found("an unknown path", api.get("/api/rockets")),
        not_found("an unknown change", api.call("POST", &path(&scene.job, "/explode"))),
        not_found("no such job", api.get(&no_job)),
        not_found("cancelling no such job", api.post(&format!("{no_job}/cancel"), &json!({}))),
        not_found("a job's id that is no UUID", api.get("/api/jobs/42")),
        not_found("a job's id in another spelling", api.get(&simple)),
        not_found("rescheduling no UUID", api.put("/api/jobs/42/reschedule", &times(8, 0))),
        not_found("a contractor's id that is no UUID", api.get("/api/contractors/42")),
    ]
}

fn wrong_callers(scene: &Scene) -> Vec<Case> {
    let list = |name, api: &Api| case(name, api.get("/api/jobs"), 401, "unauthenticated", &[]);
    let nobody = Api::nobody(&scene.site);
    let basic = nobody.get("/api/jobs").header("authorization", "Basic YTpi");
    let create = nobody.post("/api/jobs", &draft(9));
    let in_url = format!("/api/jobs?access_token={}", token("admin", &[], None));
    vec![
        list("no token", &nobody),
        list("nonsense for a token", &Api::new(&scene.site, "nonsense")),
        list("half a token", &Api::new(&scene.site, &token("admin", &[], None)[..60])),
        case("another scheme", basic, 401, "unauthenticated", &[]),
        case("a token in the URL", nobody.get(&in_url), 401, "unauthenticated", &[]),
        case("a change without a token", create, 401, "unauthenticated", &[]),
    ]
}

fn strangers(scene: &Scene) -> Vec<Case> {
    let foreign = scene.api_of("dispatcher", &[FOREIGN]);
    let contractor = scene.api_of("contractor", &[REGION]);
    let of_nothing = scene.api_of("viewer", &["*"]);
    let eve = json!({ "name": "Eve", "region": REGION, "timezone": "UTC" });
    let changes = |api: &Api| {
        [
            api.post(&path(&scene.job, "/assign"), &json!({ "contractorIds": [] })),
            api.put(&path(&scene.job, "/reschedule"), &times(8, 0)),
            api.post(&path(&scene.job, "/cancel"), &json!({})),
        ]
    };
    let not_found = |name, call| case(name, call, 404, "not_found", &[]);
    let forbidden = |name, call| case(name, call, 403, "forbidden", &[]);
    let mut cases = vec![
        not_found("a foreign job", foreign.get(&path(&scene.job, ""))),
        not_found("another contractor's job", contractor.get(&path(&scene.cancelled, ""))),
        not_found("a job without a role", of_nothing.get(&path(&scene.job, ""))),
        not_found("a foreign contractor", foreign.get(&format!("/api/contractors/{}", scene.ada))),
        forbidden("creating in a foreign region", foreign.post("/api/jobs", &draft(9))),
        forbidden("a contractor creates", contractor.post("/api/jobs", &draft(9))),
        forbidden("creating without a role", of_nothing.post("/api/jobs", &draft(9))),
        forbidden("hiring in a foreign region", foreign.post("/api/contractors", &eve)),
    ];
    cases.extend(changes(&foreign).map(|call| not_found("a change of a foreign job", call)));
    cases.extend(changes(&of_nothing).map(|call| not_found("a change without a role", call)));
    cases.extend(changes(&contractor).map(|call| forbidden("a change of the own job", call)));
    cases
}

fn conflicts(scene: &Scene) -> Vec<Case> {
    let api = &scene.api;
    let conflict = |name, call| case(name, call, 409, "schedule_conflict", &[]);
    let cancelled = |call| case("a cancelled job", call, 409, "job_cancelled", &[]);
    let ada = json!({ "contractorIds": [scene.ada] });
    vec![
        conflict("moving onto another job", scene.change("reschedule", &times(1, 0))),
        conflict("creating over another job", scene.create(&merged(times(1, 0), &ada))),
        cancelled(api.post(&path(&scene.cancelled, "/assign"), &ada)),
        cancelled(api.put(&path(&scene.cancelled, "/reschedule"), &times(2, 0))),
        cancelled(api.put(&path(&scene.cancelled, "/reschedule"), &times(8, 0))),
        cancelled(api.post(&path(&scene.cancelled, "/cancel"), &json!({}))),
    ]
}

/// Whether the answer is the problem that the case says, with every member in place.
fn assert_problem(case: &Case, answer: &Answer) {
    let problem = &answer.body;
    let fields: Vec<&str> = match problem.get("errors") {
        None => Vec::new(),
        Some(errors) => errors.as_array().expect("a list").iter().map(field_of).collect(),
    };
    let found = (answer.status, problem["code"].as_str(), fields.as_slice());
    assert_eq!(found, (case.status, Some(case.code), case.fields), "{}: {answer:?}", case.name);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{}", case.name);
    assert_eq!(problem["type"], format!("urn:signalbox:problem:{}", case.code), "{}", case.name);
    assert_eq!(problem["status"], case.status, "{}", case.name);
    assert_eq!(problem["requestId"], answer.header("x-request-id"), "{}", case.name);
    for member in ["title", "detail", "requestId"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{}", case.name);
    }
    let challenge = if case.status == 401 { "Bearer" } else { "" };
    assert_eq!(answer.header("www-authenticate"), challenge, "{}", case.name);
}

fn field_of(error: &Value) -> &str {
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    error["field"].as_str().expect("a field's name")
}

#[actix_web::test]
async fn every_refusal_is_a_problem_that_says_what_is_wrong_and_changes_nothing() {
    let scene = Scene::start().await;
    let before = scene.state().await;
    let groups = [
        malformed_requests(&scene),
        malformed_headers(&scene),
        invalid_fields(&scene),
        invalid_fields_of_changes(&scene),
        invalid_windows(&scene),
        wrong_requests(&scene),
        wrong_callers(&scene),
        strangers(&scene),
        conflicts(&scene),
    ];
    for mut case in groups.into_iter().flatten() {
        let instance = case.call.path();
        let call = std::mem::replace(&mut case.call, scene.api.get("/"));
        let answer = call.send().await;
        assert_problem(&case, &answer);
        assert_eq!(answer.body["instance"], instance, "{}", case.name);
    }
    assert_eq!(scene.state().await, before);
}

#[actix_web::test]
async fn a_conflict_names_the_jobs_that_are_in_the_way() {
    let scene = Scene::start().await;
    let answer = scene.change("reschedule", &times(1, 0)).send().await;
    assert_eq!(answer.body["conflictingJobIds"], json!([scene.busy["id"]]));
}

#[actix_web::test]
async fn a_body_that_is_too_long_is_refused_before_the_rest_of_it_comes() {
    let site = Site::start().await;
    let head = format!(
        "POST /api/jobs HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {}\r\n",
        token("admin", &[], None)
    );
    let declared = format!("{head}Content-Length: 65537\r\n\r\n");
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let chunks = format!("{}1\r\nx\r\n", chunk.repeat(16));
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}");
    for request in [declared, chunked] {
        let answer = raw_answer(&site, request.as_bytes()).await;
        let problem = (answer.status, &answer.body["code"]);
        assert_eq!(problem, (413, &json!("body_too_large")), "{answer:?}");
    }
}

#[actix_web::test]
async fn a_body_of_64_kib_is_taken() {
    let site = Site::start().await;
    let text = draft(0).to_string();
    let padded = format!("{text}{}", " ".repeat(64 * 1024 - text.len()));
    let create = Api::admin(&site).call("POST", "/api/jobs").raw_body(padded);
    let answer = create.header("content-type", "application/json; charset=utf-8").send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[actix_web::test]
async fn a_command_that_finds_the_queue_full_is_refused_and_may_come_again() {
    let pipeline = signalbox::pipeline::PipelineConfig { commands_max: 1, ..Default::default() };
    let options = crate::support::site::SiteOptions { pipeline, ..Default::default() };
    let site = Site::start_with(options).await;
    let api = Api::admin(&site);
    let mut database = site.database();
    database.lock();

    // While no transaction can end, of two commands one waits and one is refused.
    let is_refused = async || {
        let create = || api.post("/api/jobs", &draft(0)).send();
        let (one, other) = futures_util::future::join(create(), create()).await;
        let full = "too many commands wait; nothing was changed";
        let refused = [one, other].into_iter().find(|answer| answer.body["detail"] == full);
        refused.is_some_and(|answer| {
            assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
            answer.body["code"] == "store_unavailable"
        })
    };
    until("a command finds the queue full", is_refused).await;
    database.unlock();
    api.created_job(&draft(0)).await;
    assert_eq!(site.database().count("jobs"), 1, "what was refused was not carried out");
}
