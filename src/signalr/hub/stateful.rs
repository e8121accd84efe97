//! What lets a connection go on with another socket: each side numbers the messages
//! that count, keeps a copy of what it sent until that is acknowledged, and drops what
//! it has received before.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// How long senders wait for an acknowledgement; the reference server's limit.
const BLOCKED_TIME_MAX: Duration = Duration::from_secs(5);

/// Copies of what is sent, numbered from 1 in the order of their sending. What is
/// above the bound of unacknowledged bytes waits here and has not been sent yet.
///
/// A new socket begins with the number of the first copy, and the official clients end
/// the connection when that is more than the number which they expect next. They expect
/// as little as the last socket began with, if it brought nothing, whatever they have
/// acknowledged since. So a copy goes only once an acknowledgement shows that the
/// current socket has brought it: by naming something that was not sent before.
#[derive(Debug)]
pub(super) struct SentCopies {
    copies: VecDeque<Bytes>,
    bytes: usize,
    /// Of all copies.
    bytes_max: usize,
    /// The first copy's number.
    first: u64,
    /// How many of the copies have been sent on the current socket.
    sent: usize,
    /// The last number that was sent before the current socket.
    sent_before: u64,
    /// The last number that the client has.
    received: u64,
    /// Of what was sent on the current socket and the client does not have.
    unacknowledged_bytes: usize,
    unacknowledged_bytes_max: usize,
    /// Since when something waits without any acknowledgement having come.
    blocked_since: Option<Instant>,
}

impl SentCopies {
    pub(super) fn new(unacknowledged_bytes_max: usize, waiting_bytes_max: usize) -> Self {
        Self {
            copies: VecDeque::new(),
            bytes: 0,
            bytes_max: unacknowledged_bytes_max.saturating_add(waiting_bytes_max),
            first: 1,
            sent: 0,
            sent_before: 0,
            received: 0,
            unacknowledged_bytes: 0,
            unacknowledged_bytes_max,
            blocked_since: None,
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
        if self.is_blocked() {
            self.wait(now);
        }
        true
    }

    /// Somebody waits until less is unacknowledged.
    pub(super) fn wait(&mut self, now: Instant) {
        self.blocked_since.get_or_insert(now);
    }

    /// The next copy that may be sent and has not been.
    pub(super) fn next_unsent(&mut self) -> Option<Bytes> {
        let copy = self.copies.get(self.sent)?.clone();
        if self.number(self.sent) > self.received {
            if self.is_blocked() {
                return None;
            }
            self.unacknowledged_bytes += copy.len();
        }
        self.sent += 1;
        Some(copy)
    }

    /// The number of the copy at this place.
    fn number(&self, place: usize) -> u64 {
        self.first + place as u64
    }

    /// The client has all up to this number. A number that was never sent counts as
    /// the last one that was.
    pub(super) fn acknowledge(&mut self, number: u64, now: Instant) {
        let last_sent = self.sent_before.max(self.number(self.sent) - 1);
        let number = number.min(last_sent);
        if number <= self.received {
            return;
        }
        let first_new = self.received.max(self.first - 1) + 1 - self.first;
        let first_new = usize::try_from(first_new).unwrap_or(usize::MAX);
        let end = usize::try_from(number + 1 - self.first).unwrap_or(usize::MAX).min(self.sent);
        let new = self.copies.iter().take(end).skip(first_new);
        self.unacknowledged_bytes -= new.map(Bytes::len).sum::<usize>();
        self.received = number;
        if number > self.sent_before {
            self.forget_up_to(number);
        }
        self.blocked_since = self.is_blocked().then_some(now);
    }

    fn forget_up_to(&mut self, number: u64) {
        while self.first <= number
            && let Some(copy) = self.copies.pop_front()
        {
            self.first += 1;
            self.sent -= 1;
            self.bytes -= copy.len();
        }
        if self.copies.is_empty() {
            self.copies = VecDeque::new();
        }
    }

    /// Begins a new socket. Answers the number of the first copy, or of the next
    /// message when there is none: what the socket has to begin with.
    pub(super) fn rewind(&mut self) -> u64 {
        self.sent_before = self.sent_before.max(self.number(self.sent) - 1);
        (self.sent, self.unacknowledged_bytes, self.blocked_since) = (0, 0, None);
        self.first
    }

    /// Whether senders that can are to wait.
    pub(super) fn is_blocked(&self) -> bool {
        self.unacknowledged_bytes > self.unacknowledged_bytes_max
    }

    /// Whether they have waited for too long.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        self.blocked_since
            .is_some_and(|since| now.saturating_duration_since(since) > BLOCKED_TIME_MAX)
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

    /// The next message is the client's one of this number. It lacks acknowledgements
    /// from there on, so what has come is acknowledged again.
    ///
    /// The bound is what has come at all, and not what has come on the last socket,
    /// which may have been cut before it brought again what an acknowledgement that was
    /// on its way made superfluous.
    pub(super) fn resume_at(&mut self, number: u64) -> Result<(), SequenceTooHigh> {
        if number > self.latest + 1 {
            return Err(SequenceTooHigh);
        }
        self.counted = number.saturating_sub(1);
        self.acknowledged = self.acknowledged.min(self.counted);
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

    fn sent(copies: &mut SentCopies) -> Vec<Bytes> {
        std::iter::from_fn(|| copies.next_unsent()).collect()
    }

    fn keep(copies: &mut SentCopies, text: &'static str, now: Instant) -> bool {
        copies.keep(Bytes::from_static(text.as_bytes()), now)
    }

    #[test]
    fn copies_are_kept_until_they_are_acknowledged() {
        let (mut copies, now) = (SentCopies::new(100, 100), Instant::now());
        for text in ["a", "b", "c"] {
            assert!(keep(&mut copies, text, now));
        }
        assert_eq!(sent(&mut copies), ["a", "b", "c"]);
        copies.acknowledge(2, now);
        assert_eq!((copies.rewind(), sent(&mut copies)), (3, vec![Bytes::from("c")]));
        assert!(keep(&mut copies, "d", now));
        assert_eq!(sent(&mut copies), ["d"]);
        copies.acknowledge(1, now);
        copies.acknowledge(99, now);
        assert_eq!((copies.rewind(), sent(&mut copies)), (5, vec![]));
    }

    #[test]
    fn a_socket_begins_no_further_than_the_client_is_known_to_expect() {
        let (mut copies, now) = (SentCopies::new(2, 100), Instant::now());
        for text in ["a", "b", "c"] {
            assert!(keep(&mut copies, text, now));
        }
        assert_eq!(sent(&mut copies).len(), 3);
        copies.acknowledge(1, now);
        assert_eq!(copies.rewind(), 2);
        copies.acknowledge(3, now);
        // The socket may have been cut before it brought the second message again.
        assert_eq!((copies.rewind(), sent(&mut copies)), (2, vec!["b".into(), "c".into()]));
        assert!(!copies.is_blocked(), "the client has them");
        assert!(keep(&mut copies, "d", now));
        assert_eq!(sent(&mut copies), ["d"]);
        copies.acknowledge(4, now);
        assert_eq!(copies.rewind(), 5, "this one came on the last socket alone");
    }

    #[test]
    fn what_is_above_the_bound_waits_for_acknowledgements() {
        let (mut copies, now) = (SentCopies::new(2, 3), Instant::now());
        for text in ["a", "b", "c", "d", "e"] {
            assert!(keep(&mut copies, text, now));
        }
        assert!(!keep(&mut copies, "f", now), "no room");
        assert_eq!(sent(&mut copies), ["a", "b", "c"], "one more than the bound, at most");
        assert!(copies.is_blocked());
        copies.acknowledge(4, now);
        assert!(!copies.is_blocked(), "it cannot have more than was sent");
        assert_eq!(sent(&mut copies), ["d", "e"]);
        assert_eq!(copies.rewind(), 4);
    }

    #[test]
    fn a_client_that_acknowledges_nothing_is_stuck_and_one_that_does_is_not() {
        let start = Instant::now();
        let mut copies = SentCopies::new(1, 100);
        let (mut at, step) = (start, BLOCKED_TIME_MAX / 2);
        for text in ["a", "b", "c", "d", "e", "f"] {
            assert!(keep(&mut copies, text, start));
        }
        assert_eq!(sent(&mut copies).len(), 2);
        assert!(keep(&mut copies, "g", start));
        for number in 1..4 {
            at += step;
            assert!(!copies.is_stuck(at), "after {number}");
            copies.acknowledge(number, at);
            sent(&mut copies);
            assert!(keep(&mut copies, "more", at));
        }
        assert!(!copies.is_stuck(at + BLOCKED_TIME_MAX));
        assert!(copies.is_stuck(at + BLOCKED_TIME_MAX + Duration::from_millis(1)));
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
    fn an_acknowledgement_that_was_lost_is_given_again() {
        let mut received = Received::default();
        assert!(received.is_new() && received.is_new());
        assert_eq!(received.take_acknowledgement(), Some(2));
        received.resume_at(1).expect("a message that came");
        assert!(!received.is_new() && !received.is_new());
        assert_eq!(received.take_acknowledgement(), Some(2));
        received.resume_at(1).expect("a message that came");
        received.resume_at(3).expect("what an acknowledgement on its way allows");
        assert!(received.is_new());
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
