//! What must hold when the faults are over: everything that was acknowledged is there,
//! once, and reached everybody who followed.

use std::collections::HashMap;

use super::load::Notes;
use super::subscriber::Followed;
use crate::support::database::{LoggedEvent, TestDatabase};
use crate::support::wait_until;
use signalbox::store::{self, StoreConfig, open_read_only};

/// What writers and subscribers noted.
pub struct Outcome<'a> {
    pub written: &'a Notes,
    pub followed: &'a [Followed],
}

impl Outcome<'_> {
    /// Prints what was counted, and holds it against the databases of jobs and log, which
    /// may be one.
    pub fn check(&self, jobs: &TestDatabase, log: &TestDatabase) {
        self.print();
        verify(jobs, log);
        let mut log = log.open();
        self.check_acknowledged(&log.event_log());
        for followed in self.followed {
            let expected = log.sequences_of(&followed.groups);
            assert_same(&followed.sequences, &expected, &followed.groups.join(", "));
        }
    }

    fn print(&self) {
        let Notes { acknowledged, statuses, broken_off, unreachable, slowest } = self.written;
        println!("{} changes acknowledged", acknowledged.len());
        println!("answers by status: {statuses:?}, the slowest: {slowest:?}");
        println!("{broken_off} requests broke off, {unreachable} connections were refused");
        for followed in self.followed {
            let (events, connections) = (followed.sequences.len(), followed.connections);
            println!("{events} events over {connections} connections: {:?}", followed.groups);
        }
    }

    fn check_acknowledged(&self, log: &[LoggedEvent]) {
        let by_sequence: HashMap<i64, _> =
            log.iter().map(|event| (event.sequence, event)).collect();
        let mut sequences = Vec::new();
        for change in &self.written.acknowledged {
            let event = by_sequence.get(&change.sequence);
            let event = event.unwrap_or_else(|| panic!("{change:?} is not in the log"));
            assert_eq!((&event.event_id, &event.job_id), (&change.event_id, &change.job_id));
            let payload: serde_json::Value = serde_json::from_str(&event.payload).expect("JSON");
            assert_eq!(payload["jobVersion"], change.version, "{change:?}");
            assert_eq!(payload["eventId"], change.event_id.as_str(), "{change:?}");
            sequences.push(change.sequence);
        }
        sequences.sort_unstable();
        let twice = sequences.windows(2).find(|pair| pair[0] == pair[1]);
        assert_eq!(twice, None, "an event answers one change");
    }
}

/// Compares long lists by the first place where they differ.
fn assert_same(found: &[i64], expected: &[i64], name: &str) {
    let differing = found.iter().zip(expected).position(|(one, other)| one != other);
    let differing = differing.map(|place| (place, found[place], expected[place]));
    assert_eq!(differing, None, "place, found and expected: {name}");
    assert_eq!(found.len(), expected.len(), "how many came: {name}");
}

/// Waits until all that happened is logged.
pub fn wait_until_logged(jobs: &TestDatabase) {
    let mut database = jobs.open();
    wait_until("the outbox is empty", || database.count("outbox") == 0);
}

/// `signalbox verify`, without the limits of a program that a test waits for.
fn verify_as_the_product_does(jobs: &TestDatabase, log: &TestDatabase) {
    let config = StoreConfig {
        database_url: jobs.url(),
        event_log_database_url: Some(log.url()),
        node_id: "verify".to_owned(),
        migrate: false,
    };
    let store = open_read_only(&config).expect("the databases can be opened");
    let report = store::verify(&store).expect("the databases can be read").to_string();
    println!("{report}");
    assert!(report.ends_with("verified: clean"), "{report}");
}

/// Whether the databases agree with themselves and with each other: as the product's own
/// `verify` finds, and as far as rows alone can tell.
pub fn verify(jobs: &TestDatabase, log: &TestDatabase) {
    verify_as_the_product_does(jobs, log);
    let (mut jobs, mut log) = (jobs.open(), log.open());
    assert_eq!(jobs.count("outbox"), 0, "all is logged");
    let events = log.event_log();
    let sequences: Vec<i64> = events.iter().map(|event| event.sequence).collect();
    let expected: Vec<i64> = (1..=jobs.last_sequence()).collect();
    assert_same(&sequences, &expected, "the log's sequences");

    let mut versions: HashMap<&str, Vec<i64>> = HashMap::new();
    for event in &events {
        let payload: serde_json::Value = serde_json::from_str(&event.payload).expect("JSON");
        assert_eq!(payload["sequence"], event.sequence);
        let version = payload["jobVersion"].as_i64().expect("a version");
        versions.entry(&event.job_id).or_default().push(version);
    }
    let rows = jobs.job_versions();
    assert_eq!(rows.len(), versions.len(), "every job has its events, and no other has any");
    for job in rows {
        let expected: Vec<i64> = (1..=job.version).collect();
        assert_eq!(versions.get(job.id.as_str()), Some(&expected), "job {}", job.id);
    }

    let unannounced = "SELECT sequence AS number FROM event_log
        WHERE sequence NOT IN (SELECT sequence FROM event_log_groups)";
    assert_eq!(log.numbers(unannounced), Vec::<i64>::new(), "every event has groups");
}
