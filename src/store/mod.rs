//! All SQL. Behind two traits, so that nothing else knows which database it is:
//! [`JobStore`] holds jobs, contractors, idempotency keys and the outbox;
//! [`EventLog`] holds the log, in the same database or in another one.
//!
//! [`verify`](fn@verify) proves that what they hold is what they must.
//!
//! Every call blocks and belongs on a thread made for it. [`open`] picks the backend by
//! URL: `sqlite/` for files, `postgres/` for a server that several nodes share. What the
//! two have in common stands here; how they differ is in their folders.

mod backup;
mod columns;
mod commit;
mod error;
mod lists;
mod migrations;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(not(feature = "postgres"))]
#[path = "without_postgres.rs"]
mod postgres;
mod record_rows;
mod records;
mod sqlite;
mod statement;
mod url;
mod values;
mod verify;

use std::sync::Arc;

use ::uuid::Uuid;

pub use backup::{JOBS_FILE, LOG_FILE, back_up};
pub use commit::{CommitTransaction, Committed, StoredAnswer, commit_batch};
pub use pool::PoolState;
pub use records::{
    Counted, EventRecord, GroupFault, JobRecord, JobRecords, LogRecords, Overlap, StaleAssignment,
};
pub use url::without_password;
pub use verify::{Check, FAULTS_SHOWN_MAX, Faults, Report, verify};

use self::migrations::Contents;
use self::url::DatabaseUrl;
use crate::jobs::{
    CommandRequest, CommittedEvent, Contractor, ContractorId, EventType, Job, JobId, JobStatus,
    Region, Scope, Sequence, Timestamp,
};

/// The most rows that one list answers.
pub const PAGE_ROWS_MAX: usize = 500;

/// Idempotency keys that are forgotten in one transaction: commands wait for it.
pub const PURGED_KEYS_MAX: usize = 1_000;

/// How long an idempotency key is honoured.
pub const IDEMPOTENCY_KEY_LIFETIME_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// The database did not do its part. Nothing was changed, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, is locked, full or read-only; later it may work.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// What it holds or answers is not what this program wrote.
    #[error("the database holds unexpected data: {0}")]
    Corrupt(String),
    /// It is there, lacks migrations, and none were to be applied.
    #[error("the database is not migrated: {0}")]
    NotMigrated(String),
    /// Another transaction was in the way; tried again it may succeed.
    #[error("another transaction was in the way: {0}")]
    Contended(String),
    /// The connection was lost while the database was about to commit, and it did not
    /// come back to say what became of it. The only error after which something may have
    /// been changed.
    #[error("whether the transaction was committed is not known: {0}")]
    OutcomeUnknown(String),
    /// The URL names no database that this program knows.
    #[error("{0}")]
    Url(String),
}

/// A page of a list, in a stable order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// At most as many as were asked for.
    pub items: Vec<T>,
    /// Where the next page starts; none on the last.
    pub next: Option<PageCursor>,
    /// The last sequence that is contained, read in the same snapshot.
    pub sequence: Sequence,
}

/// The key of a page's last row: the next page holds what sorts after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageCursor {
    /// A job's start as text, or a contractor's name.
    pub key: String,
    /// The row's id.
    pub id: String,
}

/// Which jobs to list. Absent parts do not limit.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Of this region.
    pub region: Option<Region>,
    /// Assigned to this contractor.
    pub contractor_id: Option<ContractorId>,
    /// Of this status.
    pub status: Option<JobStatus>,
    /// That end after this.
    pub from: Option<Timestamp>,
    /// That start before this.
    pub to: Option<Timestamp>,
    /// After this row.
    pub cursor: Option<PageCursor>,
    /// 1 to [`PAGE_ROWS_MAX`].
    pub limit: usize,
}

/// Which contractors to list. Absent parts do not limit.
#[derive(Debug, Clone, Default)]
pub struct ContractorFilter {
    /// Of this region.
    pub region: Option<Region>,
    /// After this row.
    pub cursor: Option<PageCursor>,
    /// 1 to [`PAGE_ROWS_MAX`].
    pub limit: usize,
}

/// Which events to read. Absent parts do not limit.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Past this sequence.
    pub after: Sequence,
    /// Up to this sequence.
    pub until: Option<Sequence>,
    /// Announced to this group.
    pub group: Option<String>,
    /// Of this type.
    pub event_type: Option<EventType>,
    /// Of this job.
    pub job_id: Option<JobId>,
    /// 1 to [`PAGE_ROWS_MAX`].
    pub limit: usize,
}

/// An event on its way into the log.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// The event.
    pub event: Arc<CommittedEvent>,
    /// When it was handed to the connections; none where the log took it from the
    /// outbox, which does not know.
    pub published_at: Option<Timestamp>,
}

/// Jobs, contractors, idempotency keys and the outbox.
pub trait JobStore: JobRecords + Send + Sync + 'static {
    /// Decides the commands in order and writes what they change, in one
    /// transaction: a refused command harms no other, and either everything is
    /// durable or nothing happened.
    fn commit(&self, requests: &[CommandRequest], now: Timestamp) -> Result<Committed, StoreError> {
        self.commit_if(requests, now, &|| true)
    }

    /// The same, if `is_wanted` still says so when all is written and the commit is next.
    /// After a `false` nothing was changed, and the error is [`StoreError::Unavailable`].
    fn commit_if(
        &self,
        requests: &[CommandRequest],
        now: Timestamp,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Committed, StoreError>;

    /// The job, within the scope, and the last sequence of the same snapshot.
    fn job(&self, scope: &Scope, id: JobId) -> Result<(Option<Job>, Sequence), StoreError>;

    /// The jobs within scope and filter, by start, then id.
    fn jobs(&self, scope: &Scope, filter: &JobFilter) -> Result<Page<Job>, StoreError>;

    /// The contractor, whoever asks.
    fn contractor(&self, id: ContractorId) -> Result<Option<Contractor>, StoreError>;

    /// The contractors within scope and filter, by name, then id. A contractor is
    /// within a scope that names its region, or itself.
    fn contractors(
        &self,
        scope: &Scope,
        filter: &ContractorFilter,
    ) -> Result<Page<Contractor>, StoreError>;

    /// The last sequence that was taken; 0 before the first event.
    fn last_sequence(&self) -> Result<Sequence, StoreError>;

    /// The outbox's events past a sequence, in order, at most `limit`.
    fn outbox_after(
        &self,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<CommittedEvent>, StoreError>;

    /// The lowest sequence in the outbox, and the last one taken, of one snapshot.
    /// All below the lowest stand in the log; with none, all up to the last do.
    fn outbox_start(&self) -> Result<(Option<Sequence>, Sequence), StoreError>;

    /// When the oldest event of the outbox happened; none when it is empty.
    fn oldest_unlogged(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Removes events from the outbox that the log holds: those up to `last`.
    fn clear_outbox(&self, last: Sequence) -> Result<(), StoreError>;

    /// Forgets idempotency keys of before this time, the oldest first, at most
    /// [`PURGED_KEYS_MAX`]; answers how many.
    fn purge_idempotency_keys(&self, before: Timestamp) -> Result<usize, StoreError>;

    /// The database's own name, which nobody else's has. None when it is this server's alone.
    fn database_id(&self) -> Result<Option<Uuid>, StoreError>;

    /// Whether this node is the one that writes the log: takes the role if nobody has it.
    /// Of several nodes on one database one has it, until it ends or loses the database.
    fn leads_logging(&self) -> Result<bool, StoreError>;

    /// Whether the database answers and can be written.
    fn ping(&self) -> Result<(), StoreError>;

    /// The connections that there are for it. Asks no database.
    fn pools(&self) -> Vec<PoolState>;
}

/// The log of all events: append-only, each event once, by sequence.
pub trait EventLog: LogRecords + Send + Sync + 'static {
    /// Writes events in one transaction. Those that it already holds are left as
    /// they are. With `clear_outbox`, which is for a log that shares the jobs'
    /// database, their outbox rows go in the same transaction.
    fn append(&self, entries: &[LogEntry], clear_outbox: bool) -> Result<(), StoreError>;

    /// Events within scope and filter, in sequence order.
    fn read(&self, scope: &Scope, filter: &EventFilter) -> Result<Vec<CommittedEvent>, StoreError>;

    /// Forgets the log's first events with the rows of their groups, in one transaction:
    /// those that were logged before this time, from the first on up to the first
    /// younger one, none past `last`, at most `limit`. Answers how many. So the log
    /// keeps all events from its first one on.
    fn trim(&self, before: Timestamp, last: Sequence, limit: usize) -> Result<usize, StoreError>;

    /// Whether the database answers and can be written.
    fn ping(&self) -> Result<(), StoreError>;

    /// The connections that there are for it. Asks no database.
    fn pools(&self) -> Vec<PoolState>;
}

/// Both, in one database.
type JobsAndLog = (Arc<dyn JobStore>, Arc<dyn EventLog>);

/// The databases of one server.
#[derive(Clone)]
pub struct Store {
    /// Jobs and outbox.
    pub jobs: Arc<dyn JobStore>,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Whether the two are one database, so that one transaction can span them.
    pub log_shares_database: bool,
}

/// What [`open`] needs to know.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `sqlite://PATH` or `postgres://…`.
    pub database_url: String,
    /// The log's; none is the same database.
    pub event_log_database_url: Option<String>,
    /// Who writes the log, as its rows say.
    pub node_id: String,
    /// Apply what migrations are pending.
    pub migrate: bool,
}

/// Opens the databases. A file of the jobs must be there or be made; a server may be away
/// for now, and so may the log. They are migrated once they are there.
pub fn open(config: &StoreConfig) -> Result<Store, StoreError> {
    let StoreConfig { node_id, migrate, .. } = config;
    let Places { jobs, log } = Places::of(config)?;
    let Some(log) = log else {
        let (jobs, log) = match jobs {
            DatabaseUrl::Sqlite(path) => sqlite::open_both(&path, node_id, *migrate)?,
            DatabaseUrl::Postgres(url) => postgres::open_both(&url, node_id, *migrate)?,
        };
        return Ok(Store { jobs, log, log_shares_database: true });
    };
    let jobs: Arc<dyn JobStore> = match jobs {
        DatabaseUrl::Sqlite(path) => sqlite::open_jobs(&path, *migrate)?,
        DatabaseUrl::Postgres(url) => postgres::open_jobs(&url, *migrate)?,
    };
    let log: Arc<dyn EventLog> = match log {
        DatabaseUrl::Sqlite(path) => sqlite::open_log(&path, node_id, *migrate)?,
        DatabaseUrl::Postgres(url) => postgres::open_log(&url, node_id, *migrate)?,
    };
    Ok(Store { jobs, log, log_shares_database: false })
}

/// Opens the databases to be read, as they are: no file is made, nothing is migrated or
/// written. Both must answer and have all migrations; [`StoreConfig::migrate`] is ignored.
pub fn open_read_only(config: &StoreConfig) -> Result<Store, StoreError> {
    let Places { jobs, log } = Places::of(config)?;
    let Some(log) = log else {
        let (jobs, log) = match jobs {
            DatabaseUrl::Sqlite(path) => sqlite::read_both(&path)?,
            DatabaseUrl::Postgres(url) => postgres::read_both(&url)?,
        };
        return Ok(Store { jobs, log, log_shares_database: true });
    };
    let jobs = match jobs {
        DatabaseUrl::Sqlite(path) => sqlite::read_jobs(&path)?,
        DatabaseUrl::Postgres(url) => postgres::read_jobs(&url)?,
    };
    let log = match log {
        DatabaseUrl::Sqlite(path) => sqlite::read_log(&path)?,
        DatabaseUrl::Postgres(url) => postgres::read_log(&url)?,
    };
    Ok(Store { jobs, log, log_shares_database: false })
}

/// Whether the URLs name databases that this program knows; asks none of them.
pub fn check(config: &StoreConfig) -> Result<(), StoreError> {
    let Places { jobs, log } = Places::of(config)?;
    for place in std::iter::once(jobs).chain(log) {
        if matches!(place, DatabaseUrl::Postgres(_)) {
            postgres::check_built()?;
        }
    }
    Ok(())
}

/// The migrations that the databases lack, by name; applies nothing.
pub fn pending_migrations(config: &StoreConfig) -> Result<Vec<String>, StoreError> {
    let pending = |place: &DatabaseUrl, contents| match place {
        DatabaseUrl::Sqlite(path) => sqlite::pending_migrations(path, contents),
        DatabaseUrl::Postgres(url) => postgres::pending_migrations(url, contents),
    };
    let Places { jobs, log } = Places::of(config)?;
    match log {
        None => pending(&jobs, Contents::JobsAndEventLog),
        Some(log) => {
            let mut names = pending(&jobs, Contents::Jobs)?;
            names.extend(pending(&log, Contents::EventLog)?);
            Ok(names)
        }
    }
}

/// The databases that the URLs name.
struct Places {
    jobs: DatabaseUrl,
    /// None if the log shares the jobs' database.
    log: Option<DatabaseUrl>,
}

impl Places {
    fn of(config: &StoreConfig) -> Result<Self, StoreError> {
        let jobs = DatabaseUrl::parse(&config.database_url)?;
        let log = config.event_log_database_url.as_deref().map(DatabaseUrl::parse).transpose()?;
        let is_another = |log: &DatabaseUrl| match (&jobs, log) {
            (DatabaseUrl::Sqlite(jobs), DatabaseUrl::Sqlite(log)) => {
                !sqlite::is_same_file(jobs, log)
            }
            // Two spellings of one database are taken for two. That works, only slower.
            (jobs, log) => jobs != log,
        };
        let log = log.filter(is_another);
        Ok(Self { jobs, log })
    }
}

impl Store {
    /// Events within scope and filter, whether logged by now or still in the
    /// outbox, in sequence order, without a gap.
    ///
    /// The outbox is read first: an event moves from there to the log, so it may be
    /// seen twice, which is mended here, but never missed.
    pub fn events(
        &self,
        scope: &Scope,
        filter: &EventFilter,
    ) -> Result<Page<CommittedEvent>, StoreError> {
        let last = self.jobs.last_sequence()?;
        // At most one page of the outbox is needed: what lies beyond belongs to a later page.
        let unlogged = self.jobs.outbox_after(filter.after, PAGE_ROWS_MAX)?;
        let unlogged_reach =
            if unlogged.len() < PAGE_ROWS_MAX { None } else { unlogged.last().map(|e| e.sequence) };
        // The outbox has no gaps. One that begins right behind `after` has all that is
        // asked for, and the log, which may be down, is not missed.
        let is_unlogged = unlogged.first().is_some_and(|first| first.sequence == filter.after + 1);
        let mut items = if is_unlogged { Vec::new() } else { self.log.read(scope, filter)? };
        let logged_until = items.last().map_or(filter.after, |event| event.sequence);
        let page_is_full = items.len() >= filter.limit;
        if !page_is_full {
            let more = unlogged.into_iter().filter(|event| {
                event.sequence > logged_until && in_scope(event, scope) && matches(event, filter)
            });
            items.extend(more);
        }
        items.truncate(filter.limit);
        let reached = items.last().map_or(0, |event| event.sequence);
        let sequence = if items.len() == filter.limit {
            reached
        } else {
            unlogged_reach.unwrap_or(last).max(reached)
        };
        let sequence = filter.until.map_or(sequence, |until| sequence.min(until));
        Ok(Page { items, next: None, sequence })
    }
}

/// Whether an event is of a scope: of its regions, or announced to its contractor.
fn in_scope(event: &CommittedEvent, scope: &Scope) -> bool {
    match scope {
        Scope::All => true,
        Scope::Only { regions, contractor_id } => {
            regions.contains(&event.region)
                || contractor_id
                    .is_some_and(|id| event.groups.contains(&crate::jobs::contractor_group(id)))
        }
    }
}

fn matches(event: &CommittedEvent, filter: &EventFilter) -> bool {
    event.sequence > filter.after
        && filter.until.is_none_or(|until| event.sequence <= until)
        && filter.group.as_ref().is_none_or(|group| event.groups.contains(group))
        && filter.event_type.is_none_or(|event_type| event.event_type == event_type)
        && filter.job_id.is_none_or(|job_id| event.job_id == job_id)
}
