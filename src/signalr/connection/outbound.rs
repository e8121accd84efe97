//! What waits for one connection to read it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::waker_slot::WakerSlot;

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
pub(in crate::signalr) struct Outbound {
    state: Cell<State>,
    bytes: Cell<usize>,
    frames: RefCell<Frames>,
    reader: WakerSlot,
    bytes_max: usize,
    /// When the transport last took a frame, or the first of those that wait was put in.
    moved_at: Cell<Instant>,
    /// Tells the reader that is attached from those that were.
    attachment: Cell<u32>,
    /// Senders that pause until less waits.
    paused: RefCell<Vec<Waker>>,
}

/// How far an output is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Frames come and go.
    Open,
    /// No transport: frames are dropped, whoever sends them keeps what must not be lost.
    Detached,
    /// Nothing more comes; the reader waits for [`Outbound::end`] behind what is there.
    Closed,
    /// Nothing more comes; the reader ends behind what is there.
    Ended,
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

    fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.first.iter().chain(&self.rest)
    }
}

/// More waits than the connection may keep waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalr) struct Overrun;

impl Outbound {
    pub(in crate::signalr) fn new(bytes_max: usize, now: Instant) -> Self {
        Self {
            state: Cell::new(State::Open),
            bytes: Cell::new(0),
            frames: RefCell::default(),
            reader: WakerSlot::default(),
            bytes_max,
            moved_at: Cell::new(now),
            attachment: Cell::new(0),
            paused: RefCell::default(),
        }
    }

    /// Puts a frame at the end. Without a transport, and after the end, it goes nowhere.
    pub(in crate::signalr) fn push(&self, frame: Bytes, now: Instant) -> Result<(), Overrun> {
        if self.state.get() != State::Open {
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
        self.reader.wake();
        Ok(())
    }

    /// Takes no more frames. The reader gets what waits, and then nothing until
    /// [`end`](Self::end).
    pub(in crate::signalr) fn close(&self) {
        if self.state.get() != State::Ended {
            self.state.set(State::Closed);
        }
        self.wake_paused();
    }

    /// Takes no more frames, and ends the reader behind what waits.
    pub(in crate::signalr) fn end(&self) {
        self.state.set(State::Ended);
        self.reader.wake();
        self.wake_paused();
    }

    /// Ends the output at once; what waits is dropped.
    pub(in crate::signalr) fn discard(&self) {
        self.clear();
        self.end();
    }

    /// Whether nothing can be sent any more.
    pub(in crate::signalr) fn is_over(&self) -> bool {
        matches!(self.state.get(), State::Closed | State::Ended)
    }

    /// Whether frames go to a transport.
    pub(in crate::signalr) fn is_attached(&self) -> bool {
        self.state.get() == State::Open
    }

    /// Takes the transport away: what waits is dropped, and so is what is sent until
    /// [`attach`](Self::attach).
    pub(in crate::signalr) fn detach(&self) {
        self.clear();
        if self.state.get() == State::Open {
            self.state.set(State::Detached);
        }
        self.attachment.set(self.attachment.get().wrapping_add(1));
        // The former reader finds out that it is one.
        self.reader.wake();
    }

    /// Frames go to the transport again.
    pub(in crate::signalr) fn attach(&self) {
        if self.state.get() == State::Detached {
            self.state.set(State::Open);
        }
    }

    /// Which reader is attached, for [`poll_frame`](Self::poll_frame).
    pub(in crate::signalr) fn attachment(&self) -> u32 {
        self.attachment.get()
    }

    /// How many frames wait, and their bytes.
    pub(in crate::signalr) fn waiting(&self) -> (usize, usize) {
        let frames = self.frames.borrow();
        (usize::from(frames.first.is_some()) + frames.rest.len(), self.bytes.get())
    }

    /// How long output has waited without any of it being taken.
    pub(in crate::signalr) fn stalled_for(&self, now: Instant) -> Duration {
        if self.frames.borrow().is_empty() {
            Duration::ZERO
        } else {
            now.saturating_duration_since(self.moved_at.get())
        }
    }

    /// The next frame; none after the last one, and for a reader that is no longer
    /// attached.
    pub(in crate::signalr) fn poll_frame(
        &self,
        attachment: u32,
        context: &mut Context<'_>,
    ) -> Poll<Option<Bytes>> {
        if attachment != self.attachment.get() {
            return Poll::Ready(None);
        }
        let mut frames = self.frames.borrow_mut();
        if let Some(frame) = frames.pop() {
            self.took(frame.len(), !frames.is_empty());
            return Poll::Ready(Some(frame));
        }
        if self.state.get() == State::Ended {
            return Poll::Ready(None);
        }
        self.reader.register(context);
        Poll::Pending
    }

    /// All frames that wait, left in their place until [`advance`](Self::advance);
    /// none once the output has ended.
    pub(in crate::signalr) fn poll_batch(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Vec<Bytes>>> {
        let frames = self.frames.borrow();
        if !frames.is_empty() {
            return Poll::Ready(Some(frames.iter().cloned().collect()));
        }
        if self.is_over() {
            return Poll::Ready(None);
        }
        self.reader.register(context);
        Poll::Pending
    }

    /// Takes the first frames out, which have been sent.
    pub(in crate::signalr) fn advance(&self, count: usize) {
        let mut frames = self.frames.borrow_mut();
        for _ in 0..count {
            let Some(frame) = frames.pop() else {
                return;
            };
            self.took(frame.len(), !frames.is_empty());
        }
    }

    /// Ready when fewer than `bytes` wait, or nothing can be sent any more.
    pub(in crate::signalr) fn poll_room(
        &self,
        bytes: usize,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        if self.bytes.get() < bytes || self.is_over() {
            return Poll::Ready(());
        }
        self.pause(context);
        Poll::Pending
    }

    /// Ready when all that was sent has been taken, or dropped.
    pub(super) fn poll_drained(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.frames.borrow().is_empty() {
            return Poll::Ready(());
        }
        self.pause(context);
        Poll::Pending
    }

    fn pause(&self, context: &mut Context<'_>) {
        let mut paused = self.paused.borrow_mut();
        if !paused.iter().any(|waker| waker.will_wake(context.waker())) {
            paused.push(context.waker().clone());
        }
    }

    /// Lets paused senders look again.
    pub(in crate::signalr) fn wake_paused(&self) {
        if !self.paused.borrow().is_empty() {
            self.paused.take().into_iter().for_each(Waker::wake);
        }
    }

    fn clear(&self) {
        self.frames.take();
        self.bytes.set(0);
        self.wake_paused();
    }

    fn took(&self, bytes: usize, more_waits: bool) {
        self.bytes.set(self.bytes.get() - bytes);
        if more_waits {
            self.moved_at.set(Instant::now());
        }
        self.wake_paused();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(outbound: &Outbound) -> Poll<Option<Bytes>> {
        outbound.poll_frame(outbound.attachment(), &mut Context::from_waker(Waker::noop()))
    }

    fn frame(text: &'static str) -> Poll<Option<Bytes>> {
        Poll::Ready(Some(Bytes::from_static(text.as_bytes())))
    }

    fn push(outbound: &Outbound, text: &'static str) -> Result<(), Overrun> {
        outbound.push(Bytes::from_static(text.as_bytes()), Instant::now())
    }

    #[test]
    fn frames_come_out_in_order_and_then_the_end() {
        let outbound = Outbound::new(100, Instant::now());
        push(&outbound, "one").expect("room");
        push(&outbound, "two").expect("room");
        outbound.end();
        push(&outbound, "late").expect("goes nowhere");
        assert_eq!(take(&outbound), frame("one"));
        assert_eq!(take(&outbound), frame("two"));
        assert_eq!(take(&outbound), Poll::Ready(None));
    }

    #[test]
    fn a_closed_output_ends_only_when_it_is_told_to() {
        let outbound = Outbound::new(100, Instant::now());
        push(&outbound, "one").expect("room");
        outbound.close();
        push(&outbound, "late").expect("goes nowhere");
        assert_eq!(take(&outbound), frame("one"));
        assert_eq!(take(&outbound), Poll::Pending);
        outbound.end();
        assert_eq!(take(&outbound), Poll::Ready(None));
    }

    #[test]
    fn the_bound_counts_bytes_that_wait_and_frees_them_when_taken() {
        let outbound = Outbound::new(5, Instant::now());
        push(&outbound, "12345").expect("room");
        assert_eq!(push(&outbound, "6"), Err(Overrun));
        assert_eq!(take(&outbound), frame("12345"));
        push(&outbound, "6").expect("room again");
    }

    #[test]
    fn only_waiting_output_stalls() {
        let start = Instant::now();
        let outbound = Outbound::new(100, start);
        let later = start + Duration::from_secs(60);
        assert_eq!(outbound.stalled_for(later), Duration::ZERO);
        push(&outbound, "x").expect("room");
        assert!(outbound.stalled_for(later) > Duration::from_secs(59));
        assert!(take(&outbound).is_ready());
        assert_eq!(outbound.stalled_for(later), Duration::ZERO);
    }

    #[test]
    fn a_reader_that_was_replaced_gets_nothing_more() {
        let outbound = Outbound::new(100, Instant::now());
        let former = outbound.attachment();
        push(&outbound, "lost with its socket").expect("room");
        outbound.detach();
        push(&outbound, "kept by its sender").expect("goes nowhere");
        outbound.attach();
        push(&outbound, "next").expect("room");
        let context = &mut Context::from_waker(Waker::noop());
        assert_eq!(outbound.poll_frame(former, context), Poll::Ready(None));
        assert_eq!(take(&outbound), frame("next"));
    }

    #[test]
    fn a_batch_stays_until_it_is_known_to_be_sent() {
        let outbound = Outbound::new(100, Instant::now());
        push(&outbound, "one").expect("room");
        push(&outbound, "two").expect("room");
        let context = &mut Context::from_waker(Waker::noop());
        let both = Poll::Ready(Some(vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")]));
        assert_eq!(outbound.poll_batch(context), both);
        push(&outbound, "three").expect("room");
        outbound.advance(2);
        outbound.end();
        assert_eq!(outbound.poll_batch(context), Poll::Ready(Some(vec!["three".into()])));
        outbound.advance(1);
        assert_eq!(outbound.poll_batch(context), Poll::Ready(None));
    }

    #[test]
    fn a_sender_pauses_until_less_waits() {
        let outbound = Outbound::new(100, Instant::now());
        let context = &mut Context::from_waker(Waker::noop());
        push(&outbound, "12345").expect("room");
        assert_eq!(outbound.poll_room(5, context), Poll::Pending);
        assert_eq!(outbound.poll_room(6, context), Poll::Ready(()));
        assert!(take(&outbound).is_ready());
        assert_eq!(outbound.poll_room(5, context), Poll::Ready(()));
    }
}
