//! What lets a connection go on with another socket: each side numbers the messages
//! that count, keeps a copy of what it sent until that is acknowledged, and drops what
//! it has received before.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// How long too much may stay unacknowledged; the reference server's limit.
const OVERRUN_TIME_MAX: Duration = Duration::from_secs(5);

/// Copies of what was sent, numbered from 1 in the order of their sending.
#[derive(Debug)]
pub(super) struct SentCopies {
    copies: VecDeque<Bytes>,
    bytes: usize,
    /// Above it senders pause.
    pause_bytes: usize,
    /// Above it a message does not fit: somebody sends without pausing.
    bytes_max: usize,
    acknowledged: u64,
    overrun_since: Option<Instant>,
}

impl SentCopies {
    pub(super) fn new(pause_bytes: usize, output_bytes_max: usize) -> Self {
        Self {
            copies: VecDeque::new(),
            bytes: 0,
            pause_bytes,
            bytes_max: pause_bytes.saturating_add(output_bytes_max),
            acknowledged: 0,
            overrun_since: None,
        }
    }

    /// Keeps a copy; false when there is no room for it.
    #[must_use]
    pub(super) fn keep(&mut self, frame: Bytes, now: Instant) -> bool {
        if self.bytes + frame.len() > self.bytes_max {
            return false;
        }
        self.bytes += frame.len();
        self.copies.push_back(frame);
        if self.bytes > self.pause_bytes {
            self.overrun_since.get_or_insert(now);
        }
        true
    }

    /// The client has all up to this number. A number that was never sent counts as
    /// the last one that was.
    pub(super) fn acknowledge(&mut self, number: u64) {
        while self.acknowledged < number
            && let Some(copy) = self.copies.pop_front()
        {
            self.acknowledged += 1;
            self.bytes -= copy.len();
        }
        if self.bytes <= self.pause_bytes {
            self.overrun_since = None;
        }
        if self.copies.is_empty() {
            self.copies = VecDeque::new();
        }
    }

    /// The number of the first copy, or of the next message when there is none: what
    /// a new socket has to begin with.
    pub(super) fn first_number(&self) -> u64 {
        self.acknowledged + 1
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.copies.iter()
    }

    /// Whether senders are to pause.
    pub(super) fn is_overrun(&self) -> bool {
        self.bytes > self.pause_bytes
    }

    /// Whether senders have paused for too long.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        self.overrun_since
            .is_some_and(|since| now.saturating_duration_since(since) > OVERRUN_TIME_MAX)
    }
}

/// Which of the client's messages have been received.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// How many the client has sent, by its own count: a resumed socket begins anew
    /// with one that may have come before.
    counted: u64,
    latest: u64,
    acknowledged: u64,
}

/// The client says that it sends what comes behind something which never came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SequenceTooHigh;

impl Received {
    /// Counts a message; false for one that has been received before.
    #[must_use]
    pub(super) fn is_new(&mut self) -> bool {
        self.counted += 1;
        let is_new = self.counted > self.latest;
        self.latest = self.latest.max(self.counted);
        is_new
    }

    /// The next message is the client's one of this number.
    pub(super) fn resume_at(&mut self, number: u64) -> Result<(), SequenceTooHigh> {
        if number > self.counted + 1 {
            return Err(SequenceTooHigh);
        }
        self.counted = number.saturating_sub(1);
        Ok(())
    }

    /// The number to acknowledge, if there is something new to.
    pub(super) fn take_acknowledgement(&mut self) -> Option<u64> {
        let is_due = self.latest > self.acknowledged;
        self.acknowledged = self.latest;
        is_due.then_some(self.latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(copies: &mut SentCopies, text: &'static str) -> bool {
        copies.keep(Bytes::from_static(text.as_bytes()), Instant::now())
    }

    #[test]
    fn copies_are_kept_until_they_are_acknowledged() {
        let mut copies = SentCopies::new(100, 100);
        assert_eq!(copies.first_number(), 1);
        for text in ["a", "b", "c"] {
            assert!(keep(&mut copies, text));
        }
        copies.acknowledge(2);
        assert_eq!((copies.first_number(), copies.iter().count()), (3, 1));
        copies.acknowledge(1);
        assert_eq!(copies.first_number(), 3, "an old acknowledgement changes nothing");
        copies.acknowledge(99);
        assert_eq!((copies.first_number(), copies.iter().count()), (4, 0));
    }

    #[test]
    fn too_many_bytes_pause_senders_and_then_end_the_connection() {
        let start = Instant::now();
        let mut copies = SentCopies::new(4, 2);
        assert!(copies.keep(Bytes::from_static(b"1234"), start));
        assert!(!copies.is_overrun());
        assert!(copies.keep(Bytes::from_static(b"56"), start));
        assert!(!copies.keep(Bytes::from_static(b"7"), start), "no room");
        assert!(copies.is_overrun() && !copies.is_stuck(start + OVERRUN_TIME_MAX));
        assert!(copies.is_stuck(start + OVERRUN_TIME_MAX + Duration::from_millis(1)));
        copies.acknowledge(1);
        assert!(!copies.is_stuck(start + OVERRUN_TIME_MAX * 2), "the acknowledgement helped");
    }

    #[test]
    fn what_was_received_before_is_dropped_after_a_resumption() {
        let mut received = Received::default();
        assert!(received.is_new() && received.is_new() && received.is_new());
        assert_eq!(received.take_acknowledgement(), Some(3));
        assert_eq!(received.take_acknowledgement(), None);
        received.resume_at(2).expect("a message that came");
        assert_eq!([received.is_new(), received.is_new(), received.is_new()], [false, false, true]);
        assert_eq!(received.take_acknowledgement(), Some(4));
    }

    #[test]
    fn a_client_cannot_resume_behind_what_never_came() {
        let mut received = Received::default();
        assert!(received.is_new());
        assert_eq!(received.resume_at(3), Err(SequenceTooHigh));
        assert_eq!(received.resume_at(2), Ok(()));
        assert!(received.is_new());
    }
}
