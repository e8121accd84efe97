//! So many requests per second for each of many keys, in bounded memory.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter as Governor};

/// How many seconds' worth of requests a key that was idle may use at once: a page that
/// loads asks for many files.
pub(super) const BURST_SECONDS: u32 = 5;

/// See the module. What a key has used is forgotten once it may use all again, or earlier
/// where there is no place for one more key.
#[derive(Debug)]
pub(super) struct RateLimiter<C: Clock = DefaultClock> {
    governor: Governor<u64, Slots, C, NoOpMiddleware<C::Instant>>,
    /// Seeded at random: nobody outside can choose keys that share a set.
    hasher: RandomState,
}

impl RateLimiter {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self::with_clock(per_second, DefaultClock::default())
    }
}

impl<C: Clock> RateLimiter<C> {
    fn with_clock(per_second: NonZeroU32, clock: C) -> Self {
        let burst = per_second.saturating_mul(NonZeroU32::new(BURST_SECONDS).expect("not 0"));
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let governor = Governor::new(quota, Slots::new(), clock);
        Self { governor, hasher: RandomState::new() }
    }

    /// Counts one request of the key.
    ///
    /// # Errors
    /// With how long the key has to wait, when it has used what it may.
    pub(super) fn check(&self, key: &(impl Hash + ?Sized)) -> Result<(), Duration> {
        let checked = self.governor.check_key(&self.hasher.hash_one(key));
        checked.map_err(|until| until.wait_time_from(self.governor.clock().now()))
    }
}

/// Keys that are remembered: 65,536 in about 1.6 MiB.
const SETS: usize = 8 * 1024;

/// Keys that share a lock and compete for a place.
const KEYS_PER_SET: usize = 8;

/// A key by its hash, and when its bucket will be full again.
type Slot = Option<(u64, Nanos)>;

/// Where a key has a place in one set only, like a line in a processor's cache.
#[derive(Debug)]
struct Slots(Box<[Mutex<[Slot; KEYS_PER_SET]>]>);

impl Slots {
    fn new() -> Self {
        Self((0..SETS).map(|_| Mutex::default()).collect())
    }
}

impl StateStore for Slots {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let set = usize::try_from(*key % SETS as u64).expect("less than the number of sets");
        // No code that holds the lock panics half way through a change.
        let mut set = self.0[set].lock().unwrap_or_else(PoisonError::into_inner);
        let known = set.iter_mut().flatten().find(|(known, _)| known == key);
        if let Some((_, state)) = known {
            let (allowed, next) = decide(Some(*state))?;
            *state = next;
            return Ok(allowed);
        }
        let (allowed, next) = decide(None)?;
        // A free place, or that of the key with the least to forget.
        let place = set.iter_mut().min_by_key(|slot| slot.map(|(_, state)| state));
        *place.expect("a set has places") = Some((*key, next));
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limiter(per_second: u32) -> (RateLimiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let per_second = NonZeroU32::new(per_second).expect("not 0");
        (RateLimiter::with_clock(per_second, clock.clone()), clock)
    }

    fn allowed(limiter: &RateLimiter<FakeRelativeClock>, key: &str, asked: u32) -> u32 {
        (0..asked).filter(|_| limiter.check(key).is_ok()).count().try_into().expect("few")
    }

    #[test]
    fn a_key_has_its_burst_and_then_its_rate_and_others_have_their_own() {
        let (limiter, clock) = limiter(10);
        assert_eq!(allowed(&limiter, "ada", 100), 10 * BURST_SECONDS);
        let wait = limiter.check("ada").expect_err("all is used");
        assert_eq!(wait, Duration::from_millis(100));
        clock.advance(Duration::from_secs(1));
        assert_eq!(allowed(&limiter, "ada", 100), 10);
        assert_eq!(allowed(&limiter, "eve", 100), 10 * BURST_SECONDS);
    }

    #[test]
    fn a_refused_request_costs_nothing() {
        let (limiter, clock) = limiter(1);
        assert_eq!(allowed(&limiter, "ada", 1000), BURST_SECONDS);
        clock.advance(Duration::from_secs(2));
        assert_eq!(allowed(&limiter, "ada", 1000), 2);
    }

    #[test]
    fn a_flood_of_keys_pushes_out_those_with_the_least_to_forget() {
        let (limiter, _) = limiter(1);
        assert_eq!(allowed(&limiter, "busy", 10), BURST_SECONDS);
        let keys = SETS * KEYS_PER_SET * 2;
        for key in 0..keys {
            assert!(limiter.check(&key.to_string()).is_ok());
        }
        assert!(limiter.check("busy").is_err(), "it stays among those that asked once");
    }
}
