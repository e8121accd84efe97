//! Newer credentials of its user for a connection that lives.

use std::any::Any;
use std::fmt;
use std::time::{Instant, SystemTime};

use tokio::sync::oneshot;

/// Brought by a request, on its way to whoever handles the connection.
pub(in crate::signalr) struct Renewal {
    /// Of the type that the handler has for users, which nobody else knows.
    user: Box<dyn Any + Send>,
    /// When they end.
    pub(in crate::signalr) expires_at: Option<SystemTime>,
    /// Whoever waits for what becomes of it; dropped when the connection ends first.
    done: Option<oneshot::Sender<Result<(), RenewalError>>>,
}

/// Why newer credentials do not count for a connection. It goes on with those that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewalError {
    /// The hub does not want them.
    Rejected,
    /// Whether they may count cannot be told for now.
    Unavailable,
}

impl Renewal {
    /// Nobody waits for it.
    pub(super) fn new<U: Send + 'static>(user: U, expires_at: Option<SystemTime>) -> Self {
        Self { user: Box::new(user), expires_at, done: None }
    }

    /// The same, for somebody who waits.
    pub(super) fn awaited(self) -> (Self, oneshot::Receiver<Result<(), RenewalError>>) {
        let (done, receiver) = oneshot::channel();
        (Self { done: Some(done), ..self }, receiver)
    }

    /// Whether somebody waits for what becomes of it.
    pub(in crate::signalr) fn is_awaited(&self) -> bool {
        self.done.is_some()
    }

    /// Who it is for, if the handler has this type for users.
    pub(in crate::signalr) fn user<U: 'static>(&self) -> Option<&U> {
        self.user.downcast_ref()
    }

    /// The same, with whoever waits for an answer.
    pub(in crate::signalr) fn into_parts<U: 'static>(self) -> Option<(U, RenewalAnswer)> {
        let user = self.user.downcast::<U>().ok()?;
        Some((*user, RenewalAnswer(self.done)))
    }

    pub(in crate::signalr) fn answer(self, answer: Result<(), RenewalError>) {
        RenewalAnswer(self.done).give(answer);
    }
}

/// Where the answer to a renewal goes.
pub(in crate::signalr) struct RenewalAnswer(Option<oneshot::Sender<Result<(), RenewalError>>>);

impl RenewalAnswer {
    pub(in crate::signalr) fn give(self, answer: Result<(), RenewalError>) {
        if let Some(done) = self.0 {
            // Whoever asked may have stopped waiting.
            let _ = done.send(answer);
        }
    }
}

/// The same time on the clock that timers go by; now, if it has passed.
pub(super) fn instant_of(time: SystemTime, now: Instant) -> Instant {
    now + time.duration_since(SystemTime::now()).unwrap_or_default()
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
