//! A store on a database of its own, and the commands that tests give it.

use std::sync::Arc;

use signalbox::jobs::{
    Actor, AssignJob, Caller, CancelJob, Command, CommandRequest, CommittedEvent, ContractorId,
    CreateContractor, CreateJob, EventId, Idempotency, Job, JobId, Receipt, Refusal, Region,
    Regions, RescheduleJob, Role, Scope, Subject, Timestamp, Window,
};
use signalbox::store::{Committed, LogEntry, Store, StoreConfig, open};

use crate::support::database::TestDatabase;

/// A database with an open store on it.
pub struct Site {
    /// Open; closed before the databases go.
    pub store: Store,
    /// Removed when the test ends.
    pub database: TestDatabase,
    /// The log's own, if it has one.
    pub event_log: Option<TestDatabase>,
}

impl Site {
    /// With the log in the jobs' database.
    pub fn new() -> Self {
        Self::on(TestDatabase::new())
    }

    /// The same, on this database.
    pub fn on(database: TestDatabase) -> Self {
        let store = open(&config(&database)).expect("the store opens");
        Self { store, database, event_log: None }
    }

    /// With a log of its own, which is not there yet.
    pub fn with_missing_log() -> Self {
        Self::with_log(TestDatabase::new(), TestDatabase::absent())
    }

    /// With this log of its own, which may be absent.
    pub fn with_log(database: TestDatabase, log: TestDatabase) -> Self {
        let config = StoreConfig { event_log_database_url: Some(log.url()), ..config(&database) };
        let store = open(&config).expect("the store opens without its log");
        Self { store, database, event_log: Some(log) }
    }

    /// The log's own database.
    pub fn log_database(&self) -> &TestDatabase {
        self.event_log.as_ref().expect("a log of its own")
    }

    /// The same with a store that is opened anew, and the log in the jobs' database.
    pub fn reopened(self) -> Self {
        let Self { store, database, event_log } = self;
        drop(store);
        let store = open(&config(&database)).expect("the store opens again");
        Self { store, database, event_log }
    }

    /// The database, with no store on it any more.
    pub fn closed(self) -> TestDatabase {
        self.database
    }

    /// Commits a batch at a fixed time.
    pub fn commit(&self, requests: &[CommandRequest]) -> Committed {
        self.store.jobs.commit(requests, noon()).expect("the store works")
    }

    /// Commits one command that is accepted.
    pub fn accept(&self, request: CommandRequest) -> Receipt {
        let mut answers = self.commit(&[request]).answers;
        answers.remove(0).expect("the command is accepted")
    }

    /// Commits one command that is refused; answers the code.
    pub fn refuse(&self, request: CommandRequest) -> &'static str {
        let mut answers = self.commit(&[request]).answers;
        answers.remove(0).expect_err("the command is refused").code()
    }

    /// A new contractor of region north.
    pub fn contractor(&self) -> ContractorId {
        self.contractor_of("north")
    }

    /// A new contractor of a region.
    pub fn contractor_of(&self, name: &str) -> ContractorId {
        let id = ContractorId::fresh();
        let create = CreateContractor {
            id,
            name: format!("Contractor {id}"),
            region: region(name),
            timezone: "Europe/Zurich".into(),
        };
        self.accept(request(Command::CreateContractor(create)));
        id
    }

    /// A new job of region north.
    pub fn job(&self, window: Window, contractor_ids: &[ContractorId]) -> JobId {
        job_of(&self.accept(create("north", window, contractor_ids))).id
    }

    /// The job as it stands.
    pub fn read(&self, id: JobId) -> Job {
        let (job, _) = self.store.jobs.job(&Scope::All, id).expect("the store works");
        job.expect("the job exists")
    }

    /// What the outbox holds, at most 1,000.
    pub fn outbox(&self) -> Vec<CommittedEvent> {
        self.store.jobs.outbox_after(0, 1000).expect("the store works")
    }
}

/// One database for all.
pub fn config(database: &TestDatabase) -> StoreConfig {
    StoreConfig {
        database_url: database.url(),
        event_log_database_url: None,
        node_id: "node-1".into(),
        migrate: true,
    }
}

/// The time at which the tests' commands are decided.
pub fn noon() -> Timestamp {
    Timestamp::parse("2026-03-01T12:00:00Z").expect("a time")
}

/// From one hour to another of the second of March.
pub fn hours(start: i64, end: i64) -> Window {
    let midnight = Timestamp::parse("2026-03-02T00:00:00Z").expect("a time");
    let at = |hour: i64| midnight.saturating_add_millis(hour * 3_600_000);
    Window::new(at(start), at(end)).expect("a window")
}

/// A region by name.
pub fn region(name: &str) -> Region {
    Region::parse(name).expect("a region's name")
}

/// A scope of regions.
pub fn regions(names: &[&str]) -> Scope {
    Scope::Only { regions: names.iter().map(|name| region(name)).collect(), contractor_id: None }
}

/// A contractor's own scope.
pub fn own(contractor_id: ContractorId) -> Scope {
    Scope::Only { regions: Vec::new(), contractor_id: Some(contractor_id) }
}

/// A command of an admin, on no conditions.
pub fn request(command: Command) -> CommandRequest {
    let caller = Caller {
        actor: Actor { id: "admin-1".into(), role: Role::Admin, name: None },
        is_admin: true,
        regions: Regions::Named(Vec::new()),
        contractor_id: None,
    };
    CommandRequest {
        caller: Arc::new(caller),
        correlation_id: "request-1".into(),
        event_id: EventId::fresh(),
        if_match: None,
        idempotency: None,
        trace: None,
        command,
    }
}

/// The same command under an idempotency key. The digest stands for the request.
pub fn keyed(request: CommandRequest, key: &str, digest: u8) -> CommandRequest {
    let idempotency = Some(Idempotency { key: key.into(), digest: [digest; 32] });
    CommandRequest { idempotency, ..request }
}

/// Makes a job.
pub fn create(name: &str, window: Window, contractor_ids: &[ContractorId]) -> CommandRequest {
    request(Command::CreateJob(CreateJob {
        id: JobId::fresh(),
        title: "Repair the \"blue\" heat pump".into(),
        customer: "Müller AG".into(),
        address: "Bahnhofstrasse 1, 8000 Zürich".into(),
        region: region(name),
        timezone: "Europe/Zurich".into(),
        window,
        contractor_ids: contractor_ids.to_vec(),
    }))
}

/// Replaces a job's contractors.
pub fn assign(job_id: JobId, contractor_ids: &[ContractorId]) -> CommandRequest {
    request(Command::AssignJob(AssignJob { job_id, contractor_ids: contractor_ids.to_vec() }))
}

/// Moves a job.
pub fn reschedule(job_id: JobId, window: Window) -> CommandRequest {
    request(Command::RescheduleJob(RescheduleJob { job_id, window, reason: None }))
}

/// Calls a job off.
pub fn cancel(job_id: JobId, reason: Option<&str>) -> CommandRequest {
    request(Command::CancelJob(CancelJob { job_id, reason: reason.map(str::to_owned) }))
}

/// The job of an answer.
pub fn job_of(receipt: &Receipt) -> &Job {
    match &receipt.subject {
        Subject::Job(job) => job,
        Subject::Contractor(contractor) => panic!("{} is a contractor", contractor.id),
    }
}

/// The code of each refusal, and `ok` for what was accepted.
pub fn outcomes(answers: &[Result<Receipt, Refusal>]) -> Vec<&'static str> {
    answers.iter().map(|answer| answer.as_ref().map_or_else(Refusal::code, |_| "ok")).collect()
}

/// The sequences of events.
pub fn sequences(events: &[CommittedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.sequence).collect()
}

/// Events on their way into the log.
pub fn entries(events: Vec<CommittedEvent>) -> Vec<LogEntry> {
    let entry = |event| LogEntry { event: Arc::new(event), published_at: Some(noon()) };
    events.into_iter().map(entry).collect()
}
