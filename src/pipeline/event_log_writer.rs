//! Writes every event to the log, exactly once and in sequence.
//!
//! State:      the last sequence logged, and events that wait, in sequence from there.
//! Listens to: `Published` (from the group registry).
//! Speaks to:  a thread of its own that blocks on the log's database; one batch in flight.
//! Of several nodes on one database one writes, and the others watch how far it has come.
//! They have the same events waiting, and go on where it stopped when it is gone.
//!
//! Stops here: a log that is down or slow. It is tried again with growing pauses,
//!             a bounded number of events waits in memory, and the rest stays in the
//!             outbox, from where it is taken afterwards. The same way serves a
//!             writer that starts anew, after a panic or in another process.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::prelude::*;

use super::keeper::{Lifeline, Panic};
use super::progress::{PartState, Progress};
use super::{PipelineConfig, event_span, start_thread};
use crate::jobs::Sequence;
use crate::store::{LogEntry, PAGE_ROWS_MAX, Store, StoreError};

/// Events that were handed to the connections, in sequence order.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Published(pub Vec<LogEntry>);

/// Events per transaction; more per batch are hardly faster.
const BATCH_EVENTS_MAX: usize = PAGE_ROWS_MAX;

/// Batches of events that may wait in the mailbox; the outbox has what is more.
const MAILBOX_BATCHES_MAX: usize = 1_024;

/// The first pause after a failure.
const RETRY_MIN: Duration = Duration::from_millis(50);

/// How often a node that does not write looks how far the writer has come.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// How often the outbox is looked at for what nobody announced.
const OUTBOX_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// See the module.
pub struct EventLogWriter {
    thread: Addr<LogThread>,
    progress: Arc<Progress>,
    /// None until the outbox has been looked at once.
    logged: Option<Sequence>,
    /// In sequence, without a gap; usually from `logged` + 1.
    waiting: VecDeque<LogEntry>,
    is_writing: bool,
    is_flush_due: bool,
    /// How far connections had come at the last look: by the next one all that should
    /// have arrived here.
    relayed_at_look: Sequence,
    /// Some of it did not, and is to be taken from the outbox.
    has_missed: bool,
    failures: u32,
    queue_events_max: usize,
    linger: Duration,
    retry_max: Duration,
    /// Whether this node is the one that writes, as of the last time.
    leads: bool,
    _lifeline: Lifeline,
}

impl EventLogWriter {
    pub(super) fn new(
        store: Store,
        progress: Arc<Progress>,
        config: &PipelineConfig,
        lifeline: Lifeline,
    ) -> Self {
        Self {
            thread: start_thread(move || LogThread { store: store.clone() }),
            progress,
            logged: None,
            waiting: VecDeque::new(),
            is_writing: false,
            is_flush_due: false,
            relayed_at_look: 0,
            has_missed: false,
            failures: 0,
            queue_events_max: config.log_queue_events_max,
            linger: config.log_linger,
            retry_max: config.log_retry_max,
            leads: true,
            _lifeline: lifeline,
        }
    }

    /// Keeps the events that follow those that wait; of others the outbox takes care.
    fn keep(&mut self, entries: Vec<LogEntry>) {
        for entry in entries {
            let follows = match self.waiting.back() {
                Some(last) => entry.event.sequence == last.event.sequence + 1,
                None => true,
            };
            if follows && self.waiting.len() < self.queue_events_max {
                self.waiting.push_back(entry);
            }
        }
        self.tell_waiting();
    }

    /// Lets go of what is logged, whoever did it.
    fn forget_logged(&mut self) {
        let logged = self.logged.unwrap_or(0);
        while self.waiting.front().is_some_and(|entry| entry.event.sequence <= logged) {
            self.waiting.pop_front();
        }
        self.tell_waiting();
    }

    fn tell_waiting(&self) {
        let since = self.waiting.front().map(|entry| entry.event.occurred_at);
        self.progress.set_log_waiting(self.waiting.len(), since);
    }

    /// Flushes after a pause, in which more may come.
    fn flush_after(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        if self.is_writing || self.is_flush_due {
            return;
        }
        self.is_flush_due = true;
        ctx.run_later(pause, |actor, ctx| {
            actor.is_flush_due = false;
            actor.flush(ctx);
        });
    }

    /// Writes the next batch, unless one is being written.
    fn flush(&mut self, ctx: &mut Context<Self>) {
        if self.is_writing {
            return;
        }
        let Some(logged) = self.logged else {
            return self.write(Write::FromOutbox, ctx);
        };
        self.forget_logged();
        let has_next = self.waiting.front().is_some_and(|entry| entry.event.sequence == logged + 1);
        if has_next {
            let batch = self.waiting.iter().take(BATCH_EVENTS_MAX).cloned().collect();
            self.write(Write::Entries(batch), ctx);
        } else if !self.waiting.is_empty() || self.has_missed {
            self.write(Write::FromOutbox, ctx);
        }
    }

    /// Notices events that were relayed a while ago and never came here, because the
    /// mailbox was full or the queue was.
    fn look_for_missed(&mut self, ctx: &mut Context<Self>) {
        self.has_missed = self.logged < Some(self.relayed_at_look) && self.waiting.is_empty();
        self.relayed_at_look = self.progress.relayed();
        self.flush_after(self.linger, ctx);
    }

    fn write(&mut self, write: Write, ctx: &mut Context<Self>) {
        self.is_writing = true;
        let answer = self.thread.send(write).into_actor(self);
        ctx.spawn(answer.map(|answer, actor, ctx| {
            actor.is_writing = false;
            match answer {
                Ok(Ok(written)) => actor.written(written, ctx),
                Ok(Err(error)) => actor.failed(&error.to_string(), ctx),
                Err(error) => actor.failed(&error.to_string(), ctx),
            }
        }));
    }

    fn written(&mut self, Written { logged, leads }: Written, ctx: &mut Context<Self>) {
        if leads && !self.leads {
            log::info!(after = logged; "this node writes the event log from here on");
        }
        self.leads = leads;
        if self.failures > 0 {
            log::info!(sequence = logged; "the event log is written again");
        }
        self.failures = 0;
        self.logged = self.logged.max(Some(logged));
        self.forget_logged();
        self.progress.set_logged(logged);
        let is_behind = self.progress.relayed().saturating_sub(logged) > BATCH_EVENTS_MAX as u64;
        let state = if is_behind { PartState::Degraded } else { PartState::Up };
        self.progress.set_log_state(state);
        self.has_missed = self.has_missed && logged < self.relayed_at_look;
        if !self.leads {
            self.flush_after(WATCH_INTERVAL, ctx);
        } else if self.waiting.len() >= BATCH_EVENTS_MAX || self.has_missed {
            self.flush(ctx);
        } else {
            self.flush_after(self.linger, ctx);
        }
    }

    fn failed(&mut self, error: &str, ctx: &mut Context<Self>) {
        if self.failures == 0 {
            log::error!(error; "the event log is not written, and will be tried again");
        }
        self.failures = self.failures.saturating_add(1);
        self.progress.set_log_state(PartState::Down);
        let pause = RETRY_MIN.saturating_mul(1 << self.failures.min(10)).min(self.retry_max);
        self.flush_after(pause, ctx);
    }
}

impl Actor for EventLogWriter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_BATCHES_MAX);
        self.tell_waiting();
        self.flush(ctx);
        ctx.run_interval(OUTBOX_LOOK_INTERVAL, Self::look_for_missed);
    }
}

impl Handler<Published> for EventLogWriter {
    type Result = ();

    fn handle(&mut self, published: Published, ctx: &mut Self::Context) {
        self.keep(published.0);
        if self.waiting.len() >= BATCH_EVENTS_MAX && self.failures == 0 && self.leads {
            self.flush(ctx);
        } else {
            self.flush_after(self.linger, ctx);
        }
    }
}

impl Handler<Panic> for EventLogWriter {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("asked to panic");
    }
}

/// Blocks on the log's database.
struct LogThread {
    store: Store,
}

/// What is to be written.
#[derive(Message)]
#[rtype(result = "Result<Written, StoreError>")]
enum Write {
    /// These, which follow what is logged.
    Entries(Vec<LogEntry>),
    /// The lowest that the outbox has.
    FromOutbox,
}

/// What has been written.
struct Written {
    /// The last sequence that is logged.
    logged: Sequence,
    /// Whether it was this node that did it.
    leads: bool,
}

impl Actor for LogThread {
    type Context = SyncContext<Self>;
}

impl Handler<Write> for LogThread {
    type Result = Result<Written, StoreError>;

    fn handle(&mut self, write: Write, _: &mut Self::Context) -> Self::Result {
        let write = || {
            if !self.store.jobs.leads_logging()? {
                return Ok(Written { logged: self.logged()?, leads: false });
            }
            let logged = match write {
                Write::Entries(entries) => self.append(&entries)?,
                Write::FromOutbox => self.append_from_outbox()?,
            };
            Ok(Written { logged, leads: true })
        };
        // A panic would end this thread for good.
        catch_unwind(AssertUnwindSafe(write)).unwrap_or_else(|_| {
            Err(StoreError::Unavailable("writing the event log panicked".to_owned()))
        })
    }
}

impl LogThread {
    fn append(&self, entries: &[LogEntry]) -> Result<Sequence, StoreError> {
        let Some(last) = entries.last().map(|entry| entry.event.sequence) else {
            return self.append_from_outbox();
        };
        let began = SystemTime::now();
        self.store.log.append(entries, self.store.log_shares_database)?;
        for entry in entries {
            drop(event_span(began, "log", &entry.event));
        }
        if !self.store.log_shares_database {
            // Between the two an event is in both places, which readers know of.
            self.store.jobs.clear_outbox(last)?;
        }
        Ok(last)
    }

    /// All before the outbox's first event is logged.
    fn logged(&self) -> Result<Sequence, StoreError> {
        let (first, last) = self.store.jobs.outbox_start()?;
        Ok(first.map_or(last, |first| first - 1))
    }

    fn append_from_outbox(&self) -> Result<Sequence, StoreError> {
        let events = self.store.jobs.outbox_after(0, BATCH_EVENTS_MAX)?;
        if events.is_empty() {
            return self.logged();
        }
        let entries: Vec<LogEntry> = events
            .into_iter()
            .map(|event| LogEntry { event: Arc::new(event), published_at: None })
            .collect();
        self.append(&entries)
    }
}
