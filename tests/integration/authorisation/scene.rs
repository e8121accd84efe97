//! What there is to be seen and changed.

use std::cell::Cell;

use signalbox::jobs::{
    Command, ContractorId, CreateContractor, CreateJob, JobId, Region, Window, contractor_group,
    dispatch_group,
};

use super::cast::{Member, NORTH, SOUTH};
use crate::support::http_client::Api;
use crate::support::site::{Site, job_of, window};

/// A server with jobs and contractors of two regions.
pub struct Scene {
    pub site: Site,
    /// A contractor of the north, with jobs.
    pub ada: TestContractor,
    /// Another one, without.
    pub ben: TestContractor,
    /// A contractor of the south, with a job.
    pub cid: TestContractor,
    /// The next one on which nothing happens.
    day: Cell<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestContractor {
    pub id: ContractorId,
    pub region: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestJob {
    pub id: JobId,
    pub region: &'static str,
    pub contractor: Option<ContractorId>,
}

impl Scene {
    pub async fn start() -> Self {
        let site = Site::start().await;
        let (ada, ben, cid) = (
            contractor(&site, "Ada", NORTH).await,
            contractor(&site, "Ben", NORTH).await,
            contractor(&site, "Cid", SOUTH).await,
        );
        Self { site, ada, ben, cid, day: Cell::new(0) }
    }

    /// A job that nobody has touched yet, of this region and contractor.
    pub async fn job(&self, region: &'static str, contractor: Option<ContractorId>) -> TestJob {
        let create = CreateJob {
            id: JobId::fresh(),
            title: format!("Job of {region}"),
            customer: "Harbour Hotel".to_owned(),
            address: "1 Quay Street".to_owned(),
            region: named(region),
            timezone: "Europe/Berlin".to_owned(),
            window: self.next_window(),
            contractor_ids: contractor.into_iter().collect(),
        };
        let receipt = self.site.submit(Command::CreateJob(create)).await.expect("a job");
        TestJob { id: job_of(receipt).id, region, contractor }
    }

    /// On a day that no other one is on.
    pub fn next_window(&self) -> Window {
        let day = self.day.get();
        self.day.set(day + 1);
        window(day, 0)
    }

    /// One job of each kind: the north's for Ada and for nobody, the south's for Cid.
    pub async fn jobs(&self) -> [TestJob; 3] {
        [
            self.job(NORTH, Some(self.ada.id)).await,
            self.job(NORTH, None).await,
            self.job(SOUTH, Some(self.cid.id)).await,
        ]
    }

    pub fn contractors(&self) -> [TestContractor; 3] {
        [self.ada, self.ben, self.cid]
    }

    pub fn api(&self, member: &Member) -> Api {
        match &member.token {
            Some(token) => Api::new(&self.site, token),
            None => Api::nobody(&self.site),
        }
    }

    /// The groups that events are told to here.
    pub fn groups(&self) -> Vec<String> {
        let regions = [NORTH, SOUTH].map(|name| dispatch_group(&named(name)));
        let contractors = self.contractors().map(|one| contractor_group(one.id));
        regions.into_iter().chain(contractors).collect()
    }
}

/// The region of this name.
pub fn named(region: &str) -> Region {
    Region::parse(region).expect("a region")
}

async fn contractor(site: &Site, name: &str, region: &'static str) -> TestContractor {
    let id = ContractorId::fresh();
    let create = CreateContractor {
        id,
        name: name.to_owned(),
        region: named(region),
        timezone: "Europe/Berlin".to_owned(),
    };
    site.submit(Command::CreateContractor(create)).await.expect("a contractor");
    TestContractor { id, region }
}
