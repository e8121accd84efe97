//! Who looks at what: told to those who look as well and may see it, and to nobody else.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use signalbox::auth::{Claims, issue};
use signalbox::jobs::{JobId, Region};

use super::dispatcher;
use crate::support::site::{REGION, SECRET, Site, token};
use crate::support::until;
use crate::support::websocket::HubClient;

/// A dispatcher's connection.
async fn person(site: &Site, name: &str, regions: &[&str]) -> HubClient {
    person_until(site, name, regions, Duration::from_secs(600)).await
}

async fn person_until(site: &Site, name: &str, regions: &[&str], lives: Duration) -> HubClient {
    let until = SystemTime::now() + lives;
    let claims = Claims {
        sub: name.to_lowercase(),
        exp: until.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs(),
        name: Some(name.to_owned()),
        roles: vec!["dispatcher".to_owned()],
        regions: regions.iter().map(|region| (*region).to_owned()).collect(),
        contractor_id: None,
        iss: None,
        aud: None,
    };
    let token = issue(SECRET, &claims).expect("the secret is long enough");
    HubClient::connect(&site.url("/hub/dispatch"), &token).await
}

/// The names of those who look at a region, and what jobs they have open.
fn people(presence: &Value) -> Vec<(String, usize)> {
    let people = presence["people"].as_array().expect("a list of people");
    let person = |person: &Value| {
        let jobs = person["jobIds"].as_array().expect("a list of jobs").len();
        (person["name"].as_str().expect("a name").to_owned(), jobs)
    };
    people.iter().map(person).collect()
}

/// Looks; answers who looks at the first region.
async fn look(
    client: &mut HubClient,
    regions: &[&str],
    job: Option<JobId>,
) -> Vec<(String, usize)> {
    let looking = json!([{ "regions": regions, "jobId": job }]);
    let mut answer = client.invoke("Look", looking).await;
    assert_eq!(answer["error"], Value::Null);
    people(&answer["result"]["regions"][0].take())
}

async fn refusal(client: &mut HubClient, looking: Value) -> String {
    let answer = client.invoke("Look", json!([looking])).await;
    answer["error"].as_str().expect("it is refused").to_owned()
}

/// The next that is told of a region.
async fn told(client: &mut HubClient) -> (String, Vec<(String, usize)>) {
    loop {
        let message = client.next().await.expect("the connection stays open");
        if message["target"] == "PresenceChanged" {
            let presence = &message["arguments"][0];
            let region = presence["region"].as_str().expect("a region").to_owned();
            return (region, people(presence));
        }
    }
}

/// Waits until this is told of the region.
async fn await_told(client: &mut HubClient, expected: &[(&str, usize)]) {
    let expected: Vec<_> =
        expected.iter().map(|(name, jobs)| ((*name).to_owned(), *jobs)).collect();
    while told(client).await.1 != expected {}
}

#[actix_web::test]
async fn who_looks_at_a_region_is_told_who_comes_opens_a_job_and_goes() {
    let site = Site::start().await;
    let job = site.job(0, None).await;
    let mut ann = person(&site, "Ann", &[REGION]).await;
    assert_eq!(look(&mut ann, &[REGION], None).await, [("Ann".to_owned(), 0)]);

    let mut ben = person(&site, "Ben", &[REGION]).await;
    let there = look(&mut ben, &[REGION], None).await;
    assert_eq!(there, [("Ann".to_owned(), 0), ("Ben".to_owned(), 0)]);
    await_told(&mut ann, &[("Ann", 0), ("Ben", 0)]).await;

    look(&mut ben, &[REGION], Some(job.id)).await;
    await_told(&mut ann, &[("Ann", 0), ("Ben", 1)]).await;
    look(&mut ben, &[REGION], None).await;
    await_told(&mut ann, &[("Ann", 0), ("Ben", 0)]).await;

    ben.invoke("Look", json!([{ "regions": [] }])).await;
    await_told(&mut ann, &[("Ann", 0)]).await;
}

#[actix_web::test]
async fn a_connection_that_ends_looks_at_nothing_and_leaves_nothing_behind() {
    let site = Site::start().await;
    let mut ann = person(&site, "Ann", &[REGION]).await;
    look(&mut ann, &[REGION], None).await;
    let mut ben = person(&site, "Ben", &[REGION]).await;
    look(&mut ben, &[REGION], None).await;
    await_told(&mut ann, &[("Ann", 0), ("Ben", 0)]).await;
    drop(ben);
    await_told(&mut ann, &[("Ann", 0)]).await;

    // An expired token ends its connection as well.
    let mut eve = person_until(&site, "Eve", &[REGION], Duration::from_secs(2)).await;
    look(&mut eve, &[REGION], None).await;
    await_told(&mut ann, &[("Ann", 0), ("Eve", 0)]).await;
    await_told(&mut ann, &[("Ann", 0)]).await;

    drop(ann);
    until("nothing of them is left", async || site.server.connections() == 0).await;
    let mut late = person(&site, "Late", &[REGION]).await;
    assert_eq!(look(&mut late, &[REGION], None).await, [("Late".to_owned(), 0)]);
}

#[actix_web::test]
async fn other_regions_and_clients_that_do_not_look_are_told_nothing() {
    let site = Site::start().await;
    let mut plain = HubClient::connect(&site.url("/hub/dispatch"), &dispatcher()).await;
    plain.invoke("JoinDispatchGroup", json!([REGION])).await;
    let mut south = person(&site, "Sue", &["south"]).await;
    look(&mut south, &["south"], None).await;
    await_told(&mut south, &[("Sue", 0)]).await;
    let mut both = person(&site, "Bo", &[REGION, "south"]).await;
    look(&mut both, &[REGION], None).await;
    assert_eq!(told(&mut both).await, (REGION.to_owned(), vec![("Bo".to_owned(), 0)]));
    look(&mut both, &[REGION, "south"], None).await;
    await_told(&mut south, &[("Bo", 0), ("Sue", 0)]).await;
    // The first that the plain client hears is the event.
    site.job(0, None).await;
    let message = plain.next().await.expect("the connection stays open");
    assert_eq!(message["target"], "JobCreated");
}

#[actix_web::test]
async fn a_person_with_several_tabs_is_there_until_the_last_is_closed() {
    let site = Site::start().await;
    let (first, second) = (site.job(0, None).await, site.job(1, None).await);
    let mut ann = person(&site, "Ann", &[REGION]).await;
    look(&mut ann, &[REGION], None).await;
    let mut tabs = [person(&site, "Ben", &[REGION]).await, person(&site, "Ben", &[REGION]).await];
    look(&mut tabs[0], &[REGION], Some(first.id)).await;
    look(&mut tabs[1], &[REGION], Some(second.id)).await;
    await_told(&mut ann, &[("Ann", 0), ("Ben", 2)]).await;
    let [kept, closed] = tabs;
    drop(closed);
    await_told(&mut ann, &[("Ann", 0), ("Ben", 1)]).await;
    drop(kept);
    await_told(&mut ann, &[("Ann", 0)]).await;
}

#[actix_web::test]
async fn who_may_not_dispatch_a_region_does_not_look_at_it() {
    let site = Site::start().await;
    let contractor = site.contractor().await;
    let job = site.job(0, Some(contractor)).await;
    let other = token("contractor", &[], Some(contractor));
    let contractor = HubClient::connect(&site.url("/hub/dispatch"), &other).await;
    let mut clients = [contractor, person(&site, "Sue", &["south"]).await];
    const CONTRACTOR: usize = 0;
    const SOUTH: usize = 1;
    let too_many = vec![REGION; 201];
    for (client, looking, code) in [
        (CONTRACTOR, json!({ "regions": [REGION] }), "forbidden: "),
        (CONTRACTOR, json!({ "regions": [], "jobId": job.id }), "not_found: "),
        (SOUTH, json!({ "regions": ["south", REGION] }), "forbidden: "),
        (SOUTH, json!({ "regions": ["no region"] }), "forbidden: "),
        (SOUTH, json!({ "regions": ["south"], "jobId": job.id }), "not_found: "),
        (SOUTH, json!({ "regions": ["south"], "jobId": JobId::fresh() }), "not_found: "),
        (SOUTH, json!({ "regions": ["south"], "jobId": "job" }), "not_found: "),
        (SOUTH, json!({ "regions": too_many }), "invalid_field: "),
    ] {
        let refusal = refusal(&mut clients[client], looking.clone()).await;
        assert!(refusal.starts_with(code), "{looking}: {refusal}");
    }
    // A refused look changes nothing, so nobody is there.
    let mut ann = person(&site, "Ann", &[REGION]).await;
    assert_eq!(look(&mut ann, &[REGION], None).await, [("Ann".to_owned(), 0)]);
}

#[actix_web::test]
async fn whoever_opens_a_job_of_another_region_is_seen_there() {
    let site = Site::start().await;
    let job = site.job(0, None).await;
    assert_eq!(job.region, Region::parse(REGION).expect("a region"));
    let mut ann = person(&site, "Ann", &[REGION]).await;
    look(&mut ann, &[REGION], None).await;
    let mut bo = person(&site, "Bo", &[REGION, "south"]).await;
    assert_eq!(look(&mut bo, &["south"], Some(job.id)).await, [("Bo".to_owned(), 0)]);
    await_told(&mut ann, &[("Ann", 0), ("Bo", 1)]).await;
}

#[actix_web::test]
async fn many_changes_are_told_together() {
    let site = Site::start().await;
    let mut ann = person(&site, "Ann", &[REGION]).await;
    look(&mut ann, &[REGION], None).await;
    await_told(&mut ann, &[("Ann", 0)]).await;
    let mut ben = person(&site, "Ben", &[REGION]).await;
    const CHANGES: usize = 101;
    for change in 0..CHANGES {
        let regions: &[&str] = if change % 2 == 0 { &[REGION] } else { &[] };
        let answer = ben.invoke("Look", json!([{ "regions": regions }])).await;
        assert_eq!(answer["error"], Value::Null);
    }
    let mut messages = 1;
    while told(&mut ann).await.1.len() != 2 {
        messages += 1;
    }
    assert!(messages < CHANGES / 2, "{messages} messages for {CHANGES} changes");
}
