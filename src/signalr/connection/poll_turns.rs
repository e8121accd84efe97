//! Whose turn it is among the polls of one connection: the newest one's.

use std::cell::Cell;
use std::pin::pin;

use tokio::sync::{Mutex, MutexGuard, Notify};

/// See the module.
#[derive(Debug, Default)]
pub(in crate::signalr) struct PollTurns {
    /// Held by the poll that takes output, until it is known what became of that.
    turn: Mutex<()>,
    newest: Cell<u64>,
    open: Cell<usize>,
    is_terminated: Cell<bool>,
    changed: Notify,
}

impl PollTurns {
    /// A poll has come: the ones before it are to end. Answers its number.
    pub(in crate::signalr) fn begin(&self) -> u64 {
        let number = self.newest.get() + 1;
        self.newest.set(number);
        self.open.set(self.open.get() + 1);
        self.changed.notify_waiters();
        number
    }

    /// A poll has been answered or is gone; whether another one is open.
    pub(in crate::signalr) fn finish(&self) -> bool {
        self.open.set(self.open.get() - 1);
        self.open.get() > 0
    }

    /// Waits until the polls before have ended.
    pub(in crate::signalr) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// All polls are to end, and so is every later one.
    pub(in crate::signalr) fn terminate(&self) {
        self.is_terminated.set(true);
        self.changed.notify_waiters();
    }

    /// Waits until the poll of this number is to end.
    pub(in crate::signalr) async fn ended(&self, number: u64) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.is_terminated.get() || self.newest.get() != number {
                return;
            }
            changed.await;
        }
    }
}
