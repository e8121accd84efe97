//! Hands each committed event to the members of its groups, in sequence order, and
//! then to the event log writer.
//!
//! State:      the last sequence relayed, events that came before their turn, and,
//!             shared with those who resume, the events that were relayed last.
//!             Who is in which group is known by the worker threads' shards, so it
//!             outlives this actor.
//! Listens to: `Committed` (from the job actor, the backplane and the relay).
//! Speaks to:  the hub's shards and the event log writer; waits for neither. The relay,
//!             when an event is missing for longer than a moment; what else it misses
//!             the relay notices at its next look.
//! Stops here: whatever happens to connections or the log. When this actor itself
//!             panics, the next one starts from the last sequence relayed; shards
//!             drop what they have had.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::prelude::*;
use tokio::sync::Notify;

use super::event_log_writer::{EventLogWriter, Published};
use super::event_span;
use super::keeper::{Kept, Lifeline, Panic};
use super::metrics::Metrics;
use super::progress::Progress;
use super::recent_events::{RecentEvents, RelayedEvent};
use crate::jobs::{CommittedEvent, Sequence, Timestamp};
use crate::signalr::HubHandle;
use crate::store::LogEntry;

/// Events that have been committed, in sequence order. Those that were relayed
/// before are passed over; those before whom some are missing wait for them.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Committed(pub Vec<Arc<CommittedEvent>>);

/// Batches of events that may wait in the mailbox; what is more, the relay brings.
const BATCHES_MAX: usize = 1_024;

/// Events that may wait for missing ones; what is more, the relay brings.
const HELD_EVENTS_MAX: usize = 10_000;

/// How long an event waits for those before it until they are read from the database.
const MISSING_PATIENCE: Duration = Duration::from_millis(20);

/// See the module.
pub struct GroupRegistry {
    hub: HubHandle,
    log_writer: Kept<EventLogWriter>,
    progress: Arc<Progress>,
    recent: Arc<RecentEvents>,
    held: BTreeMap<Sequence, Arc<CommittedEvent>>,
    /// Wakes the relay.
    missing: Arc<Notify>,
    metrics: Arc<Metrics>,
    _lifeline: Lifeline,
}

impl GroupRegistry {
    pub(super) fn new(
        hub: HubHandle,
        log_writer: Kept<EventLogWriter>,
        (progress, metrics): (Arc<Progress>, Arc<Metrics>),
        recent: Arc<RecentEvents>,
        missing: Arc<Notify>,
        lifeline: Lifeline,
    ) -> Self {
        let held = BTreeMap::new();
        Self { hub, log_writer, progress, recent, held, missing, metrics, _lifeline: lifeline }
    }

    /// Takes events in, and relays those whose turn it is.
    fn relay(&mut self, events: Vec<Arc<CommittedEvent>>) {
        if !self.progress.has_begun() {
            // Whatever it is, it is in the database when it is known where to begin.
            return;
        }
        let relayed = self.progress.relayed();
        self.held
            .extend(events.into_iter().filter(|e| e.sequence > relayed).map(|e| (e.sequence, e)));
        let mut entries = Vec::new();
        let mut next = relayed + 1;
        while let Some(event) = self.held.remove(&next) {
            self.publish(&event);
            self.progress.set_relayed(next);
            self.metrics.relayed(&event);
            entries.push(LogEntry { event, published_at: Some(Timestamp::now()) });
            next += 1;
        }
        while self.held.len() > HELD_EVENTS_MAX {
            self.held.pop_last();
        }
        if !entries.is_empty() && self.log_writer.try_send(Published(entries)).is_err() {
            log::warn!("the event log writer takes no events; it will find them in the outbox");
        }
    }

    /// Gives those that are missing a moment to come by themselves, from another node,
    /// and then has them read from the database.
    fn await_missing(&self, ctx: &mut Context<Self>) {
        ctx.run_later(MISSING_PATIENCE, |actor, ctx| {
            if !actor.held.is_empty() {
                actor.missing.notify_one();
                actor.await_missing(ctx);
            }
        });
    }

    /// It is among the recent events before anybody has it, so whoever subscribes
    /// behind it finds it there.
    fn publish(&self, event: &Arc<CommittedEvent>) {
        let _span = event_span(SystemTime::now(), "relay", event);
        if let Some(relayed) = RelayedEvent::new(Arc::clone(event)) {
            let publication = Arc::clone(&relayed.publication);
            self.recent.push(Arc::new(relayed));
            self.hub.publish(publication);
        }
    }
}

impl Actor for GroupRegistry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(BATCHES_MAX);
    }
}

impl Handler<Committed> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, committed: Committed, ctx: &mut Self::Context) {
        let had_all = self.held.is_empty();
        self.relay(committed.0);
        if had_all && !self.held.is_empty() {
            self.await_missing(ctx);
        }
    }
}

impl Handler<Panic> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("asked to panic");
    }
}
