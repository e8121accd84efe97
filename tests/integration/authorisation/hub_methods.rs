//! Every hub method, for every caller, on what is theirs, on what is not, and on what there
//! is not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use signalbox::jobs::{ContractorId, JobId};

use super::cast::{Grants, Member, NORTH, NOWHERE, SOUTH};
use super::scene::{Scene, TestContractor, TestJob};
use crate::support::http_client::Api;
use crate::support::site::token_of;
use crate::support::websocket::HubClient;

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Object {
    Region(&'static str),
    /// No region could have this name.
    NoRegion,
    Contractor(TestContractor),
    MissingContractor(ContractorId),
    NoContractor,
    Job(TestJob),
    MissingJob(JobId),
    /// Of a caller that is none of the cast.
    SomebodysToken,
    NoToken,
}

impl Object {
    fn id(&self) -> String {
        match self {
            Self::Region(name) => (*name).to_owned(),
            Self::NoRegion => "No Region".to_owned(),
            Self::Contractor(contractor) => contractor.id.to_string(),
            Self::MissingContractor(id) => id.to_string(),
            Self::NoContractor => "nobody".to_owned(),
            Self::Job(job) => job.id.to_string(),
            Self::MissingJob(id) => id.to_string(),
            Self::SomebodysToken => token_of("somebody-else", &["admin"], &[], None),
            Self::NoToken => "no.token.this".to_owned(),
        }
    }

    /// The group of a region or of a contractor.
    fn group(&self) -> String {
        match self {
            Self::Region(_) | Self::NoRegion => format!("dispatch/{}", self.id()),
            _ => format!("contractor/{}", self.id()),
        }
    }
}

/// The code that the call is refused with; none when it is carried out.
type Outcome = Option<&'static str>;

type Rule = fn(&Grants, &Object) -> Outcome;

/// The objects of a row.
type About = fn(&Scene, &[TestJob]) -> Vec<Object>;

/// The arguments of a call.
type Make = fn(&Scene, &Object) -> Value;

struct Row {
    method: &'static str,
    about: About,
    arguments: Make,
    rule: Rule,
}

/// The table: every method.
fn rows() -> Vec<Row> {
    #[rustfmt::skip]
    let rows: Vec<(&str, About, Make, Rule)> = vec![
        ("JoinDispatchGroup", regions, id, who_may_follow),
        ("LeaveDispatchGroup", regions, id, anybody),
        ("JoinContractorGroup", contractors, id, who_may_follow),
        ("LeaveContractorGroup", contractors, id, anybody),
        ("Subscribe", groups, group, who_may_follow),
        ("Subscribe", groups, group_since, who_may_follow),
        ("Unsubscribe", groups, group, anybody),
        ("StreamEvents", groups, group_since, who_may_follow),
        ("RescheduleJob", jobs, times, who_plans_the_job),
        ("CancelJob", jobs, reason, who_plans_the_job),
        ("RenewToken", tokens, id, whose_token_it_is),
        ("Look", regions, looked_at, who_may_follow),
        ("Look", jobs, opened, who_may_open_the_job),
    ];
    let row = |(method, about, arguments, rule)| Row { method, about, arguments, rule };
    rows.into_iter().map(row).collect()
}

fn regions(_: &Scene, _: &[TestJob]) -> Vec<Object> {
    [NORTH, SOUTH, NOWHERE].map(Object::Region).into_iter().chain([Object::NoRegion]).collect()
}

fn contractors(scene: &Scene, _: &[TestJob]) -> Vec<Object> {
    let missing = Object::MissingContractor(ContractorId::fresh());
    let known = scene.contractors().map(Object::Contractor);
    known.into_iter().chain([missing, Object::NoContractor]).collect()
}

fn groups(scene: &Scene, jobs: &[TestJob]) -> Vec<Object> {
    regions(scene, jobs).into_iter().chain(contractors(scene, jobs)).collect()
}

fn jobs(_: &Scene, jobs: &[TestJob]) -> Vec<Object> {
    let missing = Object::MissingJob(JobId::fresh());
    jobs.iter().copied().map(Object::Job).chain([missing]).collect()
}

fn tokens(_: &Scene, _: &[TestJob]) -> Vec<Object> {
    vec![Object::SomebodysToken, Object::NoToken]
}

fn id(_: &Scene, object: &Object) -> Value {
    json!([object.id()])
}

fn group(_: &Scene, object: &Object) -> Value {
    json!([{ "groups": [object.group()] }])
}

fn group_since(_: &Scene, object: &Object) -> Value {
    json!([{ "groups": [object.group()], "after": 0 }])
}

fn times(scene: &Scene, object: &Object) -> Value {
    let window = scene.next_window();
    let (start, end) = (window.start().to_string(), window.end().to_string());
    json!([object.id(), { "startUtc": start, "endUtc": end }])
}

fn reason(_: &Scene, object: &Object) -> Value {
    json!([object.id(), { "reason": "storm" }])
}

fn looked_at(_: &Scene, object: &Object) -> Value {
    json!([{ "regions": [object.id()] }])
}

fn opened(_: &Scene, object: &Object) -> Value {
    json!([{ "regions": [], "jobId": object.id() }])
}

fn anybody(_: &Grants, _: &Object) -> Outcome {
    None
}

fn who_may_follow(grants: &Grants, object: &Object) -> Outcome {
    let may_follow = match object {
        Object::Region(name) => grants.plans(name),
        Object::Contractor(contractor) => grants.sees_contractor(contractor),
        _ => false,
    };
    (!may_follow).then_some("forbidden")
}

fn who_plans_the_job(grants: &Grants, object: &Object) -> Outcome {
    match object {
        Object::Job(job) if grants.plans(job.region) => None,
        Object::Job(job) if grants.sees_job(job) => Some("forbidden"),
        _ => Some("not_found"),
    }
}

fn whose_token_it_is(_: &Grants, object: &Object) -> Outcome {
    Some(if *object == Object::NoToken { "unauthenticated" } else { "forbidden" })
}

/// A contractor has no jobs open, not even those that it sees.
fn who_may_open_the_job(grants: &Grants, object: &Object) -> Outcome {
    match object {
        Object::Job(job) if grants.plans(job.region) => None,
        _ => Some("not_found"),
    }
}

/// The error of a call; none when it was carried out.
async fn called(client: &mut HubClient, method: &str, arguments: Value) -> Option<String> {
    let completion = match method {
        "StreamEvents" => client.begin_stream(method, arguments).await,
        _ => client.invoke(method, arguments).await,
    };
    completion["error"].as_str().map(str::to_owned)
}

/// What is wrong with the answers to one caller in one row.
async fn faults(scene: &Scene, row: &Row, member: &Member, jobs: &[TestJob]) -> Vec<String> {
    let grants = member.grants.as_ref().expect("somebody");
    let token = member.token.as_ref().expect("a token");
    let mut client = HubClient::connect(&scene.site.url("/hub/dispatch"), token).await;
    let (mut faults, mut hidden) = (Vec::new(), BTreeSet::new());
    for object in (row.about)(scene, jobs) {
        let expected = (row.rule)(grants, &object);
        let object = match object {
            // A change of one that may be changed needs one that was not.
            Object::Job(job) if expected.is_none() => {
                Object::Job(scene.job(job.region, job.contractor).await)
            }
            object => object,
        };
        let error = called(&mut client, row.method, (row.arguments)(scene, &object)).await;
        let code = error.as_deref().map(|error| error.split(": ").next().unwrap_or(error));
        if code != expected {
            let cell = format!("{} for {} on {object:?}", row.method, member.name);
            faults.push(format!("{cell}: {error:?}, not {expected:?}"));
        }
        let is_malformed =
            matches!(object, Object::NoContractor | Object::NoRegion | Object::NoToken);
        if let Some(error) = error.filter(|_| !is_malformed && !may_know(grants, &object)) {
            let kind = std::mem::discriminant(&named_kind(&object));
            hidden.insert((format!("{kind:?}"), error.replace(&object.id(), "OBJECT")));
        }
    }
    let kinds: BTreeSet<&String> = hidden.iter().map(|(kind, _)| kind).collect();
    if hidden.len() > kinds.len() {
        // What is foreign must look as what there is not.
        faults.push(format!("{} for {} tells the two apart: {hidden:#?}", row.method, member.name));
    }
    faults
}

/// Whether the caller may know that it exists.
fn may_know(grants: &Grants, object: &Object) -> bool {
    match object {
        Object::Job(job) => grants.sees_job(job),
        Object::Contractor(contractor) => grants.sees_contractor(contractor),
        _ => false,
    }
}

/// One object for all of a kind, whether there or not.
fn named_kind(object: &Object) -> Object {
    match object {
        Object::Region(_) | Object::NoRegion => Object::NoRegion,
        Object::Job(_) | Object::MissingJob(_) => Object::MissingJob(JobId::fresh()),
        _ => Object::NoContractor,
    }
}

#[actix_web::test]
async fn every_hub_method_answers_every_caller_as_the_table_says() {
    let scene = Scene::start().await;
    let (jobs, members) = (scene.jobs().await, scene.members());
    // Every group has an event, by which a stream shows that it has begun.
    scene.job(NORTH, Some(scene.ben.id)).await;
    scene.job(NOWHERE, None).await;
    let mut wrong = Vec::new();
    for row in rows() {
        for member in &members {
            wrong.extend(faults(&scene, &row, member, &jobs).await);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let admin = Api::admin(&scene.site);
    for job in jobs {
        let job = admin.get(&format!("/api/jobs/{}", job.id)).send().await;
        assert_eq!(job.body["version"], json!(1), "a refused change changed something: {job:?}");
    }
}

#[test]
fn every_hub_method_is_in_the_table() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hub/mod.rs");
    let text = fs::read_to_string(source).expect("a source file");
    let mut declared = BTreeSet::new();
    for call in [".method(\"", ".stream_method(\""] {
        let calls = text.split(call).skip(1);
        declared.extend(calls.filter_map(|call| call.split('"').next()));
    }
    assert!(declared.len() > 5, "the methods were found");
    let listed: BTreeSet<&str> = rows().iter().map(|row| row.method).collect();
    assert_eq!(listed, declared, "a method of src/hub/mod.rs has no row, or a row no method");
}

#[actix_web::test]
async fn strangers_are_let_into_no_endpoint_of_the_hub() {
    let scene = Scene::start().await;
    let mut answers = BTreeSet::new();
    for stranger in scene.strangers() {
        let api = scene.api(&stranger);
        for (method, path) in [
            ("POST", "/hub/dispatch/negotiate?negotiateVersion=1"),
            ("GET", "/hub/dispatch"),
            ("GET", "/hub/dispatch?id=AAAAAAAAAAAAAAAAAAAAAA"),
            ("POST", "/hub/dispatch?id=AAAAAAAAAAAAAAAAAAAAAA"),
            ("DELETE", "/hub/dispatch?id=AAAAAAAAAAAAAAAAAAAAAA"),
            ("POST", "/hub/dispatch/refresh?id=AAAAAAAAAAAAAAAAAAAAAA"),
        ] {
            let answer = api.call(method, path).send().await;
            answers.insert((answer.status, answer.text));
        }
        if let Some(token) = &stranger.token {
            let client = HubClient::try_connect(&scene.site.url("/hub/dispatch"), token).await;
            assert!(client.is_none(), "{}", stranger.name);
        }
    }
    let refused = |text: &str| (401, text.to_owned());
    let refresh = r#"{"error":"invalid_token"}"#;
    assert_eq!(answers, BTreeSet::from([refused(""), refused(refresh)]));
}

#[actix_web::test]
async fn of_several_groups_all_are_joined_or_none() {
    let scene = Scene::start().await;
    for member in scene.members() {
        let (grants, token) = (member.grants.expect("somebody"), member.token.expect("a token"));
        let own: Vec<String> = groups(&scene, &[])
            .into_iter()
            .filter(|object| who_may_follow(&grants, object).is_none())
            .map(|object| object.group())
            .collect();
        for foreign in groups(&scene, &[]) {
            if who_may_follow(&grants, &foreign).is_none() {
                continue;
            }
            let mut client = HubClient::connect(&scene.site.url("/hub/dispatch"), &token).await;
            let mut asked = own.clone();
            asked.push(foreign.group());
            let arguments = json!([{ "groups": asked }]);
            let error = called(&mut client, "Subscribe", arguments).await;
            assert!(error.is_some_and(|error| error.starts_with("forbidden: ")), "{asked:?}");
            let path = format!("/api/admin/connections?user={}", member.user);
            let listed = Api::admin(&scene.site).get(&path).send().await;
            let joined = listed.items("groups");
            assert!(
                joined.iter().all(|groups| *groups == json!([])),
                "{}: {joined:?}",
                member.name
            );
        }
    }
}
