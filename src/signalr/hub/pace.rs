//! How many calls one connection may make in what time.

use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// How many seconds' worth of calls a connection that was quiet may make at once: a client
/// that comes back joins all of its groups.
pub(super) const BURST_SECONDS: u32 = 5;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is carried out.
    Allowed,
    /// It is not, and its caller is told.
    Refused,
    /// It is not, and the connection ends: its client does not heed refusals.
    Unheeded,
}

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Counts the calls of one connection. As many as are allowed may be refused besides; a
/// client that makes more than twice what it may is not one that only hurries.
#[derive(Debug)]
pub(super) struct Pace<C: Clock = DefaultClock> {
    allowed: Limiter<C>,
    refused: Limiter<C>,
}

impl Pace {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self::with_clock(per_second, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Pace<C> {
    fn with_clock(per_second: NonZeroU32, clock: &C) -> Self {
        let burst = per_second.saturating_mul(NonZeroU32::new(BURST_SECONDS).expect("not 0"));
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let limiter = || RateLimiter::direct_with_clock(quota, clock.clone());
        Self { allowed: limiter(), refused: limiter() }
    }

    /// Counts a call.
    pub(super) fn judge(&self) -> Verdict {
        if self.allowed.check().is_ok() {
            Verdict::Allowed
        } else if self.refused.check().is_ok() {
            Verdict::Refused
        } else {
            Verdict::Unheeded
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn judged(pace: &Pace<FakeRelativeClock>, calls: u32) -> Vec<Verdict> {
        (0..calls).map(|_| pace.judge()).collect()
    }

    #[test]
    fn calls_over_the_pace_are_refused_and_twice_as_many_end_the_connection() {
        use Verdict::{Allowed, Refused, Unheeded};
        let clock = FakeRelativeClock::default();
        let pace = Pace::with_clock(NonZeroU32::MIN, &clock);
        let burst = BURST_SECONDS as usize;
        let expected = [vec![Allowed; burst], vec![Refused; burst], vec![Unheeded]].concat();
        assert_eq!(judged(&pace, 2 * BURST_SECONDS + 1), expected);
        clock.advance(Duration::from_secs(1));
        assert_eq!(judged(&pace, 3), [Allowed, Refused, Unheeded]);
    }
}
