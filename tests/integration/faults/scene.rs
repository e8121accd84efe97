//! What the tests of this module share: databases, a program that keeps its address, load
//! on it, and clients who follow.

use std::env;

use super::load::{Load, REGIONS};
use super::outcome::{Outcome, wait_until_logged};
use super::subscriber::Subscriber;
use crate::support::database::TestDatabase;
use crate::support::program::{Program, Serve};
use crate::support::random::Random;
use crate::support::service::free_port;

/// Repeats a run: the seed that it printed.
const SEED: &str = "SIGNALBOX_FAULT_SEED";
/// Makes a long trial of the tests that go on in rounds.
const ROUNDS: &str = "SIGNALBOX_FAULT_ROUNDS";

pub const WRITERS: usize = 6;

/// How many rounds a test goes; a few, unless a long trial is asked for.
pub fn rounds(few: usize) -> usize {
    let rounds = env::var(ROUNDS).ok();
    rounds.map_or(few, |text| text.parse().expect("SIGNALBOX_FAULT_ROUNDS is a number"))
}

/// Random numbers from a seed that is printed.
pub fn random() -> Random {
    let mut fresh = Random::unpredictable();
    let seed = env::var(SEED).map_or_else(
        |_| fresh.between(0, u64::MAX),
        |text| text.parse().expect("SIGNALBOX_FAULT_SEED is a number"),
    );
    println!("{SEED}={seed}");
    Random::seeded(seed)
}

/// An address for a server that is to come back to it.
pub fn fixed_address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// The group of every region's dispatchers.
pub fn region_groups() -> Vec<String> {
    REGIONS.map(|region| format!("dispatch/{region}")).to_vec()
}

/// How the program is served: at an address that stays its own.
pub fn serve(database: &TestDatabase, address: &str) -> Serve {
    Serve::on(database).flag("--listen", address)
}

/// Load, and who follows it.
pub struct Scene {
    pub load: Load,
    pub subscribers: Vec<Subscriber>,
}

impl Scene {
    /// Some writers, and three who follow: everything, one region, and one contractor.
    pub fn start(addresses: &[String], random: &mut Random) -> Self {
        Self::start_with(WRITERS, addresses, random)
    }

    /// The same with so many writers.
    pub fn start_with(writers: usize, addresses: &[String], random: &mut Random) -> Self {
        let load = Load::start(addresses, writers, random);
        let contractor = format!("contractor/{}", load.contractors()[0]);
        let followed =
            [region_groups(), vec![format!("dispatch/{}", REGIONS[1])], vec![contractor]];
        let subscribers = followed.iter().map(|groups| Subscriber::start(addresses, groups));
        let subscribers = subscribers.collect();
        Self { load, subscribers }
    }

    /// Ends the load, waits until all is logged and has reached everybody, stops the
    /// programs in order, and checks what came of it.
    pub fn finish(self, programs: Vec<Program>, jobs: &TestDatabase, log: &TestDatabase) {
        let written = self.load.stop();
        wait_until_logged(jobs);
        let mut events = log.open();
        let mut followed = Vec::new();
        for subscriber in self.subscribers {
            let expected = events.sequences_of(subscriber.groups()).len();
            followed.push(subscriber.finish(expected));
        }
        for program in programs {
            assert!(program.stop(), "it ends in order");
        }
        Outcome { written: &written, followed: &followed }.check(jobs, log);
    }
}
