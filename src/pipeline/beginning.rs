//! Where a server begins: what was relayed before it was there, and what is told anew.

use std::sync::Arc;

use super::progress::Progress;
use super::recent_events::{EVENTS_MAX, RecentEvents, RelayedEvent};
use crate::jobs::{Scope, Sequence};
use crate::signalr::HubHandle;
use crate::store::{EventFilter, PAGE_ROWS_MAX, Store, StoreError};

/// What is told where to begin.
#[derive(Clone)]
pub(super) struct Beginning {
    pub(super) store: Store,
    pub(super) progress: Arc<Progress>,
    pub(super) recent: Arc<RecentEvents>,
    pub(super) hub: HubHandle,
}

impl Beginning {
    /// Looks for the place, once the database answers. Until then nobody can follow
    /// anything. Doing it again changes nothing.
    ///
    /// All before the outbox's first event stands in the log, so a former process has
    /// relayed it; of the outbox the last [`EVENTS_MAX`] are relayed. Those before are
    /// kept at hand: whoever was connected to a former process asks for them now, and
    /// everybody else does at the same moment.
    pub(super) fn begin(&self) -> Result<(), StoreError> {
        if self.progress.has_begun() {
            return Ok(());
        }
        let (unlogged_from, last) = self.store.jobs.outbox_start()?;
        let logged = unlogged_from.map_or(last, |first| first - 1);
        let kept = last.saturating_sub(EVENTS_MAX as Sequence);
        let relayed = logged.max(kept);
        if let Err(error) = self.remember(kept, relayed) {
            log::warn!(error:%; "the latest events are read when they are asked for");
        }
        self.hub.start_at(relayed);
        self.progress.begin(relayed);
        Ok(())
    }

    /// Keeps the events of `(after, until]`.
    fn remember(&self, mut after: Sequence, until: Sequence) -> Result<(), StoreError> {
        while after < until {
            let missing = usize::try_from(until - after).unwrap_or(usize::MAX);
            let limit = missing.min(PAGE_ROWS_MAX);
            let filter = EventFilter { after, limit, ..EventFilter::default() };
            let items = self.store.events(&Scope::All, &filter)?.items;
            let Some(last) = items.last().map(|event| event.sequence) else {
                return Ok(());
            };
            let events = items.into_iter().filter_map(|event| RelayedEvent::new(Arc::new(event)));
            events.for_each(|event| self.recent.push(Arc::new(event)));
            after = last;
        }
        Ok(())
    }
}
