//! Past events from the database, read once for all who ask for the same.
//!
//! After a restart a thousand subscribers come back at the same moment, and many of them
//! follow the same groups from the same place on. A part that one of them waits for is
//! the others' too, and stays at hand for a while; and only a few parts are read at a
//! time, whoever asks, so that those who look back leave room for those who work.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, Semaphore};

use super::blocking;
use super::event_feed::FeedPart;
use super::recent_events::RelayedEvent;
use crate::jobs::{CommittedEvent, Scope, Sequence};
use crate::store::{EventFilter, Store, StoreError};

/// Events of a part. A subscriber holds one part until its connection has room for it.
const PART_EVENTS_MAX: usize = 200;

/// Parts that are read at a time.
const READS_MAX: usize = 2;

/// Parts that stay at hand: 13 MB of events at the most, and as much again for frames.
const PARTS_MAX: usize = 32;

/// See the module.
pub(super) struct PastEvents {
    store: Store,
    places: Semaphore,
    parts: Mutex<VecDeque<(Key, Arc<Part>)>>,
}

/// Which part: the groups in order, and what it begins behind.
type Key = (Vec<String>, Sequence);

/// Read by whoever is first to ask.
type Part = OnceCell<(Vec<Arc<RelayedEvent>>, Sequence)>;

impl PastEvents {
    pub(super) fn new(store: Store) -> Self {
        Self { store, places: Semaphore::new(READS_MAX), parts: Mutex::default() }
    }

    /// What these groups were told past `after` and up to `until`, or the first of it.
    pub(super) async fn read(
        &self,
        groups: &[String],
        after: Sequence,
        until: Sequence,
    ) -> Result<FeedPart, StoreError> {
        let mut groups = groups.to_vec();
        groups.sort_unstable();
        let part = self.part((groups.clone(), after));
        let read = || async {
            let _place = self.places.acquire().await;
            let store = self.store.clone();
            blocking(move || read_stored(&store, &groups, after, until)).await
        };
        let (events, read_to) = part.get_or_try_init(read).await?;
        // It may have been read for somebody who asked for more.
        let events = events.iter().take_while(|event| event.event.sequence <= until);
        Ok(FeedPart { events: events.map(Arc::clone).collect(), read_to: *read_to.min(&until) })
    }

    fn part(&self, key: Key) -> Arc<Part> {
        // No code that holds the lock panics half way through a change.
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, part)) = parts.iter().find(|(known, _)| *known == key) {
            return Arc::clone(part);
        }
        if parts.len() == PARTS_MAX {
            parts.pop_front();
        }
        let part = Arc::<Part>::default();
        parts.push_back((key, Arc::clone(&part)));
        part
    }
}

/// Reads each group by its index. A page that is full says nothing about what is
/// behind its last event, so the part ends where the first of them does.
fn read_stored(
    store: &Store,
    groups: &[String],
    after: Sequence,
    until: Sequence,
) -> Result<(Vec<Arc<RelayedEvent>>, Sequence), StoreError> {
    let (mut read_to, mut found) = (until, BTreeMap::<Sequence, CommittedEvent>::new());
    for group in groups {
        let filter = EventFilter {
            after,
            until: Some(read_to),
            group: Some(group.clone()),
            limit: PART_EVENTS_MAX,
            ..EventFilter::default()
        };
        let page = store.events(&Scope::All, &filter)?;
        read_to = read_to.min(page.sequence);
        found.extend(page.items.into_iter().map(|event| (event.sequence, event)));
        // The more groups, the shorter the way that all of them are read for.
        if let Some(last) = found.keys().nth(PART_EVENTS_MAX - 1) {
            read_to = read_to.min(*last);
        }
        found.split_off(&(read_to + 1));
    }
    let events = found.into_values().filter_map(|event| RelayedEvent::new(Arc::new(event)));
    Ok((events.map(Arc::new).collect(), read_to))
}
