//! Who may write to a file next.

use std::sync::{Condvar, Mutex, PoisonError};

/// Lets one writer of this process at a time at a database file, in the order of
/// their coming.
///
/// SQLite allows one writer only. Without the gate a second one would meet SQLite's
/// busy handler, which sleeps and tries again: slow, and unfair to who waits longest.
#[derive(Debug, Default)]
pub(super) struct Gate {
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Line {
    next_ticket: u64,
    served: u64,
}

/// A writer's turn, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Gate);

impl Gate {
    /// How many turns have ended.
    pub(super) fn turns(&self) -> u64 {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).served
    }

    /// Waits for those who came before.
    pub(super) fn enter(&self) -> Turn<'_> {
        // A writer that panicked gave its turn back while it unwound, so the line is
        // in order even if its lock is poisoned.
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = line.next_ticket;
        line.next_ticket += 1;
        while line.served != ticket {
            line = self.moved.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut line = self.0.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.served += 1;
        drop(line);
        self.0.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_writer_at_a_time_passes() {
        let gate = Arc::new(Gate::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
                std::thread::spawn(move || {
                    for _ in 0..200 {
                        let _turn = gate.enter();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for writer in writers {
            assert!(writer.join().is_ok());
        }
    }

    #[test]
    fn a_writer_that_panics_leaves_the_gate_usable() {
        let gate = Arc::new(Gate::default());
        let unlucky = Arc::clone(&gate);
        let outcome = std::thread::spawn(move || {
            let _turn = unlucky.enter();
            panic!("the test's writer ends here");
        })
        .join();
        assert!(outcome.is_err());
        drop(gate.enter());
    }
}
