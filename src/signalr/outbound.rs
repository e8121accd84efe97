//! What waits for one connection to read it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// The output of one connection: frames that its transport takes out one by one.
///
/// It belongs to the connection's worker thread. Whoever has something to send puts
/// it here, in order; nobody waits. Frames that are shared by many connections are
/// counted by each as if they were its own.
///
/// The order of the fields is that of their use: what a delivery to thousands of
/// connections costs is, beside the socket, the cache lines that it touches of each.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Outbound {
    is_finished: Cell<bool>,
    bytes: Cell<usize>,
    frames: RefCell<Frames>,
    reader: RefCell<Option<Waker>>,
    bytes_max: usize,
    /// When the transport last took a frame, or the first of those that wait was put in.
    moved_at: Cell<Instant>,
}

/// A queue whose first place is no allocation: most connections wait for one frame
/// at a time, most of the time.
#[derive(Debug, Default)]
#[repr(C)]
struct Frames {
    /// Goes before the rest.
    first: Option<Bytes>,
    rest: VecDeque<Bytes>,
}

impl Frames {
    fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_empty()
    }

    fn push(&mut self, frame: Bytes) {
        if self.is_empty() {
            self.first = Some(frame);
        } else {
            self.rest.push_back(frame);
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let next = self.rest.pop_front()?;
        if self.rest.is_empty() {
            // A connection that waits for nothing keeps no buffer.
            self.rest = VecDeque::new();
        }
        Some(next)
    }
}

/// More waits than the connection may keep waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overrun;

impl Outbound {
    pub(super) fn new(bytes_max: usize, now: Instant) -> Self {
        Self {
            frames: RefCell::default(),
            bytes: Cell::new(0),
            bytes_max,
            moved_at: Cell::new(now),
            is_finished: Cell::new(false),
            reader: RefCell::default(),
        }
    }

    /// Puts a frame at the end. After [`finish`](Self::finish) it goes nowhere.
    pub(super) fn push(&self, frame: Bytes, now: Instant) -> Result<(), Overrun> {
        if self.is_finished.get() {
            return Ok(());
        }
        let bytes = self.bytes.get() + frame.len();
        if bytes > self.bytes_max {
            return Err(Overrun);
        }
        self.bytes.set(bytes);
        let mut frames = self.frames.borrow_mut();
        if frames.is_empty() {
            self.moved_at.set(now);
        }
        frames.push(frame);
        drop(frames);
        self.wake();
        Ok(())
    }

    /// Ends the output once what waits has been taken.
    pub(super) fn finish(&self) {
        self.is_finished.set(true);
        self.wake();
    }

    /// Ends the output at once; what waits is dropped.
    pub(super) fn discard(&self) {
        self.frames.take();
        self.bytes.set(0);
        self.finish();
    }

    /// How long output has waited without any of it being taken.
    pub(super) fn stalled_for(&self, now: Instant) -> Duration {
        if self.frames.borrow().is_empty() {
            Duration::ZERO
        } else {
            now.saturating_duration_since(self.moved_at.get())
        }
    }

    /// The next frame; none after the last one of a finished output.
    pub(super) fn poll_frame(&self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut frames = self.frames.borrow_mut();
        if let Some(frame) = frames.pop() {
            self.bytes.set(self.bytes.get() - frame.len());
            if !frames.is_empty() {
                self.moved_at.set(Instant::now());
            }
            return Poll::Ready(Some(frame));
        }
        if self.is_finished.get() {
            return Poll::Ready(None);
        }
        let mut reader = self.reader.borrow_mut();
        if !reader.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *reader = Some(context.waker().clone());
        }
        Poll::Pending
    }

    fn wake(&self) {
        if let Some(waker) = self.reader.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn take(outbound: &Outbound) -> Poll<Option<Bytes>> {
        outbound.poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn frames_come_out_in_order_and_then_the_end() {
        let outbound = Outbound::new(100, Instant::now());
        outbound.push(Bytes::from_static(b"one"), Instant::now()).expect("room");
        outbound.push(Bytes::from_static(b"two"), Instant::now()).expect("room");
        outbound.finish();
        outbound.push(Bytes::from_static(b"late"), Instant::now()).expect("goes nowhere");
        assert_eq!(take(&outbound), Poll::Ready(Some(Bytes::from_static(b"one"))));
        assert_eq!(take(&outbound), Poll::Ready(Some(Bytes::from_static(b"two"))));
        assert_eq!(take(&outbound), Poll::Ready(None));
    }

    #[test]
    fn the_bound_counts_bytes_that_wait_and_frees_them_when_taken() {
        let outbound = Outbound::new(5, Instant::now());
        outbound.push(Bytes::from_static(b"12345"), Instant::now()).expect("room");
        assert_eq!(outbound.push(Bytes::from_static(b"6"), Instant::now()), Err(Overrun));
        assert_eq!(take(&outbound), Poll::Ready(Some(Bytes::from_static(b"12345"))));
        outbound.push(Bytes::from_static(b"6"), Instant::now()).expect("room again");
    }

    #[test]
    fn only_waiting_output_stalls() {
        let start = Instant::now();
        let outbound = Outbound::new(100, start);
        let later = start + Duration::from_secs(60);
        assert_eq!(outbound.stalled_for(later), Duration::ZERO);
        outbound.push(Bytes::from_static(b"x"), Instant::now()).expect("room");
        assert!(outbound.stalled_for(later) > Duration::from_secs(59));
        assert!(take(&outbound).is_ready());
        assert_eq!(outbound.stalled_for(later), Duration::ZERO);
    }
}
