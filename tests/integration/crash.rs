//! The real program is killed under load, again and again on one database. Whatever
//! it acknowledged must be there afterwards, with its event.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::support::PATIENCE;
use crate::support::database::Database;
use crate::support::program::{Caller, Program, run};
use crate::support::site::{token, window};

const ROUNDS: usize = 5;
const WRITERS: usize = 8;

/// What a writer was told.
struct Acknowledged {
    job_id: String,
    version: i64,
    event_id: String,
    sequence: i64,
}

#[test]
fn nothing_acknowledged_is_lost_when_the_program_is_killed() {
    let folder = TempDir::new().expect("a temporary folder");
    let database = folder.path().join("signalbox.db");
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let program = Program::serve(&database);
        let address = program.address.clone();
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|_| scope.spawn(|| write_until_killed(&address, &count)))
                .collect();
            // Each round is cut off after another number of changes.
            wait_for(&count, 60 + 37 * round);
            program.kill();
            for writer in writers {
                acknowledged.extend(writer.join().expect("the writer only notes answers"));
            }
        });
    }
    let last = Program::serve(&database);
    let url = format!("sqlite://{}", database.display());
    let mut database = Database::open(&database);
    wait_until_logged(&mut database);
    last.kill();
    println!("{} acknowledged changes in {ROUNDS} rounds", acknowledged.len());
    check(&mut database, &acknowledged);
    let (_, report, _) = run(["verify", "--database-url", &url]);
    assert!(report.ends_with("verified: clean\n"), "{report}");
}

fn wait_for(count: &AtomicUsize, enough: usize) {
    let since = Instant::now();
    while count.load(Ordering::Relaxed) < enough {
        assert!(since.elapsed() < PATIENCE, "the writers get no answers");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Makes a job and moves it to and fro until the server is gone.
fn write_until_killed(address: &str, count: &AtomicUsize) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    let token = token("admin", &[], None);
    let Ok(mut caller) = Caller::connect(address, &token) else {
        return acknowledged;
    };
    let (first, second) = (window(0, 0), window(0, 5));
    let mut request = (
        "POST",
        "/api/jobs".to_owned(),
        json!({
            "title": "Boiler inspection", "customer": "Harbour Hotel", "address": "1 Quay Street",
            "region": "north", "timezone": "Europe/Berlin",
            "startUtc": first.start(), "endUtc": first.end(),
        }),
    );
    let mut turn = false;
    while let Ok(answer) = caller.call(request.0, &request.1, &request.2) {
        assert!(answer.status == 200 || answer.status == 201, "{answer:?}");
        let job_id = answer.body["id"].as_str().expect("a job").to_owned();
        acknowledged.push(Acknowledged {
            job_id: job_id.clone(),
            version: answer.body["version"].as_i64().expect("a version"),
            event_id: answer.header("x-event-id").to_owned(),
            sequence: answer.header("x-event-sequence").parse().expect("a sequence"),
        });
        count.fetch_add(1, Ordering::Relaxed);
        turn = !turn;
        let window = if turn { second } else { first };
        let body = json!({ "startUtc": window.start(), "endUtc": window.end() });
        request = ("PUT", format!("/api/jobs/{job_id}/reschedule"), body);
    }
    acknowledged
}

fn wait_until_logged(database: &mut Database) {
    let since = Instant::now();
    while database.count("outbox") > 0 {
        assert!(since.elapsed() < PATIENCE, "the outbox is not logged");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn check(database: &mut Database, acknowledged: &[Acknowledged]) {
    let log = database.event_log();
    let sequences: Vec<i64> = log.iter().map(|event| event.sequence).collect();
    let expected: Vec<i64> = (1..=log.len() as i64).collect();
    assert_eq!(sequences, expected, "the log has no gap and nothing twice");

    let mut events_of_job: HashMap<&str, i64> = HashMap::new();
    for event in &log {
        *events_of_job.entry(&event.job_id).or_default() += 1;
    }
    for job in database.job_versions() {
        assert_eq!(events_of_job.get(job.id.as_str()), Some(&job.version), "job {}", job.id);
    }

    let by_sequence: HashMap<i64, _> = log.iter().map(|event| (event.sequence, event)).collect();
    for change in acknowledged {
        let event = by_sequence.get(&change.sequence).expect("an acknowledged change is logged");
        assert_eq!((&event.event_id, &event.job_id), (&change.event_id, &change.job_id));
        let payload: serde_json::Value = serde_json::from_str(&event.payload).expect("JSON");
        assert_eq!(payload["jobVersion"], change.version);
    }
}
