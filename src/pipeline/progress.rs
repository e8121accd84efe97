//! How far events have come, for whoever wants to know.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::jobs::{Sequence, Timestamp};

/// The state of a part of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum PartState {
    /// It does what it is for.
    Up,
    /// It will, but is behind.
    Degraded,
    /// It does not.
    Down,
}

/// The last sequence that was committed here, relayed to connections, and logged.
#[derive(Debug, Default)]
pub struct Progress {
    committed: AtomicU64,
    relayed: watch::Sender<Sequence>,
    logged: watch::Sender<Sequence>,
    job_store_state: AtomicU8,
    log_state: AtomicU8,
    backplane_state: AtomicU8,
    has_begun: AtomicBool,
    oldest_unlogged: StoredTime,
    log_waits_since: StoredTime,
    log_waiting: AtomicUsize,
}

/// A time, or none, that any thread may set.
#[derive(Debug)]
struct StoredTime(AtomicI64);

impl StoredTime {
    const NONE: i64 = i64::MIN;

    fn get(&self) -> Option<Timestamp> {
        // None is before 1970, as no time is.
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, time: Option<Timestamp>) {
        self.0.store(time.map_or(Self::NONE, Timestamp::millis), Ordering::Relaxed);
    }
}

impl Default for StoredTime {
    fn default() -> Self {
        Self(AtomicI64::new(Self::NONE))
    }
}

impl Progress {
    /// Whether it is known what happened before this process. Until then nothing is
    /// relayed, and nobody can follow anything.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// All up to `relayed` was relayed by a former process.
    pub(super) fn begin(&self, relayed: Sequence) {
        self.set_relayed(relayed);
        self.has_begun.store(true, Ordering::Release);
    }

    /// The last sequence known to be committed.
    #[must_use]
    pub fn committed(&self) -> Sequence {
        self.committed.load(Ordering::Acquire)
    }

    /// The last sequence that was handed to the connections.
    #[must_use]
    pub fn relayed(&self) -> Sequence {
        *self.relayed.borrow()
    }

    /// The last sequence known to be logged.
    #[must_use]
    pub fn logged(&self) -> Sequence {
        *self.logged.borrow()
    }

    /// Whether the jobs' database answers, as of the relay's last look; down until it has
    /// answered once.
    #[must_use]
    pub fn job_store_state(&self) -> PartState {
        if self.has_begun() { state_of(&self.job_store_state) } else { PartState::Down }
    }

    /// How the log does, as its writer last saw it.
    #[must_use]
    pub fn log_state(&self) -> PartState {
        state_of(&self.log_state)
    }

    /// How the way to other nodes does; up where none is configured.
    #[must_use]
    pub fn backplane_state(&self) -> PartState {
        state_of(&self.backplane_state)
    }

    /// When the outbox's oldest event happened, as of the relay's last look, which is at
    /// most a second old while the database answers.
    #[must_use]
    pub fn oldest_unlogged(&self) -> Option<Timestamp> {
        self.oldest_unlogged.get()
    }

    /// When the oldest of the events happened that wait in the log writer's memory.
    #[must_use]
    pub fn log_waits_since(&self) -> Option<Timestamp> {
        self.log_waits_since.get()
    }

    /// How many wait there.
    #[must_use]
    pub fn log_waiting(&self) -> usize {
        self.log_waiting.load(Ordering::Relaxed)
    }

    pub(super) fn set_oldest_unlogged(&self, time: Option<Timestamp>) {
        self.oldest_unlogged.set(time);
    }

    pub(super) fn set_log_waiting(&self, events: usize, since: Option<Timestamp>) {
        self.log_waits_since.set(since);
        self.log_waiting.store(events, Ordering::Relaxed);
    }

    /// Waits until all up to `sequence` is logged, or the time is up; answers whether it is.
    pub async fn wait_logged(&self, sequence: Sequence, time_limit: Duration) -> bool {
        let mut logged = self.logged.subscribe();
        let reached = logged.wait_for(|logged| *logged >= sequence);
        matches!(tokio::time::timeout(time_limit, reached).await, Ok(Ok(_)))
    }

    /// Waits until something past `sequence` has been relayed; answers up to where.
    pub async fn relayed_past(&self, sequence: Sequence) -> Sequence {
        let mut relayed = self.relayed.subscribe();
        match relayed.wait_for(|relayed| *relayed > sequence).await {
            Ok(relayed) => *relayed,
            // The sender is ours.
            Err(_) => sequence,
        }
    }

    pub(super) fn set_committed(&self, sequence: Sequence) {
        self.committed.fetch_max(sequence, Ordering::AcqRel);
    }

    pub(super) fn set_relayed(&self, sequence: Sequence) {
        self.set_committed(sequence);
        raise(&self.relayed, sequence);
    }

    pub(super) fn set_logged(&self, sequence: Sequence) {
        raise(&self.logged, sequence);
    }

    pub(super) fn set_job_store_state(&self, state: PartState) {
        self.job_store_state.store(state as u8, Ordering::Release);
    }

    pub(super) fn set_log_state(&self, state: PartState) {
        self.log_state.store(state as u8, Ordering::Release);
    }

    pub(super) fn set_backplane_state(&self, state: PartState) {
        self.backplane_state.store(state as u8, Ordering::Release);
    }
}

fn state_of(stored: &AtomicU8) -> PartState {
    match stored.load(Ordering::Acquire) {
        0 => PartState::Up,
        1 => PartState::Degraded,
        _ => PartState::Down,
    }
}

/// Tells whoever waits, if it is further than before.
fn raise(mark: &watch::Sender<Sequence>, sequence: Sequence) {
    mark.send_if_modified(|mark| {
        let is_further = sequence > *mark;
        *mark = (*mark).max(sequence);
        is_further
    });
}
