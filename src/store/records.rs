//! Rows as they stand, whatever they hold, for [`verify`](super::verify): all that the
//! rest of the program reads is read as what it should be, and fails if it is not.

use super::StoreError;
use crate::jobs::Sequence;

/// What `outbox` and `event_log` both hold of an event, as texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// The key.
    pub sequence: Sequence,
    /// Should be a UUID.
    pub event_id: String,
    /// Should be the name of an event type.
    pub event_type: String,
    /// Should be the payload's.
    pub schema_version: i64,
    /// Should be a UUID.
    pub job_id: String,
    /// Should be a region's name.
    pub region: String,
    /// Should be an event's JSON.
    pub payload: String,
    /// Should be a JSON array of groups.
    pub published_to: String,
    /// Should be the payload's.
    pub actor_id: String,
    /// Should be the payload's.
    pub correlation_id: String,
    /// Should be a time as the payload writes it.
    pub occurred_at: String,
}

/// What a row of `jobs` has in common with its events, as texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// The key.
    pub id: String,
    /// What is to be done.
    pub title: String,
    /// Should be a region's name.
    pub region: String,
    /// The site's time zone.
    pub timezone: String,
    /// The window's start, as events write it.
    pub start_utc: String,
    /// The window's end, as events write it.
    pub end_utc: String,
    /// Should be a status's name.
    pub status: String,
    /// Why it was called off.
    pub cancellation_reason: Option<String>,
    /// Should be the version of the last event.
    pub version: i64,
    /// When it last changed, as events write it.
    pub updated_at: String,
    /// Who is assigned, in order.
    pub contractor_ids: Vec<String>,
}

/// What one statement found: how many in all, and some of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<T> {
    /// All.
    pub total: u64,
    /// At most as many as were asked for.
    pub shown: Vec<T>,
}

/// Two live assignments that give one contractor's time away twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Whose time.
    pub contractor_id: String,
    /// The job that starts first.
    pub job_id: String,
    /// The one that starts before the first has ended.
    pub other_job_id: String,
}

/// An assignment whose copy of window or life is not its job's, or that has no job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleAssignment {
    /// Which job.
    pub job_id: String,
    /// Who is assigned.
    pub contractor_id: String,
}

/// A group of an event that `event_log_groups` and the event do not agree about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFault {
    /// Which event.
    pub sequence: Sequence,
    /// Which group.
    pub group: String,
    /// Whether the event names the group and the row is missing; else there is a row
    /// that no event stands for.
    pub is_missing: bool,
}

/// The rows of the jobs' database.
pub trait JobRecords {
    /// The outbox's rows past a sequence, in order, at most `limit`.
    fn outbox_records(&self, after: Sequence, limit: usize)
    -> Result<Vec<EventRecord>, StoreError>;

    /// The jobs whose id sorts after a text, which is empty for the first page, in the
    /// order of their ids, at most `limit`; and the last sequence of the same snapshot.
    fn job_records(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<JobRecord>, Sequence), StoreError>;

    /// The live assignments of one contractor that overlap.
    fn overlaps(&self, limit: usize) -> Result<Counted<Overlap>, StoreError>;

    /// The assignments that do not agree with their jobs.
    fn stale_assignments(&self, limit: usize) -> Result<Counted<StaleAssignment>, StoreError>;
}

/// The rows of the log's database.
pub trait LogRecords {
    /// The log's rows past a sequence, in order, at most `limit`.
    fn log_records(&self, after: Sequence, limit: usize) -> Result<Vec<EventRecord>, StoreError>;

    /// What the log's events and the rows of their groups do not agree about. An event
    /// whose `published_to` is no JSON counts as announced to nobody.
    fn group_faults(&self, limit: usize) -> Result<Counted<GroupFault>, StoreError>;
}
