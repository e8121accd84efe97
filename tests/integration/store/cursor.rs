//! The cursor under concurrent commits: whoever reads on from the sequence that a page
//! says it contains never skips an event, whatever others commit and log meanwhile.
//!
//! The model is one list: the events by their sequences, as the log has them in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use proptest::prelude::*;
use signalbox::jobs::{CommandRequest, CommittedEvent, JobId, Scope, Sequence};
use signalbox::store::{EventFilter, LogEntry, PAGE_ROWS_MAX, Store, StoreError, open, verify};

use super::site::{Site, config, create, hours, noon, reschedule};
use crate::support::PATIENCE;
use crate::support::database::TestDatabase;

const REGIONS: [&str; 3] = ["north", "south", "west"];

/// What a node commits in one transaction.
type Batch = Vec<Step>;

#[derive(Debug, Clone)]
enum Step {
    /// A job in this region.
    Create(usize),
    /// One of the node's jobs, to this hour.
    Move(usize, i64),
}

#[derive(Debug, Clone)]
struct Reader {
    /// Follows this region's group, or everything.
    region: Option<usize>,
    limit: usize,
}

#[derive(Debug, Clone)]
struct Plan {
    nodes: Vec<Vec<Batch>>,
    readers: Vec<Reader>,
    /// Events that are moved from the outbox to the log at a time.
    logged_at_a_time: usize,
}

fn plans() -> impl Strategy<Value = Plan> {
    let step = prop_oneof![
        (0..REGIONS.len()).prop_map(Step::Create),
        (0..8_usize, 0..20_i64).prop_map(|(job, hour)| Step::Move(job, hour)),
    ];
    let batches = prop::collection::vec(prop::collection::vec(step, 1..8), 5..40);
    let reader = (prop::option::of(0..REGIONS.len()), prop_oneof![1..8_usize, 100..=PAGE_ROWS_MAX])
        .prop_map(|(region, limit)| Reader { region, limit });
    (prop::collection::vec(batches, 1..=3), prop::collection::vec(reader, 1..=3), 1..60_usize)
        .prop_map(|(nodes, readers, logged_at_a_time)| Plan { nodes, readers, logged_at_a_time })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        max_shrink_iters: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_reader_that_follows_a_cursor_never_skips_an_event(plan in plans()) {
        run(&plan);
    }
}

fn run(plan: &Plan) {
    let site = Site::new();
    let working = AtomicUsize::new(plan.nodes.len());
    let seen: Vec<Vec<Sequence>> = std::thread::scope(|scope| {
        for batches in &plan.nodes {
            let (node, working) = (node(&site), &working);
            scope.spawn(move || {
                commit_all(&node, batches);
                working.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let (log_writer, working) = (node(&site), &working);
        scope.spawn(move || log_all(&log_writer, plan.logged_at_a_time, working));
        let readers: Vec<_> = plan
            .readers
            .iter()
            .map(|reader| {
                let store = node(&site);
                scope.spawn(move || follow(&store, reader, working))
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().expect("a reader")).collect()
    });
    let all = everything(&site.store);
    let expected: Vec<Sequence> = (1..=all.len() as Sequence).collect();
    assert_eq!(all.iter().map(|event| event.sequence).collect::<Vec<_>>(), expected);
    for (reader, seen) in plan.readers.iter().zip(seen) {
        let group = reader.region.map(group);
        let is_meant = |event: &&CommittedEvent| match &group {
            Some(group) => event.groups.contains(group),
            None => true,
        };
        let meant: Vec<Sequence> = all.iter().filter(is_meant).map(|e| e.sequence).collect();
        assert_eq!(seen, meant, "{reader:?}");
    }
    assert_eq!(verify(&site.store).expect("the databases can be read").faults(), 0);
}

/// A store of its own where nodes can share a database; else the one that there is.
fn node(site: &Site) -> Store {
    if is_shared(&site.database) {
        open(&config(&site.database)).expect("another node's store opens")
    } else {
        site.store.clone()
    }
}

fn is_shared(database: &TestDatabase) -> bool {
    database.url().starts_with("postgres")
}

fn group(region: usize) -> String {
    format!("dispatch/{}", REGIONS[region])
}

fn commit_all(store: &Store, batches: &[Batch]) {
    let mut jobs: Vec<JobId> = Vec::new();
    for batch in batches {
        let requests: Vec<CommandRequest> = batch
            .iter()
            .map(|step| match step {
                Step::Move(job, hour) if !jobs.is_empty() => {
                    reschedule(jobs[job % jobs.len()], hours(*hour, hour + 1))
                }
                Step::Move(..) => create(REGIONS[0], hours(30, 31), &[]),
                Step::Create(region) => create(REGIONS[*region], hours(30, 31), &[]),
            })
            .collect();
        let committed = patiently(|| store.jobs.commit(&requests, noon()));
        let created = committed.events.iter().filter(|event| event.payload.contains("JobCreated"));
        jobs.extend(created.map(|event| event.job_id));
    }
}

/// Moves events to the log until nobody makes any more.
fn log_all(store: &Store, at_a_time: usize, working: &AtomicUsize) {
    loop {
        let is_last = working.load(Ordering::SeqCst) == 0;
        let events = patiently(|| store.jobs.outbox_after(0, at_a_time));
        if events.is_empty() && is_last {
            return;
        }
        let entry = |event| LogEntry { event: Arc::new(event), published_at: None };
        let entries: Vec<LogEntry> = events.into_iter().map(entry).collect();
        patiently(|| store.log.append(&entries, true));
    }
}

/// Reads page after page until nothing more can come.
fn follow(store: &Store, reader: &Reader, working: &AtomicUsize) -> Vec<Sequence> {
    let group = reader.region.map(group);
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let is_last = working.load(Ordering::SeqCst) == 0;
        let last = patiently(|| store.jobs.last_sequence());
        let filter = EventFilter {
            after,
            group: group.clone(),
            limit: reader.limit,
            ..EventFilter::default()
        };
        let page = patiently(|| store.events(&Scope::All, &filter));
        assert!(page.sequence >= after && page.items.len() <= reader.limit);
        for event in &page.items {
            assert!(event.sequence > after, "{} after {after}", event.sequence);
            after = event.sequence;
            seen.push(after);
        }
        assert!(page.sequence >= after, "a page contains what is in it");
        after = page.sequence;
        if is_last && after >= last {
            return seen;
        }
    }
}

/// The whole log, which has everything now.
fn everything(store: &Store) -> Vec<CommittedEvent> {
    let mut all: Vec<CommittedEvent> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.sequence);
        let filter = EventFilter { after, limit: PAGE_ROWS_MAX, ..EventFilter::default() };
        let page = store.log.read(&Scope::All, &filter).expect("the log works");
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// A busy database may refuse, and is asked again.
fn patiently<T>(call: impl Fn() -> Result<T, StoreError>) -> T {
    let since = Instant::now();
    loop {
        match call() {
            Ok(value) => return value,
            Err(StoreError::Unavailable(_) | StoreError::Contended(_))
                if since.elapsed() < PATIENCE => {}
            Err(error) => panic!("{error}"),
        }
    }
}
