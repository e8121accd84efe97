//! Bytes that nobody meant: every decoder, and the whole server, is given random input and
//! good input that was changed, and held to what must be true of any.
//!
//! A test goes on for a second or a few; `SIGNALBOX_FUZZ_SECONDS=600` makes it a long
//! trial. Each case has a seed of its own, which a failure prints: with
//! `SIGNALBOX_FUZZ_SEED` that case alone is tried again. What is found becomes a plain test
//! beside the code that was mended.

mod handshake;
mod http;
mod hub_protocols;
mod live;

mod mutation;
mod settings;

use std::env;
use std::time::{Duration, Instant};

use crate::support::random::Random;

/// Makes a long trial: how long each test goes on.
const SECONDS: &str = "SIGNALBOX_FUZZ_SECONDS";
/// Repeats one case: the seed that it printed.
const SEED: &str = "SIGNALBOX_FUZZ_SEED";

/// Random numbers for case after case, until the time is over.
struct Cases {
    until: Instant,
    /// The one case that is asked for.
    only: Option<u64>,
    seeds: Random,
    current: Option<u64>,
    count: u64,
}

/// Cases for so long, unless a long trial is asked for.
fn cases(short: Duration) -> Cases {
    let number = |name: &str| {
        let text = env::var(name).ok()?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    let time = number(SECONDS).map_or(short, Duration::from_secs);
    Cases {
        until: Instant::now() + time,
        only: number(SEED),
        seeds: Random::unpredictable(),
        current: None,
        count: 0,
    }
}

impl Iterator for Cases {
    type Item = Random;

    fn next(&mut self) -> Option<Random> {
        let is_over = match self.only {
            Some(_) => self.count > 0,
            None => Instant::now() >= self.until,
        };
        if is_over {
            return None;
        }
        let seed = self.only.unwrap_or_else(|| self.seeds.between(0, u64::MAX));
        (self.current, self.count) = (Some(seed), self.count + 1);
        Some(Random::seeded(seed))
    }
}

impl Drop for Cases {
    fn drop(&mut self) {
        match self.current {
            Some(seed) if std::thread::panicking() => {
                eprintln!("{SEED}={seed} (the {}th case)", self.count);
            }
            _ => println!("{} cases", self.count),
        }
    }
}
