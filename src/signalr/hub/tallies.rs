//! What happened to connections since a hub's start.

use std::sync::atomic::{AtomicU64, Ordering};

use super::close::CLOSE_NAMES;
use crate::signalr::connection::TransportKind;

/// See the module. Written by every worker thread.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    opened: [AtomicU64; TransportKind::ALL.len()],
    closed: [AtomicU64; CLOSE_NAMES.len()],
    overflows: AtomicU64,
}

impl Tallies {
    pub(super) fn opened(&self, transport: TransportKind) {
        self.opened[transport as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A connection ended, for the reason of this place among [`CLOSE_NAMES`].
    pub(super) fn closed(&self, reason: usize) {
        self.closed[reason].fetch_add(1, Ordering::Relaxed);
    }

    /// A worker thread's queue of publications was full.
    pub(super) fn overflowed(&self) {
        self.overflows.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn opened_by_transport(&self) -> Vec<(TransportKind, u64)> {
        let count = |kind| (kind, self.opened[kind as usize].load(Ordering::Relaxed));
        TransportKind::ALL.map(count).to_vec()
    }

    pub(super) fn closed_by_reason(&self) -> Vec<(&'static str, u64)> {
        let counts = self.closed.iter().map(|count| count.load(Ordering::Relaxed));
        CLOSE_NAMES.into_iter().zip(counts).collect()
    }

    pub(super) fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }
}
