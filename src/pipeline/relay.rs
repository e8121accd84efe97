//! Brings the registry what it missed: events of a former process, of other nodes, of a
//! registry that panicked, and such as did not fit into a queue. A server that could not
//! be told at its start where to begin finds out here.
//!
//! State:      whether the database is being read, and its last sequence at the last look.
//! Listens to: a timer; a notice of whoever knows that something is missing; `CatchUp`
//!             (from itself, while there is more to read).
//! Speaks to:  the store, on threads for blocking; then the group registry.
//! Stops here: a database that does not answer. It is asked again at the next tick.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::Notify;

use super::beginning::Beginning;
use super::blocking;
use super::group_registry::{Committed, GroupRegistry};
use super::keeper::{Kept, Lifeline};
use super::progress::PartState;
use crate::jobs::{CommittedEvent, Scope, Sequence};
use crate::store::{EventFilter, PAGE_ROWS_MAX, StoreError};

/// How often it is looked how old the outbox's events are.
const OUTBOX_INTERVAL: Duration = Duration::from_secs(1);

/// Look now, and do not give events that are just on their way another tick.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CatchUp;

/// See the module.
pub struct Relay {
    beginning: Beginning,
    registry: Kept<GroupRegistry>,
    interval: Duration,
    is_reading: bool,
    /// Somebody asked while it was being read.
    is_asked: bool,
    last_seen: Sequence,
    outbox_seen_at: Option<Instant>,
    missing: Arc<Notify>,
    _lifeline: Lifeline,
}

impl Relay {
    pub(super) fn new(
        beginning: Beginning,
        registry: Kept<GroupRegistry>,
        interval: Duration,
        missing: Arc<Notify>,
        lifeline: Lifeline,
    ) -> Self {
        Self {
            beginning,
            registry,
            interval,
            is_reading: false,
            is_asked: false,
            last_seen: 0,
            outbox_seen_at: None,
            missing,
            _lifeline: lifeline,
        }
    }

    /// Reads what is past the last relayed event, if the registry should have had it by
    /// now: what was committed before the last look, or anything when `now`; and if there
    /// is something that was not committed here.
    fn look(&mut self, now: bool, ctx: &mut Context<Self>) {
        if self.is_reading {
            self.is_asked = self.is_asked || now;
            return;
        }
        self.is_reading = true;
        let (beginning, last_seen) = (self.beginning.clone(), self.last_seen);
        let is_outbox_due = self.outbox_seen_at.is_none_or(|at| at.elapsed() >= OUTBOX_INTERVAL);
        if is_outbox_due {
            self.outbox_seen_at = Some(Instant::now());
        }
        let read = move || {
            beginning.begin()?;
            let (relayed, known) = (beginning.progress.relayed(), beginning.progress.committed());
            let is_behind = now || relayed < last_seen;
            let missed = read_missed(&beginning, relayed, if is_behind { 0 } else { known })?;
            if is_outbox_due {
                let oldest = beginning.store.jobs.oldest_unlogged()?;
                beginning.progress.set_oldest_unlogged(oldest);
            }
            Ok(missed)
        };
        let reading = blocking(read).into_actor(self);
        ctx.spawn(reading.map(move |outcome, actor, ctx| {
            actor.is_reading = false;
            match outcome {
                Ok((last, events)) => {
                    actor.last_seen = last;
                    actor.beginning.progress.set_committed(last);
                    let is_more = events.len() >= PAGE_ROWS_MAX;
                    let is_sent = actor.hand_over(events);
                    if is_sent && is_more || std::mem::take(&mut actor.is_asked) {
                        ctx.notify(CatchUp);
                    }
                }
                Err(error) => log::warn!(error:%; "missed events cannot be read for now"),
            }
        }));
    }

    /// Looks whenever somebody says that something is missing.
    fn await_notice(&mut self, ctx: &mut Context<Self>) {
        let missing = Arc::clone(&self.missing);
        let notice = async move { missing.notified().await }.into_actor(self);
        ctx.spawn(notice.map(|(), actor, ctx| {
            actor.look(true, ctx);
            actor.await_notice(ctx);
        }));
    }

    fn hand_over(&self, events: Vec<CommittedEvent>) -> bool {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return false;
        };
        log::debug!(first = first.sequence, last = last.sequence; "relaying events from the database");
        let events = events.into_iter().map(Arc::new).collect();
        self.registry.try_send(Committed(events)).is_ok()
    }
}

/// The last sequence, and the events past `relayed` if there are any past `known`, which
/// are on their way to the registry. The log is read only for what the outbox no longer
/// has, so that a log which is down does not hold up what is still in the outbox.
fn read_missed(
    beginning: &Beginning,
    relayed: Sequence,
    known: Sequence,
) -> Result<(Sequence, Vec<CommittedEvent>), StoreError> {
    let Beginning { store, progress, .. } = beginning;
    let last = store.jobs.last_sequence();
    progress.set_job_store_state(if last.is_ok() { PartState::Up } else { PartState::Down });
    let last = last?;
    if last <= known || last <= relayed {
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
        self.await_notice(ctx);
    }
}

impl Handler<CatchUp> for Relay {
    type Result = ();

    fn handle(&mut self, _: CatchUp, ctx: &mut Self::Context) {
        self.look(true, ctx);
    }
}
