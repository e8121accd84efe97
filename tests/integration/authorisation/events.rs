//! No event reaches anybody who may not have it: not live, not by replay, not by the log.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use signalbox::jobs::{
    AssignJob, CancelJob, Command, ContractorId, RescheduleJob, Sequence, contractor_group,
    dispatch_group,
};

use super::cast::{Grants, Member, NORTH, SOUTH};
use super::scene::{Scene, TestJob, named};
use crate::support::PATIENCE;
use crate::support::http_client::Api;
use crate::support::until;
use crate::support::websocket::HubClient;

/// An event, and the groups that are told of it.
struct Told {
    sequence: Sequence,
    groups: BTreeSet<String>,
}

impl Scene {
    /// Does everything that makes an event, to a job of a region that goes from one
    /// contractor to another.
    async fn whole_life(&self, job: TestJob, next: Option<ContractorId>) -> Vec<Told> {
        let (before, after) = (job.contractor.as_slice().to_vec(), next.as_slice().to_vec());
        let both = [&after[..], &before[..]].concat();
        let job_id = job.id;
        let reschedule = || {
            let window = self.next_window();
            Command::RescheduleJob(RescheduleJob { job_id, window, reason: None })
        };
        let assign = |ids: &[ContractorId]| {
            Command::AssignJob(AssignJob { job_id, contractor_ids: ids.to_vec() })
        };
        let cancel = Command::CancelJob(CancelJob { job_id, reason: None });
        let steps = [
            (reschedule(), &before),
            (assign(&after), &both),
            (reschedule(), &after),
            (assign(&both), &both),
            (cancel, &both),
        ];
        let groups = |contractors: &[ContractorId]| {
            let contractors = contractors.iter().map(|id| contractor_group(*id));
            contractors.chain([dispatch_group(&named(job.region))]).collect()
        };
        let mut told = vec![Told { sequence: self.committed(), groups: groups(&before) }];
        for (command, contractors) in steps {
            // A job that is nobody's has no contractors to replace.
            if let Some(event) = self.site.submit(command).await.expect("a change").event {
                told.push(Told { sequence: event.sequence, groups: groups(contractors) });
            }
        }
        told
    }

    async fn everything(&self) -> Vec<Told> {
        let mut told = Vec::new();
        let (ada, ben, cid) = (Some(self.ada.id), Some(self.ben.id), Some(self.cid.id));
        for (region, before, after) in
            [(NORTH, ada, ben), (NORTH, ben, None), (NORTH, None, None), (SOUTH, cid, None)]
        {
            let job = self.job(region, before).await;
            told.extend(self.whole_life(job, after).await);
        }
        told
    }

    fn committed(&self) -> Sequence {
        self.site.server.pipeline.progress.committed()
    }

    /// Waits until every worker thread has handed on what was committed.
    async fn delivered(&self) {
        let progress = &self.site.server.pipeline.progress;
        until("all is relayed", || async { progress.relayed() >= progress.committed() }).await;
        // A question goes behind what a thread has to deliver.
        let answer = Api::admin(&self.site).get("/api/admin/connections").send().await;
        assert_eq!(answer.body["silentWorkers"], json!(0));
    }

    /// The groups whose events the caller may have.
    fn allowed(&self, grants: &Grants) -> BTreeSet<String> {
        let regions = [NORTH, SOUTH].into_iter().filter(|region| grants.plans(region));
        let regions = regions.map(|region| dispatch_group(&named(region)));
        let contractors = self.contractors().into_iter().filter(|one| grants.sees_contractor(one));
        regions.chain(contractors.map(|one| contractor_group(one.id))).collect()
    }

    /// Tries to follow every group, by every method there is, and minds no refusal.
    async fn follow_everything(&self, member: &Member, after: Option<Sequence>) -> HubClient {
        let token = member.token.as_ref().expect("a token");
        let mut client = HubClient::connect(&self.site.url("/hub/dispatch"), token).await;
        for group in self.groups() {
            let (kind, id) = group.split_once('/').expect("a group");
            let join = if kind == "dispatch" { "JoinDispatchGroup" } else { "JoinContractorGroup" };
            if after.is_none() {
                client.invoke(join, json!([id])).await;
            }
            client.invoke("Subscribe", json!([{ "groups": [group], "after": after }])).await;
        }
        client.invoke("Subscribe", json!([{ "groups": self.groups() }])).await;
        client
    }
}

/// The sequences of what the caller may have, of all that was told.
fn expected(scene: &Scene, member: &Member, told: &[Told]) -> Vec<Sequence> {
    let allowed = scene.allowed(member.grants.as_ref().expect("somebody"));
    let may_have = |told: &&Told| !told.groups.is_disjoint(&allowed);
    told.iter().filter(may_have).map(|told| told.sequence).collect()
}

/// The sequences of these events, in order, each once.
fn sequences(events: &[Value]) -> Vec<Sequence> {
    let mut sequences: Vec<_> =
        events.iter().map(|event| event["sequence"].as_u64().expect("a number")).collect();
    sequences.sort_unstable();
    sequences.dedup();
    sequences
}

#[actix_web::test]
async fn a_connection_gets_the_events_that_its_token_allows_and_no_other() {
    let scene = Scene::start().await;
    let members = scene.members();
    let mut clients = Vec::new();
    for member in &members {
        clients.push(scene.follow_everything(member, None).await);
    }
    let told = scene.everything().await;
    scene.delivered().await;
    for (member, client) in members.iter().zip(&mut clients) {
        client.invoke("LeaveDispatchGroup", json!(["nowhere"])).await;
        let events = client.take_events();
        let got: Vec<_> = events.iter().map(|event| event["sequence"].clone()).collect();
        assert_eq!(got, expected(&scene, member, &told), "{}", member.name);
    }
    // And so it is for whoever comes later and asks for all that was.
    for member in &members {
        let mut client = scene.follow_everything(member, Some(0)).await;
        let got = sequences(&client.take_events());
        assert_eq!(got, expected(&scene, member, &told), "{} later", member.name);
    }
}

/// The regions whose people the client was told of.
fn told_regions(client: &mut HubClient) -> BTreeSet<String> {
    let told = client.take_events();
    told.iter().map(|presence| presence["region"].as_str().expect("a region").to_owned()).collect()
}

#[actix_web::test]
async fn who_looks_is_told_to_those_who_plan_the_region_and_to_nobody_else() {
    let scene = Scene::start().await;
    let members = scene.members();
    for region in [NORTH, SOUTH] {
        let mut clients = Vec::new();
        for member in &members {
            let token = member.token.as_ref().expect("a token");
            let mut client = HubClient::connect(&scene.site.url("/hub/dispatch"), token).await;
            client.invoke("Look", json!([{ "regions": [region] }])).await;
            clients.push((member, client));
        }
        // The last one to look is told as well, and after that all that was to be told is.
        let job = scene.job(region, None).await;
        let (_, admin) = &mut clients[0];
        admin.invoke("Look", json!([{ "regions": [region], "jobId": job.id }])).await;
        while admin.next_event().await.expect("it is open")["people"][0]["jobIds"]
            != json!([job.id])
        {}
        scene.delivered().await;
        for (member, client) in clients.iter_mut().skip(1) {
            client.invoke("LeaveDispatchGroup", json!(["nowhere"])).await;
            let plans = member.grants.as_ref().expect("somebody").plans(region);
            let expected: BTreeSet<String> = plans.then(|| region.to_owned()).into_iter().collect();
            assert_eq!(told_regions(client), expected, "{} of {region}", member.name);
        }
    }
}

#[actix_web::test]
async fn the_log_shows_the_events_that_the_token_allows_and_no_other() {
    let scene = Scene::start().await;
    let told = scene.everything().await;
    let progress = &scene.site.server.pipeline.progress;
    assert!(progress.wait_logged(scene.committed(), PATIENCE).await);
    for member in scene.members() {
        let api = scene.api(&member);
        let expected = expected(&scene, &member, &told);
        let all = api.get("/api/events?limit=500").send().await;
        let got: Vec<_> = all.items("sequence");
        assert_eq!(got, expected, "{}", member.name);
        for group in scene.groups() {
            let answer = api.get(&format!("/api/events?limit=500&group={group}")).send().await;
            let of_group: Vec<_> = told
                .iter()
                .filter(|told| told.groups.contains(&group) && expected.contains(&told.sequence))
                .map(|told| told.sequence)
                .collect();
            assert_eq!(answer.items("sequence"), of_group, "{} of {group}", member.name);
        }
    }
}
