//! What holds after any batch of any commands.

use std::collections::HashMap;

use proptest::prelude::*;

use super::site::{Site, assign, cancel, create, hours, keyed, reschedule, sequences};
use signalbox::jobs::{CommandRequest, CommittedEvent, ContractorId, Job, JobId, Scope, Version};
use signalbox::store::{JobFilter, verify};

/// A command on a small world, so that commands often meet: places in lists are taken
/// modulo their length.
#[derive(Debug, Clone)]
enum Step {
    Create { start: i64, length: i64, contractors: Vec<usize> },
    Assign { job: usize, contractors: Vec<usize> },
    Reschedule { job: usize, start: i64, length: i64, if_match: Option<Version>, key: Option<u8> },
    Cancel { job: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let contractors = || prop::collection::vec(0_usize..3, 0..3);
    prop_oneof![
        2 => (0_i64..8, 1_i64..4, contractors())
            .prop_map(|(start, length, contractors)| Step::Create { start, length, contractors }),
        2 => (0_usize..6, contractors())
            .prop_map(|(job, contractors)| Step::Assign { job, contractors }),
        3 => (0_usize..6, 0_i64..8, 1_i64..4, prop::option::of(1_u32..4), prop::option::of(0_u8..4))
            .prop_map(|(job, start, length, if_match, key)| {
                Step::Reschedule { job, start, length, if_match, key }
            }),
        1 => (0_usize..6).prop_map(|job| Step::Cancel { job }),
    ]
}

struct World {
    site: Site,
    contractors: Vec<ContractorId>,
    jobs: Vec<JobId>,
    versions: HashMap<JobId, Version>,
    last: u64,
    outbox: Vec<CommittedEvent>,
}

impl World {
    fn new() -> Self {
        let site = Site::new();
        let contractors = (0..3).map(|_| site.contractor()).collect();
        // One that exists nowhere stands first.
        let jobs = vec![JobId::fresh()];
        Self { site, contractors, jobs, versions: HashMap::new(), last: 0, outbox: Vec::new() }
    }

    fn request(&mut self, step: &Step) -> CommandRequest {
        let crew = |places: &[usize]| {
            let mut ids: Vec<_> = places.iter().map(|place| self.contractors[*place]).collect();
            ids.sort();
            ids.dedup();
            ids
        };
        let job = |place: &usize| self.jobs[place % self.jobs.len()];
        match step {
            Step::Create { start, length, contractors } => {
                let request = create("north", hours(*start, start + length), &crew(contractors));
                if let signalbox::jobs::Command::CreateJob(create) = &request.command {
                    self.jobs.push(create.id);
                }
                request
            }
            Step::Assign { job: place, contractors } => assign(job(place), &crew(contractors)),
            Step::Reschedule { job: place, start, length, if_match, key } => {
                let plain = reschedule(job(place), hours(*start, start + length));
                let request = CommandRequest { if_match: *if_match, ..plain };
                match key {
                    Some(key) => {
                        keyed(request, &key.to_string(), u8::try_from(*start).expect("an hour"))
                    }
                    None => request,
                }
            }
            Step::Cancel { job: place } => cancel(job(place), None),
        }
    }

    fn commit(&mut self, batch: &[Step]) {
        let requests: Vec<_> = batch.iter().map(|step| self.request(step)).collect();
        let committed = self.site.commit(&requests);
        assert_eq!(committed.answers.len(), requests.len());
        let expected: Vec<u64> = (self.last + 1..).take(committed.events.len()).collect();
        assert_eq!(sequences(&committed.events), expected);
        self.last += committed.events.len() as u64;
        for event in &committed.events {
            *self.versions.entry(event.job_id).or_default() += 1;
        }
        self.outbox.extend(committed.events);
    }

    fn check(&self) {
        assert_eq!(self.site.outbox(), self.outbox);
        let filter = JobFilter { limit: 500, ..JobFilter::default() };
        let page = self.site.store.jobs.jobs(&Scope::All, &filter).expect("the store works");
        assert_eq!(page.sequence, self.last);
        let versions = page.items.iter().map(|job| (job.id, job.version)).collect();
        assert_eq!(self.versions, versions, "a version is the number of the job's events");
        for contractor in &self.contractors {
            let busy: Vec<&Job> = page
                .items
                .iter()
                .filter(|job| job.status.is_live() && job.contractor_ids.contains(contractor))
                .collect();
            // By start, so each has to end before the one after it.
            for pair in busy.windows(2) {
                assert!(!pair[0].window.overlaps(pair[1].window), "{pair:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_batches_leave_no_overlap_no_version_jump_and_no_gap(
        batches in prop::collection::vec(prop::collection::vec(step(), 1..7), 1..8)
    ) {
        let mut world = World::new();
        for batch in &batches {
            world.commit(batch);
            world.check();
        }
        let report = verify(&world.site.store).expect("the databases can be read");
        prop_assert_eq!(report.faults(), 0, "{}", report);
    }
}
