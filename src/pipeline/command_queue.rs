//! The bounded way to the job actor.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Semaphore, oneshot};

use super::command_error::CommandError;
use super::job_actor::{JobActor, Submit};
use super::keeper::Kept;
use crate::jobs::{CommandRequest, Receipt};

/// Takes commands, up to a bound, and has them carried out in the order of their
/// arrival. Clones are the same queue.
#[derive(Debug, Clone)]
pub struct CommandQueue {
    job_actor: Kept<JobActor>,
    places: Arc<Semaphore>,
}

impl CommandQueue {
    pub(super) fn new(job_actor: Kept<JobActor>, commands_max: usize) -> Self {
        Self { job_actor, places: Arc::new(Semaphore::new(commands_max)) }
    }

    /// Carries a command out; it is durable when this answers `Ok`.
    ///
    /// A full queue is [`CommandError::Busy`] at once. A caller that stops waiting
    /// does not stop the command: its place is held until the command is answered.
    pub async fn submit(&self, request: CommandRequest) -> Result<Receipt, CommandError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| CommandError::Busy)?;
        let (reply, answer) = oneshot::channel();
        let submit = Submit { request, reply, place, since: Instant::now() };
        self.job_actor.try_send(submit).map_err(|_| CommandError::Busy)?;
        answer.await.unwrap_or_else(|_| {
            // Whoever commits also answers, so a reply that was dropped is one of a
            // command that was never begun.
            Err(CommandError::Unavailable("the job actor ended before the command".to_owned()))
        })
    }
}
