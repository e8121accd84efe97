//! How far events have come, for whoever wants to know.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::jobs::Sequence;

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
