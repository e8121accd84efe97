//! Carries commands out, one batch at a time.
//!
//! State:      the commands that wait, in the order of their arrival.
//! Listens to: `Submit` (from HTTP and the hub, through the command queue).
//! Speaks to:  a committer on a thread of its own, one batch in flight; then the
//!             group registry and the backplane, without waiting.
//! Stops here: a refused command harms no other of its batch. A database that fails
//!             fails the batch, with nothing changed; so does one that is slow, since
//!             nobody is made to wait for longer than `command_time_max`. What happens
//!             to an event after the commit is never heard of: the outbox has it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use actix::prelude::*;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::backplane::Backplane;
use super::command_error::CommandError;
use super::group_registry::{Committed, GroupRegistry};
use super::keeper::{Kept, Lifeline, Panic};
use super::metrics::{CommandTimer, Metrics};
use super::progress::Progress;
use super::{PipelineConfig, event_span, start_thread};
use crate::jobs::{CommandRequest, CommittedEvent, Receipt, Timestamp};
use crate::store::{JobStore, StoreError};

/// A command to be carried out. The reply comes once it is durable, or refused.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Submit {
    /// The command, and who asks.
    pub request: CommandRequest,
    /// Who waits for the answer.
    pub(super) waiter: Waiter,
}

/// Who waits for a command's answer.
pub(super) struct Waiter {
    pub(super) reply: oneshot::Sender<Result<Receipt, CommandError>>,
    /// The command's place in the queue, free again once it is answered.
    pub(super) place: OwnedSemaphorePermit,
    /// Runs since it was submitted.
    pub(super) timer: CommandTimer,
}

/// What a command is answered.
#[derive(Clone)]
struct Answer {
    result: Result<Receipt, CommandError>,
    /// It is that of an earlier command under the same idempotency key.
    is_repeated: bool,
}

impl From<CommandError> for Answer {
    fn from(error: CommandError) -> Self {
        Self { result: Err(error), is_repeated: false }
    }
}

impl Waiter {
    fn answer(self, Answer { result, is_repeated }: Answer) {
        self.timer.end(&result, is_repeated);
        // Who has its answer takes up no place any more.
        drop(self.place);
        // The caller may have hung up; the command counts all the same.
        let _ = self.reply.send(result);
    }
}

/// How often it is looked whether somebody has waited for too long.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// See the module.
pub struct JobActor {
    waiting: VecDeque<Submit>,
    /// The batch that is with the committer, and since when its first command waits.
    committing: Option<(Arc<Waiters>, Instant)>,
    committer: Addr<Committer>,
    registry: Kept<GroupRegistry>,
    backplane: Option<Kept<Backplane>>,
    commands_max: usize,
    batch_commands_max: usize,
    command_time_max: Duration,
    _lifeline: Lifeline,
}

impl JobActor {
    pub(super) fn new(
        store: Arc<dyn JobStore>,
        registry: Kept<GroupRegistry>,
        backplane: Option<Kept<Backplane>>,
        (progress, metrics): (Arc<Progress>, Arc<Metrics>),
        config: &PipelineConfig,
        lifeline: Lifeline,
    ) -> Self {
        Self {
            waiting: VecDeque::new(),
            committing: None,
            committer: start_thread(move || Committer {
                store: Arc::clone(&store),
                progress: Arc::clone(&progress),
                metrics: Arc::clone(&metrics),
            }),
            registry,
            backplane,
            commands_max: config.commands_max,
            batch_commands_max: config.batch_commands_max,
            command_time_max: config.command_time_max,
            _lifeline: lifeline,
        }
    }

    /// Sends the next batch to the committer, unless one is there: all that queued up
    /// meanwhile shares a transaction.
    fn commit_next(&mut self, ctx: &mut Context<Self>) {
        if self.committing.is_some() {
            return;
        }
        let size = self.waiting.len().min(self.batch_commands_max);
        let batch: Vec<Submit> = self.waiting.drain(..size).collect();
        let Some(since) = batch.first().map(|first| first.waiter.timer.since) else {
            return;
        };
        let (requests, waiters): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|submit| (submit.request, submit.waiter)).unzip();
        let waiters = Arc::new(Waiters::new(waiters));
        self.committing = Some((Arc::clone(&waiters), since));
        let answer = self.committer.send(CommitBatch { requests, waiters }).into_actor(self);
        ctx.spawn(answer.map(|answer, actor, ctx| {
            actor.committing = None;
            match answer {
                Ok(events) => actor.announce(events),
                Err(error) => log::error!(error:%; "the committer is gone"),
            }
            actor.commit_next(ctx);
        }));
    }

    /// Answers those who have waited for too long. What the committer has not begun to
    /// commit is rolled back then; what waits behind it is never begun.
    fn give_up_late(&mut self) {
        let late = || CommandError::Unavailable("the database takes too long".to_owned()).into();
        if let Some((waiters, since)) = &self.committing
            && since.elapsed() >= self.command_time_max
            && let Some(waiters) = waiters.give_up()
        {
            log::error!(commands = waiters.len(); "a batch of commands is given up");
            waiters.into_iter().for_each(|waiter| waiter.answer(late()));
        }
        let is_late = |it: &Submit| it.waiter.timer.since.elapsed() >= self.command_time_max;
        while self.waiting.front().is_some_and(is_late) {
            if let Some(Submit { waiter, .. }) = self.waiting.pop_front() {
                waiter.answer(late());
            }
        }
    }

    fn announce(&self, events: Vec<Arc<CommittedEvent>>) {
        if events.is_empty() {
            return;
        }
        if let Some(backplane) = &self.backplane {
            // Other nodes miss what it does not take, and read it from the database.
            let _ = backplane.try_send(Committed(events.clone()));
        }
        if self.registry.try_send(Committed(events)).is_err() {
            log::warn!("the group registry takes no events; the relay will bring them");
        }
    }
}

impl Actor for JobActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The command queue has the bound; this must not be smaller.
        ctx.set_mailbox_capacity(self.commands_max);
        ctx.run_interval(LOOK_INTERVAL, |actor, _| actor.give_up_late());
    }
}

impl Handler<Submit> for JobActor {
    type Result = ();

    fn handle(&mut self, submit: Submit, ctx: &mut Self::Context) {
        self.waiting.push_back(submit);
        self.commit_next(ctx);
    }
}

impl Handler<Panic> for JobActor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("asked to panic");
    }
}

/// Those who wait for a batch. Either it is committed or they are told that it is not:
/// whoever is first to say so decides.
struct Waiters {
    stage: AtomicU8,
    waiters: Mutex<Vec<Waiter>>,
}

/// Nothing is decided.
const OPEN: u8 = 0;
/// The commit is next, or under way, or done.
const COMMITTING: u8 = 1;
/// The waiters were told that nothing was changed.
const GIVEN_UP: u8 = 2;

impl Waiters {
    fn new(waiters: Vec<Waiter>) -> Self {
        Self { stage: AtomicU8::new(OPEN), waiters: Mutex::new(waiters) }
    }

    /// Whether the batch may be committed. From then on it is not given up.
    fn may_commit(&self) -> bool {
        let order = (Ordering::AcqRel, Ordering::Acquire);
        self.stage.compare_exchange(OPEN, COMMITTING, order.0, order.1) != Err(GIVEN_UP)
    }

    /// Those who wait, unless it is too late to give the batch up.
    fn give_up(&self) -> Option<Vec<Waiter>> {
        let order = (Ordering::AcqRel, Ordering::Acquire);
        self.stage.compare_exchange(OPEN, GIVEN_UP, order.0, order.1).ok().map(|_| self.take())
    }

    /// Those who have no answer yet.
    fn take(&self) -> Vec<Waiter> {
        std::mem::take(&mut *self.waiters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Commits batches, and answers their commands. It blocks, so it has its own thread.
struct Committer {
    store: Arc<dyn JobStore>,
    progress: Arc<Progress>,
    metrics: Arc<Metrics>,
}

#[derive(Message)]
#[rtype(result = "Vec<Arc<CommittedEvent>>")]
struct CommitBatch {
    requests: Vec<CommandRequest>,
    waiters: Arc<Waiters>,
}

impl Actor for Committer {
    type Context = SyncContext<Self>;
}

impl Handler<CommitBatch> for Committer {
    type Result = MessageResult<CommitBatch>;

    fn handle(&mut self, batch: CommitBatch, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.commit(&batch))
    }
}

impl Committer {
    fn commit(&self, batch: &CommitBatch) -> Vec<Arc<CommittedEvent>> {
        let (answers, events) = self.carry_out(batch);
        if let Some(last) = events.last() {
            self.progress.set_committed(last.sequence);
        }
        // Nobody is there any more if the batch was given up.
        for (waiter, its_answer) in batch.waiters.take().into_iter().zip(answers) {
            waiter.answer(its_answer);
        }
        events
    }

    /// Data that cannot be read spoils the transaction of everybody who shares it, so
    /// then each command gets its own.
    fn carry_out(&self, CommitBatch { requests, waiters }: &CommitBatch) -> Outcome {
        let error = match self.transact(requests, waiters) {
            Ok(outcome) => return outcome,
            Err(error) => error,
        };
        // Some of them will have been carried out: now the batch cannot be given up.
        let is_spoilt = matches!(error, CommandError::Internal(_)) && requests.len() > 1;
        if !is_spoilt || !waiters.may_commit() {
            return (vec![error.into(); requests.len()], Vec::new());
        }
        let alone = requests.iter().map(std::slice::from_ref);
        let outcomes = alone.map(|one| self.transact(one, waiters).unwrap_or_else(failed_one));
        let (answers, events): (Vec<_>, Vec<_>) = outcomes.unzip();
        (answers.concat(), events.concat())
    }

    fn transact(
        &self,
        requests: &[CommandRequest],
        waiters: &Waiters,
    ) -> Result<Outcome, CommandError> {
        let (began, is_wanted) = (SystemTime::now(), || waiters.may_commit());
        let commit = || self.store.commit_if(requests, Timestamp::now(), &is_wanted);
        // A panic rolls the transaction back; without the catch it would also end
        // this thread, and actix does not bring that back.
        let committed = match catch_unwind(AssertUnwindSafe(commit)) {
            Ok(Ok(committed)) => committed,
            Ok(Err(error)) => {
                log::error!(error:%, commands = requests.len(); "a batch of commands was not committed");
                return Err(match error {
                    StoreError::Unavailable(text)
                    | StoreError::Contended(text)
                    | StoreError::NotMigrated(text) => CommandError::Unavailable(text),
                    StoreError::OutcomeUnknown(text) => CommandError::OutcomeUnknown(text),
                    StoreError::Corrupt(text) | StoreError::Url(text) => {
                        CommandError::Internal(text)
                    }
                });
            }
            Err(_) => {
                log::error!(commands = requests.len(); "committing a batch of commands panicked");
                return Err(CommandError::Internal("the transaction panicked".to_owned()));
            }
        };
        self.metrics.committed(requests.len());
        for event in &committed.events {
            let commands = i64::try_from(requests.len()).unwrap_or(i64::MAX);
            event_span(began, "commit", event).set("signalbox.batch.commands", commands);
        }
        let answers =
            committed.answers.into_iter().zip(committed.is_new).map(|(answer, is_new)| {
                let is_repeated = answer.is_ok() && !is_new;
                Answer { result: answer.map_err(CommandError::from), is_repeated }
            });
        Ok((answers.collect(), committed.events.into_iter().map(Arc::new).collect()))
    }
}

type Outcome = (Vec<Answer>, Vec<Arc<CommittedEvent>>);

fn failed_one(error: CommandError) -> Outcome {
    (vec![error.into()], Vec::new())
}
