//! Carries commands out, one batch at a time.
//!
//! State:      the commands that wait, in the order of their arrival.
//! Listens to: `Submit` (from HTTP and the hub, through the command queue).
//! Speaks to:  a committer on a thread of its own, one batch in flight; then the
//!             group registry, without waiting.
//! Stops here: a refused command harms no other of its batch. A database that fails
//!             fails the batch, with nothing changed. What happens to an event after
//!             the commit is never heard of: the outbox has it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::command_error::CommandError;
use super::group_registry::{Committed, GroupRegistry};
use super::keeper::{Kept, Lifeline, Panic};
use super::progress::Progress;
use super::{PipelineConfig, start_thread};
use crate::jobs::{CommandRequest, CommittedEvent, Receipt, Timestamp};
use crate::store::{JobStore, StoreError};

/// A command to be carried out. The reply comes once it is durable, or refused.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Submit {
    /// The command, and who asks.
    pub request: CommandRequest,
    /// Who waits for the answer.
    pub reply: oneshot::Sender<Result<Receipt, CommandError>>,
    /// The command's place in the queue, free again once it is answered.
    pub(super) place: OwnedSemaphorePermit,
}

/// See the module.
pub struct JobActor {
    waiting: VecDeque<Submit>,
    is_committing: bool,
    committer: Addr<Committer>,
    registry: Kept<GroupRegistry>,
    commands_max: usize,
    batch_commands_max: usize,
    _lifeline: Lifeline,
}

impl JobActor {
    pub(super) fn new(
        store: Arc<dyn JobStore>,
        registry: Kept<GroupRegistry>,
        progress: Arc<Progress>,
        config: &PipelineConfig,
        lifeline: Lifeline,
    ) -> Self {
        Self {
            waiting: VecDeque::new(),
            is_committing: false,
            committer: start_thread(move || Committer {
                store: Arc::clone(&store),
                progress: Arc::clone(&progress),
            }),
            registry,
            commands_max: config.commands_max,
            batch_commands_max: config.batch_commands_max,
            _lifeline: lifeline,
        }
    }

    /// Sends the next batch to the committer, unless one is there: all that queued up
    /// meanwhile shares a transaction.
    fn commit_next(&mut self, ctx: &mut Context<Self>) {
        if self.is_committing || self.waiting.is_empty() {
            return;
        }
        self.is_committing = true;
        let size = self.waiting.len().min(self.batch_commands_max);
        let batch = CommitBatch(self.waiting.drain(..size).collect());
        let answer = self.committer.send(batch).into_actor(self);
        ctx.spawn(answer.map(|answer, actor, ctx| {
            actor.is_committing = false;
            match answer {
                Ok(events) => actor.announce(events),
                Err(error) => log::error!("the committer is gone: {error}"),
            }
            actor.commit_next(ctx);
        }));
    }

    fn announce(&self, events: Vec<Arc<CommittedEvent>>) {
        if !events.is_empty() && self.registry.try_send(Committed(events)).is_err() {
            log::warn!("the group registry takes no events; the relay will bring them");
        }
    }
}

impl Actor for JobActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The command queue has the bound; this must not be smaller.
        ctx.set_mailbox_capacity(self.commands_max);
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

/// Commits batches, and answers their commands. It blocks, so it has its own thread.
struct Committer {
    store: Arc<dyn JobStore>,
    progress: Arc<Progress>,
}

#[derive(Message)]
#[rtype(result = "Vec<Arc<CommittedEvent>>")]
struct CommitBatch(Vec<Submit>);

impl Actor for Committer {
    type Context = SyncContext<Self>;
}

impl Handler<CommitBatch> for Committer {
    type Result = MessageResult<CommitBatch>;

    fn handle(&mut self, batch: CommitBatch, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.commit(batch.0))
    }
}

impl Committer {
    fn commit(&self, batch: Vec<Submit>) -> Vec<Arc<CommittedEvent>> {
        let (requests, replies): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|submit| (submit.request, (submit.reply, submit.place))).unzip();
        let (answers, events) = self.carry_out(&requests);
        if let Some(last) = events.last() {
            self.progress.set_committed(last.sequence);
        }
        for ((reply, place), answer) in replies.into_iter().zip(answers) {
            // Who has its answer takes up no place any more.
            drop(place);
            // The caller may have hung up; the command counts all the same.
            let _ = reply.send(answer);
        }
        events
    }

    /// Data that cannot be read spoils the transaction of everybody who shares it, so
    /// then each command gets its own.
    fn carry_out(&self, requests: &[CommandRequest]) -> Outcome {
        match self.transact(requests) {
            Ok(outcome) => outcome,
            Err(CommandError::Internal(_)) if requests.len() > 1 => {
                let alone = requests.iter().map(std::slice::from_ref);
                let outcomes = alone.map(|one| self.transact(one).unwrap_or_else(failed_one));
                let (answers, events): (Vec<_>, Vec<_>) = outcomes.unzip();
                (answers.concat(), events.concat())
            }
            Err(error) => (vec![Err(error); requests.len()], Vec::new()),
        }
    }

    fn transact(&self, requests: &[CommandRequest]) -> Result<Outcome, CommandError> {
        let commit = || self.store.commit(requests, Timestamp::now());
        // A panic rolls the transaction back; without the catch it would also end
        // this thread, and actix does not bring that back.
        let committed = match catch_unwind(AssertUnwindSafe(commit)) {
            Ok(Ok(committed)) => committed,
            Ok(Err(error)) => {
                log::error!("a batch of {} commands was not committed: {error}", requests.len());
                return Err(match error {
                    StoreError::Unavailable(text) => CommandError::Unavailable(text),
                    StoreError::Corrupt(text) | StoreError::Url(text) => {
                        CommandError::Internal(text)
                    }
                });
            }
            Err(_) => {
                log::error!("committing a batch of {} commands panicked", requests.len());
                return Err(CommandError::Internal("the transaction panicked".to_owned()));
            }
        };
        let answers = committed.answers.into_iter().map(|a| a.map_err(CommandError::from));
        Ok((answers.collect(), committed.events.into_iter().map(Arc::new).collect()))
    }
}

type Outcome = (Vec<Result<Receipt, CommandError>>, Vec<Arc<CommittedEvent>>);

fn failed_one(error: CommandError) -> Outcome {
    (vec![Err(error)], Vec::new())
}
