//! The bounded way to the job actor.

use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};

use super::command_error::CommandError;
use super::job_actor::{JobActor, Submit, Waiter};
use super::keeper::Kept;
use super::metrics::{CommandTimer, Metrics, result_of};
use crate::jobs::{CommandRequest, Receipt};
use crate::telemetry::{Span, SpanKind};

/// Takes commands, up to a bound, and has them carried out in the order of their
/// arrival. Clones are the same queue.
#[derive(Debug, Clone)]
pub struct CommandQueue {
    job_actor: Kept<JobActor>,
    places: Arc<Semaphore>,
    commands_max: usize,
    metrics: Arc<Metrics>,
}

impl CommandQueue {
    pub(super) fn new(
        job_actor: Kept<JobActor>,
        commands_max: usize,
        metrics: Arc<Metrics>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(commands_max));
        Self { job_actor, places, commands_max, metrics }
    }

    /// Commands that are taken and not yet answered.
    pub(super) fn waiting(&self) -> usize {
        self.commands_max.saturating_sub(self.places.available_permits())
    }

    /// How many may be.
    pub(super) fn commands_max(&self) -> usize {
        self.commands_max
    }

    /// Carries a command out; it is durable when this answers `Ok`.
    ///
    /// A full queue is [`CommandError::Busy`] at once. A caller that stops waiting
    /// does not stop the command: its place is held until the command is answered.
    pub async fn submit(&self, mut request: CommandRequest) -> Result<Receipt, CommandError> {
        let timer = self.metrics.begin(&request.command);
        let mut span = Span::start(timer.command(), SpanKind::Internal, request.trace);
        // The event becomes a part of it, wherever it goes from here.
        request.trace = span.context().or(request.trace);
        let answer = self.carry_out(request, &timer).await;
        span.set("signalbox.result", result_of(&answer));
        if let Err(CommandError::Internal(_) | CommandError::OutcomeUnknown(_)) = answer {
            span.fail();
        }
        answer
    }

    async fn carry_out(
        &self,
        request: CommandRequest,
        timer: &CommandTimer,
    ) -> Result<Receipt, CommandError> {
        let Some(answer) = self.take_in(request, timer) else {
            let busy = Err(CommandError::Busy);
            timer.end(&busy, false);
            return busy;
        };
        answer.await.unwrap_or_else(|_| {
            // Whoever commits also answers, so a reply that was dropped is one of a
            // command that was never begun.
            let text = "the job actor ended before the command".to_owned();
            let ended = Err(CommandError::Unavailable(text));
            timer.end(&ended, false);
            ended
        })
    }

    /// Gives the command to the job actor; none when there is no room.
    fn take_in(&self, request: CommandRequest, timer: &CommandTimer) -> Option<Answer> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter { reply, place, timer: timer.clone() };
        self.job_actor.try_send(Submit { request, waiter }).ok()?;
        Some(answer)
    }
}

type Answer = oneshot::Receiver<Result<Receipt, CommandError>>;
