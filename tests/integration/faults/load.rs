//! Writers that never give up: they repeat a change under its idempotency key until it is
//! answered, whatever happens to the server.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::program::{Answer, Caller};
use crate::support::random::Random;
use crate::support::site::{lasting_token, window};
use crate::support::wait_until;

/// The regions of the load's jobs.
pub const REGIONS: [&str; 2] = ["north", "south"];

/// Longer than any clock is moved.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How soon a writer tries again; a fault lasts for many of these.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// A change that a writer was told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    pub job_id: String,
    pub version: i64,
    pub event_id: String,
    pub sequence: i64,
}

/// What one writer or all of them noted.
#[derive(Debug, Default)]
pub struct Notes {
    pub acknowledged: Vec<Acknowledged>,
    /// How often each status was answered.
    pub statuses: BTreeMap<u16, usize>,
    /// Requests that broke off before their answer.
    pub broken_off: usize,
    /// Connections that could not be made.
    pub unreachable: usize,
    /// How long the slowest answer took, by status.
    pub slowest: BTreeMap<u16, Duration>,
}

impl Notes {
    fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.broken_off += other.broken_off;
        self.unreachable += other.unreachable;
        for (status, duration) in other.slowest {
            let slowest = self.slowest.entry(status).or_default();
            *slowest = duration.max(*slowest);
        }
    }
}

/// How far the writers are, for a test that waits for them.
#[derive(Default)]
struct Counters {
    stop: AtomicBool,
    acknowledged: AtomicUsize,
    unavailable: AtomicUsize,
}

/// Writers at work.
pub struct Load {
    counters: Arc<Counters>,
    contractors: Vec<String>,
    writers: Vec<JoinHandle<Notes>>,
}

impl Load {
    /// Starts so many writers against servers that run at these addresses.
    pub fn start(addresses: &[String], writers: usize, random: &mut Random) -> Self {
        let counters = Arc::new(Counters::default());
        let addresses: Arc<[String]> = addresses.into();
        let mut load = Self { counters, contractors: Vec::new(), writers: Vec::new() };
        for number in 0..writers {
            let mut writer = Writer {
                counters: Arc::clone(&load.counters),
                addresses: Arc::clone(&addresses),
                next_address: number,
                caller: None,
                random: random.fork(),
                region: REGIONS[number % REGIONS.len()],
                contractor: String::new(),
                jobs: Vec::new(),
                days: 0,
                notes: Notes::default(),
            };
            writer.contractor = writer.create_contractor();
            load.contractors.push(writer.contractor.clone());
            let name = format!("writer {number}");
            let run = move || writer.run();
            let thread = std::thread::Builder::new().name(name).spawn(run).expect("a thread");
            load.writers.push(thread);
        }
        load
    }

    /// A contractor for each writer, who gets some of its jobs.
    pub fn contractors(&self) -> &[String] {
        &self.contractors
    }

    /// How many changes were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.counters.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more changes are acknowledged.
    pub fn wait_for_changes(&self, more: usize) {
        let enough = self.acknowledged() + more;
        wait_until("the writers get on", || self.acknowledged() >= enough);
    }

    /// Waits for the condition as long as the writers get on, however slowly.
    pub fn go_on_until(&self, mut condition: impl FnMut() -> bool) {
        while !condition() {
            self.wait_for_changes(1);
        }
    }

    /// Waits until so many more changes are refused for want of a database.
    pub fn wait_for_refusals(&self, more: usize) {
        let count = || self.counters.unavailable.load(Ordering::Relaxed);
        let enough = count() + more;
        wait_until("the writers are refused", || count() >= enough);
    }

    /// Ends the writers; what they are in the middle of may or may not have been done.
    pub fn stop(self) -> Notes {
        self.counters.stop.store(true, Ordering::Relaxed);
        let mut notes = Notes::default();
        for writer in self.writers {
            notes.add(writer.join().expect("the writer met nothing that it did not expect"));
        }
        notes
    }
}

/// A job as its writer knows it.
struct OwnJob {
    id: String,
    day: i64,
    is_moved: bool,
    is_assigned: bool,
}

struct Writer {
    counters: Arc<Counters>,
    addresses: Arc<[String]>,
    next_address: usize,
    caller: Option<Caller>,
    random: Random,
    region: &'static str,
    contractor: String,
    jobs: Vec<OwnJob>,
    /// A day for each job, so that no two want the contractor at once.
    days: i64,
    notes: Notes,
}

/// A request that makes an event.
struct Change {
    method: &'static str,
    path: String,
    body: Value,
}

impl Writer {
    const JOBS_MAX: usize = 8;

    fn run(mut self) -> Notes {
        while !self.is_stopped() {
            let done = match self.random.between(0, 10) {
                0 | 1 => self.create_job(),
                2 | 3 => self.on_a_job(Self::assign),
                4 if self.jobs.len() >= Self::JOBS_MAX => self.on_a_job(Self::cancel),
                _ => self.on_a_job(Self::reschedule),
            };
            if done.is_none() {
                break;
            }
        }
        self.notes
    }

    fn is_stopped(&self) -> bool {
        self.counters.stop.load(Ordering::Relaxed)
    }

    fn create_contractor(&mut self) -> String {
        let body = json!({ "name": "Ada", "region": self.region, "timezone": "Europe/Berlin" });
        let create = Change { method: "POST", path: "/api/contractors".to_owned(), body };
        let answer = self.insist(&create).expect("nobody stops this yet");
        answer.body["id"].as_str().expect("a contractor").to_owned()
    }

    fn create_job(&mut self) -> Option<()> {
        let (day, is_assigned) = (self.days, self.random.one_in(2));
        self.days += 1;
        let window = window(day, 0);
        let contractors: &[&str] = if is_assigned { &[&self.contractor] } else { &[] };
        let body = json!({
            "title": "Boiler inspection", "customer": "Harbour Hotel", "address": "1 Quay Street",
            "region": self.region, "timezone": "Europe/Berlin", "contractorIds": contractors,
            "startUtc": window.start(), "endUtc": window.end(),
        });
        let id = self.change(&Change { method: "POST", path: "/api/jobs".to_owned(), body })?;
        self.jobs.push(OwnJob { id, day, is_moved: false, is_assigned });
        Some(())
    }

    /// Changes one of the jobs; makes one where there is none.
    fn on_a_job(&mut self, act: impl FnOnce(&mut Self, usize) -> Option<()>) -> Option<()> {
        if self.jobs.is_empty() {
            return self.create_job();
        }
        let count = u64::try_from(self.jobs.len()).expect("few jobs");
        let place = self.random.between(0, count);
        act(self, usize::try_from(place).expect("a place"))
    }

    fn reschedule(&mut self, place: usize) -> Option<()> {
        let job = &self.jobs[place];
        let window = window(job.day, if job.is_moved { 0 } else { 5 });
        let body = json!({ "startUtc": window.start(), "endUtc": window.end() });
        self.change_job("PUT", "reschedule", place, body)?;
        self.jobs[place].is_moved ^= true;
        Some(())
    }

    fn assign(&mut self, place: usize) -> Option<()> {
        let contractors: &[&str] =
            if self.jobs[place].is_assigned { &[] } else { &[&self.contractor] };
        let body = json!({ "contractorIds": contractors });
        self.change_job("POST", "assign", place, body)?;
        self.jobs[place].is_assigned ^= true;
        Some(())
    }

    fn cancel(&mut self, place: usize) -> Option<()> {
        self.change_job("POST", "cancel", place, json!({ "reason": "It rains" }))?;
        self.jobs.swap_remove(place);
        Some(())
    }

    fn change_job(
        &mut self,
        method: &'static str,
        name: &str,
        place: usize,
        body: Value,
    ) -> Option<()> {
        let path = format!("/api/jobs/{}/{name}", self.jobs[place].id);
        self.change(&Change { method, path, body }).map(|_| ())
    }

    /// Makes a change and notes it; answers the job's id, or none when it was stopped.
    fn change(&mut self, change: &Change) -> Option<String> {
        let answer = self.insist(change)?;
        let job_id = answer.body["id"].as_str().expect("a job").to_owned();
        self.notes.acknowledged.push(Acknowledged {
            job_id: job_id.clone(),
            version: answer.body["version"].as_i64().expect("a version"),
            event_id: answer.header("x-event-id").to_owned(),
            sequence: answer.header("x-event-sequence").parse().expect("a sequence"),
        });
        self.counters.acknowledged.fetch_add(1, Ordering::Relaxed);
        Some(job_id)
    }

    /// Repeats the request under one key until it is carried out; none when it was stopped.
    fn insist(&mut self, change: &Change) -> Option<Answer> {
        let key = Uuid::new_v4().to_string();
        loop {
            let since = Instant::now();
            match self.attempt(change, &key) {
                Ok(answer) => {
                    self.note_answer(&answer, since.elapsed());
                    match answer.status {
                        200 | 201 => return Some(answer),
                        503 => self.note_refusal(&answer),
                        // Carried out or not, the key makes it one change.
                        500 => assert_outcome_is_unknown(&answer),
                        _ => panic!("{} {}: {answer:?}", change.method, change.path),
                    }
                }
                Err(_) if self.caller.is_none() => self.notes.unreachable += 1,
                Err(_) => {
                    self.notes.broken_off += 1;
                    self.caller = None;
                }
            }
            if self.is_stopped() {
                return None;
            }
            std::thread::sleep(RETRY_PAUSE);
        }
    }

    fn attempt(&mut self, change: &Change, key: &str) -> io::Result<Answer> {
        if self.caller.is_none() {
            let address = Arc::clone(&self.addresses);
            let address = &address[self.next_address % address.len()];
            // When this one does not answer, the next one may.
            self.next_address += 1;
            let token = lasting_token(TOKEN_LIFETIME, "admin", &[], None);
            self.caller = Some(Caller::connect(address, &token)?);
        }
        let caller = self.caller.as_mut().expect("it was made above");
        caller.change(change.method, &change.path, key, &change.body)
    }

    fn note_answer(&mut self, answer: &Answer, took: Duration) {
        *self.notes.statuses.entry(answer.status).or_default() += 1;
        let slowest = self.notes.slowest.entry(answer.status).or_default();
        *slowest = took.max(*slowest);
    }

    fn note_refusal(&self, answer: &Answer) {
        assert_eq!(answer.body["code"], "store_unavailable", "{answer:?}");
        assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
        self.counters.unavailable.fetch_add(1, Ordering::Relaxed);
    }
}

/// The one error of the server's own that a fault may cause: the database went away in the
/// middle of a commit, and stayed away.
fn assert_outcome_is_unknown(answer: &Answer) {
    let detail =
        "the database was lost while it committed; whether the change was made is not known";
    assert_eq!(answer.body["detail"], detail, "{answer:?}");
}
