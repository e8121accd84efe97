//! Every endpoint, for every caller, on what is theirs, on what is not, and on what there
//! is not.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use signalbox::jobs::{ContractorId, JobId};

use super::cast::{Grants, Member, NORTH, NOWHERE, SOUTH};
use super::scene::{Scene, TestContractor, TestJob};
use crate::support::http_client::{Answer, Api, Call};
use crate::support::polling::PollingClient;
use crate::support::site::{Site, token_of};

/// What a request is about.
#[derive(Debug, Clone)]
pub enum Object {
    /// Nothing that is anybody's.
    Nothing,
    Job(TestJob),
    MissingJob(JobId),
    Contractor(TestContractor),
    MissingContractor(ContractorId),
    Region(&'static str),
    Group(String),
    Connection(String),
    MissingConnection,
}

impl Object {
    /// How a path names it.
    fn id(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Job(job) => job.id.to_string(),
            Self::MissingJob(id) => id.to_string(),
            Self::Contractor(contractor) => contractor.id.to_string(),
            Self::MissingContractor(id) => id.to_string(),
            Self::Region(name) => (*name).to_owned(),
            Self::Group(name) | Self::Connection(name) => name.clone(),
            Self::MissingConnection => "A".repeat(22),
        }
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::MissingJob(_) | Self::MissingContractor(_) | Self::MissingConnection)
    }
}

/// What objects a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Nothing,
    Jobs,
    Contractors,
    Regions,
    Groups,
    Connections,
}

/// Status and code; the code is empty where it is no problem.
type Outcome = (u16, &'static str);

const OK: Outcome = (200, "");
const CREATED: Outcome = (201, "");
const UNAUTHENTICATED: Outcome = (401, "unauthenticated");
const FORBIDDEN: Outcome = (403, "forbidden");
const NOT_FOUND: Outcome = (404, "not_found");

/// How somebody who is let in is answered.
type Rule = fn(&Grants, &Object) -> Outcome;

/// The body of a request, or its query where it is a text.
type Make = fn(&Scene, &Object) -> Value;

enum Access {
    Members(Rule),
    /// The same answer for anybody, with or without a token.
    Anyone(Outcome),
}

struct Row {
    method: &'static str,
    /// As it is described.
    route: &'static str,
    about: About,
    make: Make,
    access: Access,
}

impl Row {
    fn changes_something(&self) -> bool {
        self.method != "GET"
    }

    fn expected(&self, member: &Member, object: &Object) -> Outcome {
        match (&self.access, &member.grants) {
            (Access::Anyone(outcome), _) => *outcome,
            (Access::Members(_), None) => UNAUTHENTICATED,
            (Access::Members(rule), Some(grants)) => rule(grants, object),
        }
    }

    fn call(&self, api: &Api, scene: &Scene, object: &Object) -> Call {
        let path = match self.route.split_once('{') {
            None => self.route.to_owned(),
            Some((start, rest)) => {
                let (_, end) = rest.split_once('}').expect("a parameter ends");
                format!("{start}{}{end}", object.id())
            }
        };
        match (self.make)(scene, object) {
            Value::Null => api.call(self.method, &path),
            Value::String(query) => api.call(self.method, &format!("{path}{query}")),
            body => api.call(self.method, &path).json(&body),
        }
    }
}

/// The table: every method of every route.
fn rows() -> Vec<Row> {
    use About as A;
    use Access::{Anyone, Members};
    #[rustfmt::skip]
    let rows: Vec<(&str, &str, About, Make, Access)> = vec![
        ("GET", "/api/jobs", A::Nothing, nothing, Members(anybody)),
        ("POST", "/api/jobs", A::Regions, draft, Members(who_plans_the_region)),
        ("GET", "/api/jobs/{id}", A::Jobs, nothing, Members(who_sees_the_job)),
        ("POST", "/api/jobs/{id}/assign", A::Jobs, nobody_assigned, Members(who_plans_the_job)),
        ("PUT", "/api/jobs/{id}/reschedule", A::Jobs, times, Members(who_plans_the_job)),
        ("POST", "/api/jobs/{id}/cancel", A::Jobs, empty, Members(who_plans_the_job)),
        ("GET", "/api/contractors", A::Nothing, nothing, Members(anybody)),
        ("POST", "/api/contractors", A::Regions, contractor, Members(who_plans_the_region)),
        ("GET", "/api/contractors/{id}", A::Contractors, nothing, Members(who_sees_the_contractor)),
        ("GET", "/api/events", A::Nothing, nothing, Members(anybody)),
        ("GET", "/api/admin/connections", A::Nothing, nothing, Members(admins)),
        ("DELETE", "/api/admin/connections", A::Nothing, of_a_user, Members(admins)),
        ("DELETE", "/api/admin/connections/{id}", A::Connections, nothing, Members(admins)),
        ("GET", "/api/admin/groups/{group}", A::Groups, nothing, Members(admins)),
        ("GET", "/healthz", A::Nothing, nothing, Anyone(OK)),
        ("GET", "/readyz", A::Nothing, nothing, Anyone(OK)),
        // Whoever is on the server's own machine, as the test is.
        ("GET", "/metrics", A::Nothing, nothing, Anyone(OK)),
        ("GET", "/openapi.json", A::Nothing, nothing, Anyone(OK)),
        ("GET", "/sign-in.json", A::Nothing, nothing, Anyone(OK)),
        ("GET", "/asyncapi.json", A::Nothing, nothing, Anyone(OK)),
        // Without a name, which is nobody's to give.
        ("GET", "/schemas/{name}.json", A::Nothing, nothing, Anyone(NOT_FOUND)),
        // There are none but in the demo.
        ("GET", "/demo/personas", A::Nothing, nothing, Anyone(NOT_FOUND)),
    ];
    let row = |(method, route, about, make, access)| Row { method, route, about, make, access };
    rows.into_iter().map(row).collect()
}

fn anybody(_: &Grants, _: &Object) -> Outcome {
    OK
}

fn admins(grants: &Grants, object: &Object) -> Outcome {
    match object {
        _ if !grants.is_admin => FORBIDDEN,
        object if object.is_missing() => NOT_FOUND,
        _ => OK,
    }
}

fn who_plans_the_region(grants: &Grants, object: &Object) -> Outcome {
    match object {
        Object::Region(region) if grants.plans(region) => CREATED,
        _ => FORBIDDEN,
    }
}

fn who_sees_the_job(grants: &Grants, object: &Object) -> Outcome {
    match object {
        Object::Job(job) if grants.sees_job(job) => OK,
        _ => NOT_FOUND,
    }
}

fn who_plans_the_job(grants: &Grants, object: &Object) -> Outcome {
    match object {
        Object::Job(job) if grants.plans(job.region) => OK,
        Object::Job(job) if grants.sees_job(job) => FORBIDDEN,
        _ => NOT_FOUND,
    }
}

fn who_sees_the_contractor(grants: &Grants, object: &Object) -> Outcome {
    match object {
        Object::Contractor(contractor) if grants.sees_contractor(contractor) => OK,
        _ => NOT_FOUND,
    }
}

fn nothing(_: &Scene, _: &Object) -> Value {
    Value::Null
}

fn of_a_user(_: &Scene, _: &Object) -> Value {
    json!("?user=somebody")
}

fn draft(scene: &Scene, object: &Object) -> Value {
    let mut draft = json!({
        "title": "Boiler inspection", "customer": "Harbour Hotel", "address": "1 Quay Street",
        "region": object.id(), "timezone": "Europe/Berlin",
    });
    let members = draft.as_object_mut().expect("an object");
    members.extend(times(scene, object).as_object().expect("an object").clone());
    draft
}

fn contractor(_: &Scene, object: &Object) -> Value {
    json!({ "name": "Eve", "region": object.id(), "timezone": "Europe/Oslo" })
}

fn times(scene: &Scene, _: &Object) -> Value {
    let window = scene.next_window();
    json!({ "startUtc": window.start().to_string(), "endUtc": window.end().to_string() })
}

fn nobody_assigned(_: &Scene, _: &Object) -> Value {
    json!({ "contractorIds": [] })
}

fn empty(_: &Scene, _: &Object) -> Value {
    json!({})
}

/// All objects of the kind: those of one region, of another, and none at all.
fn objects(about: About, scene: &Scene, jobs: &[TestJob]) -> Vec<Object> {
    let contractors = scene.contractors().map(Object::Contractor);
    match about {
        About::Nothing => vec![Object::Nothing],
        About::Jobs => {
            let missing = Object::MissingJob(JobId::fresh());
            jobs.iter().copied().map(Object::Job).chain([missing]).collect()
        }
        About::Contractors => {
            let missing = Object::MissingContractor(ContractorId::fresh());
            contractors.into_iter().chain([missing]).collect()
        }
        About::Regions => [NORTH, SOUTH, NOWHERE].map(Object::Region).into(),
        About::Groups => scene.groups().into_iter().map(Object::Group).collect(),
        About::Connections => {
            vec![Object::Connection("B".repeat(22)), Object::MissingConnection]
        }
    }
}

/// Another one of its kind for a request that changes it.
async fn fresh(scene: &Scene, object: Object) -> Object {
    match object {
        Object::Job(job) => Object::Job(scene.job(job.region, job.contractor).await),
        Object::Connection(_) => {
            let token = token_of("somebody", &["dispatcher"], &[NORTH], None);
            let client = PollingClient::connect(&scene.site, &token).await;
            Object::Connection(client.connection_id)
        }
        unchanged => unchanged,
    }
}

/// The answer without what must differ from one request to the next: ids and times.
fn masked(answer: &Answer, object: &Object) -> String {
    let mut headers = answer.headers.clone();
    let request_id = headers.remove("x-request-id").expect("every answer has one");
    headers.remove("date");
    headers.remove("content-length");
    let text = format!("{} {headers:?} {}", answer.status, answer.text);
    let text = text.replace(&request_id, "REQUEST");
    match object.id() {
        none if none.is_empty() => text,
        id => text.replace(&id, "OBJECT"),
    }
}

/// What is wrong with the answers to one caller in one row.
async fn faults(scene: &Scene, row: &Row, member: &Member, jobs: &[TestJob]) -> Vec<String> {
    let api = scene.api(member);
    let (mut faults, mut not_found) = (Vec::new(), BTreeSet::new());
    for object in objects(row.about, scene, jobs) {
        let expected = row.expected(member, &object);
        let is_change = row.changes_something() && expected.0 < 300;
        let object = if is_change { fresh(scene, object).await } else { object };
        let answer = row.call(&api, scene, &object).send().await;
        let code = answer.body["code"].as_str().unwrap_or_default();
        if (answer.status, code) != expected {
            let cell = format!("{} {} for {} on {object:?}", row.method, row.route, member.name);
            faults.push(format!("{cell}: {} {code}, not {expected:?}", answer.status));
        }
        if answer.status == 404 || answer.status == 401 {
            not_found.insert(masked(&answer, &object));
        }
    }
    if not_found.len() > 1 {
        // What is foreign must look as what there is not.
        faults.push(format!("{} tells what is from what is not: {not_found:#?}", row.route));
    }
    faults
}

#[actix_web::test]
async fn every_endpoint_answers_every_caller_as_the_table_says() {
    let scene = Scene::start().await;
    let (jobs, cast) = (scene.jobs().await, scene.cast());
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for row in rows() {
        for member in &cast {
            wrong.extend(faults(&scene, &row, member, &jobs).await);
            cells += objects(row.about, &scene, &jobs).len();
        }
    }
    println!("{cells} cells");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let admin = Api::admin(&scene.site);
    for job in jobs {
        let job = admin.get(&format!("/api/jobs/{}", job.id)).send().await;
        assert_eq!(job.body["version"], json!(1), "a refused change changed something: {job:?}");
    }
}

/// The described interface is the mounted one, as other tests hold.
#[actix_web::test]
async fn every_operation_is_in_the_table() {
    let site = Site::start().await;
    let document = Api::nobody(&site).get("/openapi.json").send().await.body;
    let paths = document["paths"].as_object().expect("paths");
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("operations").keys();
            methods.map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    assert!(described.len() > 10, "the operations were found");
    let row = |row: Row| (row.method.to_owned(), row.route.to_owned());
    let listed: BTreeSet<(String, String)> = rows().into_iter().map(row).collect();
    assert_eq!(listed, described, "an operation has no row, or a row no operation");
}

#[actix_web::test]
async fn strangers_learn_nothing_from_one_refusal_to_the_next() {
    let scene = Scene::start().await;
    let mut answers = BTreeSet::new();
    for stranger in scene.strangers() {
        let answer = scene.api(&stranger).get("/api/jobs").send().await;
        answers.insert(masked(&answer, &Object::Region(NOWHERE)));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
}
