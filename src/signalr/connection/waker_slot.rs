//! The one task that waits for something.

use std::cell::RefCell;
use std::task::{Context, Waker};

/// Remembers the task that polled last, and wakes it.
#[derive(Debug, Default)]
pub(in crate::signalr) struct WakerSlot(RefCell<Option<Waker>>);

impl WakerSlot {
    /// The task of this context is to be woken.
    pub(in crate::signalr) fn register(&self, context: &Context<'_>) {
        let mut waker = self.0.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
    }

    /// Has the task look again, if there is one.
    pub(in crate::signalr) fn wake(&self) {
        if let Some(waker) = self.0.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}
