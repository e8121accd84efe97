//! Past events for subscribers: from memory where they are recent, else from the
//! outbox and the log, a bounded part at a time.

use std::sync::Arc;

use tokio::sync::Notify;

use super::blocking;
use super::metrics::{Metrics, PastSource, Replaying};
use super::past_events::PastEvents;
use super::progress::Progress;
use super::recent_events::{RecentEvents, RelayedEvent};
use crate::jobs::{Scope, Sequence};
use crate::store::{EventFilter, PAGE_ROWS_MAX, Store, StoreError};

/// See the module. Clones read the same events.
#[derive(Clone)]
pub struct EventFeed {
    store: Store,
    progress: Arc<Progress>,
    recent: Arc<RecentEvents>,
    past: PastEvents,
    /// Wakes the relay.
    missing: Arc<Notify>,
    metrics: Arc<Metrics>,
}

/// A part of what was asked for.
#[derive(Debug)]
pub struct FeedPart {
    /// In sequence order.
    pub events: Vec<Arc<RelayedEvent>>,
    /// Up to where the part is complete; the next one begins behind it.
    pub read_to: Sequence,
}

impl EventFeed {
    pub(super) fn new(
        store: Store,
        progress: Arc<Progress>,
        recent: Arc<RecentEvents>,
        missing: Arc<Notify>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let past = PastEvents::new(store.clone(), Arc::clone(&metrics));
        Self { store, progress, recent, past, missing, metrics }
    }

    /// What these groups were told past `after` and up to `until`, which has been
    /// relayed; or the first part of it, when it is much.
    pub async fn read(
        &self,
        groups: &[String],
        after: Sequence,
        until: Sequence,
    ) -> Result<FeedPart, StoreError> {
        if let Some(mut events) = self.recent.between(groups, after, until) {
            self.metrics.past_read(PastSource::Memory);
            let is_much = events.len() > PAGE_ROWS_MAX;
            events.truncate(PAGE_ROWS_MAX);
            let last = events.last().map(|event| event.event.sequence);
            let read_to = last.filter(|_| is_much).unwrap_or(until);
            return Ok(FeedPart { events, read_to });
        }
        self.past.read(groups, after, until).await
    }

    /// Whether every event past `after` can still be read. Not when the log was cut,
    /// and not when `after` has not happened here: the log is another one.
    pub async fn reaches_back_to(&self, after: Sequence) -> Result<bool, StoreError> {
        let relayed = self.progress.relayed();
        if after > self.progress.committed() {
            // It may have happened on another node a moment ago.
            let jobs = Arc::clone(&self.store.jobs);
            self.progress.set_committed(blocking(move || jobs.last_sequence()).await?);
            self.missing.notify_one();
        }
        if after >= relayed {
            return Ok(after <= self.progress.committed());
        }
        if self.recent.between(&[], after, relayed).is_some() {
            return Ok(true);
        }
        let store = self.store.clone();
        let filter = EventFilter { after, limit: 1, ..EventFilter::default() };
        let first = blocking(move || store.events(&Scope::All, &filter)).await?;
        Ok(first.items.first().is_some_and(|event| event.sequence == after + 1))
    }

    /// Counts a subscription that is told what it missed, for as long as the answer lives.
    #[must_use]
    pub fn replay(&self) -> Replaying {
        self.metrics.replay()
    }

    /// Counts an item of a stream of events.
    pub fn streamed(&self) {
        self.metrics.streamed();
    }

    /// Whether it is known up to where events were relayed; see [`Progress::has_begun`].
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.progress.has_begun()
    }

    /// Waits until something past `sequence` has been relayed; answers up to where.
    pub async fn relayed_past(&self, sequence: Sequence) -> Sequence {
        self.progress.relayed_past(sequence).await
    }

    /// The last sequence known to be committed; no answer to a command is ahead of it.
    #[must_use]
    pub fn committed(&self) -> Sequence {
        self.progress.committed()
    }

    /// The last sequence that was relayed.
    #[must_use]
    pub fn relayed(&self) -> Sequence {
        self.progress.relayed()
    }
}
