//! Past events from the database, read once for all who ask for the same.
//!
//! One who looks back reads its groups by their index. But after a restart a thousand
//! subscribers come back at the same moment, each with groups of its own, and the events
//! that they missed are the same few thousand. So while many ask, all events are read,
//! a block at a time, and each takes its own out of them. Blocks and parts stay at hand
//! for a while; and only a few are read at a time, whoever asks, so that those who look
//! back leave room for those who work.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OnceCell, Semaphore};

use super::blocking;
use super::event_feed::FeedPart;
use super::metrics::{Metrics, PastSource};
use super::recent_events::RelayedEvent;
use crate::jobs::{CommittedEvent, Scope, Sequence};
use crate::store::{EventFilter, PAGE_ROWS_MAX, Store, StoreError};

/// Events of a part that is read for certain groups.
const PART_EVENTS_MAX: usize = 200;

/// Sequences of a block.
const BLOCK_SEQUENCES: Sequence = PAGE_ROWS_MAX as Sequence;

/// Blocks and parts that are read at a time.
const READS_MAX: usize = 2;

/// Blocks and parts that stay at hand: at most 24,000 events, which is 18 MB of payloads
/// of the usual size, and as much again for each kind of frame that they became.
const KEPT_MAX: usize = 48;

/// How long they stay when nobody asks for them.
const KEPT_TIME: Duration = Duration::from_secs(30);

/// From so many readers at a time on, blocks are read.
const CROWD_MIN: usize = 8;

/// But not for one who is further behind than this: the others' blocks would have to go.
const BLOCKS_REACH: Sequence = BLOCK_SEQUENCES * 40;

/// See the module. Clones share what is at hand.
#[derive(Clone)]
pub(super) struct PastEvents(Arc<Shared>);

struct Shared {
    store: Store,
    metrics: Arc<Metrics>,
    places: Semaphore,
    readers: AtomicUsize,
    kept: Mutex<Vec<Kept>>,
}

/// What is at hand, or being read.
struct Kept {
    key: Key,
    used_at: Instant,
    piece: Arc<OnceCell<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    /// All events of `BLOCK_SEQUENCES` from this many blocks on.
    Block(Sequence),
    /// Those of groups, in the order of their names, past a sequence.
    Part(Vec<String>, Sequence),
}

struct Piece {
    events: Vec<Arc<RelayedEvent>>,
    /// The places of each group's events; none in a part, all of which is asked for.
    by_group: HashMap<String, Vec<usize>>,
    /// Up to where it is complete.
    read_to: Sequence,
}

impl PastEvents {
    pub(super) fn new(store: Store, metrics: Arc<Metrics>) -> Self {
        let (places, readers) = (Semaphore::new(READS_MAX), AtomicUsize::new(0));
        Self(Arc::new(Shared { store, metrics, places, readers, kept: Mutex::default() }))
    }

    /// What these groups were told past `after` and up to `until`, which has been relayed;
    /// or the first of it.
    pub(super) async fn read(
        &self,
        groups: &[String],
        after: Sequence,
        until: Sequence,
    ) -> Result<FeedPart, StoreError> {
        let _reader = Reader::new(&self.0.readers);
        let block = after / BLOCK_SEQUENCES;
        let is_crowded = self.0.readers.load(Ordering::Relaxed) >= CROWD_MIN;
        // The last block may grow still.
        let is_whole = (block + 1) * BLOCK_SEQUENCES <= until;
        if is_crowded && is_whole && until - after <= BLOCKS_REACH {
            self.read_of_block(block, groups, after, until).await
        } else {
            self.read_part(groups, after, until).await
        }
    }

    async fn read_of_block(
        &self,
        block: Sequence,
        groups: &[String],
        after: Sequence,
        until: Sequence,
    ) -> Result<FeedPart, StoreError> {
        let piece = self.piece(Key::Block(block));
        let piece = piece
            .get_or_try_init(|| self.load(PastSource::Block, move |store| read_block(store, block)))
            .await?;
        let places = groups.iter().filter_map(|group| piece.by_group.get(group));
        let places: BTreeSet<usize> = places.flatten().copied().collect();
        let events = places.into_iter().map(|place| &piece.events[place]);
        Ok(cut(events, piece.read_to, after, until))
    }

    async fn read_part(
        &self,
        groups: &[String],
        after: Sequence,
        until: Sequence,
    ) -> Result<FeedPart, StoreError> {
        let mut groups = groups.to_vec();
        groups.sort_unstable();
        let piece = self.piece(Key::Part(groups.clone(), after));
        let piece = piece
            .get_or_try_init(|| {
                self.load(PastSource::Groups, move |store| {
                    read_groups(store, &groups, after, until)
                })
            })
            .await?;
        // It may have been read for somebody who asked for more.
        Ok(cut(piece.events.iter(), piece.read_to, after, until))
    }

    async fn load(
        &self,
        source: PastSource,
        read: impl FnOnce(&Store) -> Result<Piece, StoreError> + Send + 'static,
    ) -> Result<Piece, StoreError> {
        let _place = self.0.places.acquire().await;
        self.0.metrics.past_read(source);
        let store = self.0.store.clone();
        blocking(move || read(&store)).await
    }

    /// What is at hand under this key, or will be.
    fn piece(&self, key: Key) -> Arc<OnceCell<Piece>> {
        let (mut kept, used_at) = (self.kept(), Instant::now());
        if let Some(known) = kept.iter_mut().find(|known| known.key == key) {
            known.used_at = used_at;
            return Arc::clone(&known.piece);
        }
        if kept.len() == KEPT_MAX
            && let Some(oldest) = (0..kept.len()).min_by_key(|place| kept[*place].used_at)
        {
            kept.swap_remove(oldest);
        }
        if kept.is_empty() {
            actix_web::rt::spawn(self.clone().forget_unused());
        }
        let piece = Arc::<OnceCell<Piece>>::default();
        kept.push(Kept { key, used_at, piece: Arc::clone(&piece) });
        piece
    }

    /// Lets go of what nobody asks for, until nothing is left.
    async fn forget_unused(self) {
        loop {
            tokio::time::sleep(KEPT_TIME).await;
            let mut kept = self.kept();
            kept.retain(|known| known.used_at.elapsed() < KEPT_TIME);
            if kept.is_empty() {
                return;
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        // No code that holds the lock panics half way through a change.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one who reads, for as long as it lives.
struct Reader<'a>(&'a AtomicUsize);

impl<'a> Reader<'a> {
    fn new(readers: &'a AtomicUsize) -> Self {
        readers.fetch_add(1, Ordering::Relaxed);
        Self(readers)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Of a piece's events those in `(after, until]`.
fn cut<'a>(
    events: impl Iterator<Item = &'a Arc<RelayedEvent>>,
    read_to: Sequence,
    after: Sequence,
    until: Sequence,
) -> FeedPart {
    let is_asked_for =
        |event: &&Arc<RelayedEvent>| (after + 1..=until).contains(&event.event.sequence);
    let events = events.filter(is_asked_for).map(Arc::clone).collect();
    FeedPart { events, read_to: read_to.min(until) }
}

fn relayed(events: impl IntoIterator<Item = CommittedEvent>) -> Vec<Arc<RelayedEvent>> {
    let events = events.into_iter();
    events.filter_map(|event| RelayedEvent::new(Arc::new(event))).map(Arc::new).collect()
}

fn read_block(store: &Store, block: Sequence) -> Result<Piece, StoreError> {
    let (after, read_to) = (block * BLOCK_SEQUENCES, (block + 1) * BLOCK_SEQUENCES);
    let (until, limit) = (Some(read_to), PAGE_ROWS_MAX);
    let filter = EventFilter { after, until, limit, ..EventFilter::default() };
    let events = relayed(store.events(&Scope::All, &filter)?.items);
    let mut by_group: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, event) in events.iter().enumerate() {
        for group in &event.event.groups {
            by_group.entry(group.clone()).or_default().push(place);
        }
    }
    Ok(Piece { events, by_group, read_to })
}

/// Reads each group by its index. A page that is full says nothing about what is
/// behind its last event, so the part ends where the first of them does.
fn read_groups(
    store: &Store,
    groups: &[String],
    after: Sequence,
    until: Sequence,
) -> Result<Piece, StoreError> {
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
    Ok(Piece { events: relayed(found.into_values()), by_group: HashMap::new(), read_to })
}
