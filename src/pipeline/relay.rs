//! Brings the registry what it missed: events of a former process, of a registry
//! that panicked, and such as did not fit into a queue.
//!
//! State:      whether the database is being read, and its last sequence at the last look.
//! Listens to: a timer, and `CatchUp` (from itself, while there is more to read, and
//!             from whoever else knows that something is missing).
//! Speaks to:  the store, on threads for blocking; then the group registry.
//! Stops here: a database that does not answer. It is asked again at the next tick.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::blocking;
use super::group_registry::{Committed, GroupRegistry};
use super::keeper::{Kept, Lifeline};
use super::progress::Progress;
use crate::jobs::{CommittedEvent, Scope, Sequence};
use crate::store::{EventFilter, PAGE_ROWS_MAX, Store, StoreError};

/// Look now, and do not give events that are just on their way another tick.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CatchUp;

/// See the module.
pub struct Relay {
    store: Store,
    registry: Kept<GroupRegistry>,
    progress: Arc<Progress>,
    interval: Duration,
    is_reading: bool,
    last_seen: Sequence,
    _lifeline: Lifeline,
}

impl Relay {
    pub(super) fn new(
        store: Store,
        registry: Kept<GroupRegistry>,
        progress: Arc<Progress>,
        interval: Duration,
        lifeline: Lifeline,
    ) -> Self {
        let (is_reading, last_seen) = (false, 0);
        Self { store, registry, progress, interval, is_reading, last_seen, _lifeline: lifeline }
    }

    /// Reads what is past the last relayed event, if the registry should have had it
    /// by now: what was committed before the last look, or anything when `now`.
    fn look(&mut self, now: bool, ctx: &mut Context<Self>) {
        if self.is_reading {
            return;
        }
        self.is_reading = true;
        let (store, relayed) = (self.store.clone(), self.progress.relayed());
        let is_behind = now || relayed < self.last_seen;
        let reading = blocking(move || read_missed(&store, relayed, is_behind)).into_actor(self);
        ctx.spawn(reading.map(move |outcome, actor, ctx| {
            actor.is_reading = false;
            match outcome {
                Ok((last, events)) => {
                    actor.last_seen = last;
                    actor.progress.set_committed(last);
                    let is_more = events.len() >= PAGE_ROWS_MAX;
                    let is_sent = actor.hand_over(events);
                    if is_sent && is_more {
                        ctx.notify(CatchUp);
                    }
                }
                Err(error) => log::warn!("missed events cannot be read for now: {error}"),
            }
        }));
    }

    fn hand_over(&self, events: Vec<CommittedEvent>) -> bool {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return false;
        };
        log::info!("relaying events {} to {} from the database", first.sequence, last.sequence);
        let events = events.into_iter().map(Arc::new).collect();
        self.registry.try_send(Committed(events)).is_ok()
    }
}

/// The last sequence, and the events past `relayed` if they are wanted. The log is
/// read only for what the outbox no longer has, so that a log which is down does
/// not hold up what is still in the outbox.
fn read_missed(
    store: &Store,
    relayed: Sequence,
    is_wanted: bool,
) -> Result<(Sequence, Vec<CommittedEvent>), StoreError> {
    let last = store.jobs.last_sequence()?;
    if !is_wanted || last <= relayed {
        return Ok((last, Vec::new()));
    }
    let unlogged = store.jobs.outbox_after(relayed, PAGE_ROWS_MAX)?;
    if unlogged.first().is_some_and(|event| event.sequence == relayed + 1) {
        return Ok((last, unlogged));
    }
    let filter = EventFilter { after: relayed, limit: PAGE_ROWS_MAX, ..EventFilter::default() };
    Ok((last, store.events(&Scope::All, &filter)?.items))
}

impl Actor for Relay {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.look(true, ctx);
        ctx.run_interval(self.interval, |actor, ctx| actor.look(false, ctx));
    }
}

impl Handler<CatchUp> for Relay {
    type Result = ();

    fn handle(&mut self, _: CatchUp, ctx: &mut Self::Context) {
        self.look(true, ctx);
    }
}
