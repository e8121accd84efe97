//! Measures the real program, as its users run it: each bench starts `signalbox
//! serve` as a process of its own and talks to it through its sockets.
//!
//! A question is a module: what a command costs ([`commands`], on PostgreSQL
//! [`postgres`]), what a delivered event costs ([`fanout`]), what a connection costs
//! ([`memory`]), how fast the event log is written ([`log`]), how long those who were away
//! take to catch up ([`resume`]), how long an event takes to another node ([`nodes`]), and
//! whether commands bear what breaks beside them ([`faults`]), or a flood of what is refused
//! ([`flood`]). Two more are put to the
//! SignalR library's test server: what each transport and protocol costs
//! ([`signalr::transports`]), and what clients do that never read ([`signalr::stalled`]).
//!
//! Most are answered as ratios to the least that the same machine needs for the same
//! thing at the same time, measured in turns with it: [`bare`] is the transaction without
//! a server, `pgbench` the same on PostgreSQL, [`floor`] the `write()` without a server.
//! So a noisy machine, or another one, moves both sides. A part that needs PostgreSQL or
//! Redis has its own ([`cluster`]).
//!
//! `./scripts/bench` runs everything; `--quick` does so with smaller numbers, to see
//! that it works rather than how fast it is. Linux only: it reads `/proc`, and pins
//! processes with `taskset`.

mod audience;
mod bare;
mod client;
mod cluster;
mod commands;
mod database;
mod fanout;
mod faults;
mod flood;
mod floor;
mod log;
mod memory;
mod nodes;
mod paced;
mod postgres;
mod process;
mod report;
mod rescheduler;
mod resume;
mod server;
mod signalr;
mod site;
mod socket;

use std::process::ExitCode;
use std::time::Duration;

/// What can go wrong in a bench: it is told to whoever started it and ends that part.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How much is measured.
struct Plan {
    /// How often the sides of a comparison take turns.
    rounds: usize,
    /// How long one side measures in one round.
    round: Duration,
    /// What runs before a round's clock starts.
    warm_up: Duration,
    /// How many connections listen while one event at a time is sent.
    audiences: &'static [usize],
    /// How many connections listen while events wait.
    busy_audience: usize,
    /// How long commands are sent while events wait.
    busy_round: Duration,
    /// How many idle connections are weighed.
    idle_connections: usize,
    /// How long one side measures in one round beside pgbench, which counts in seconds.
    pgbench_round: Duration,
    /// How many events wait for the log, and how often.
    log_events: usize,
    log_rounds: usize,
    /// How many subscribers come back at once, and how often.
    subscribers: usize,
    resume_rounds: usize,
    /// How many events one subscriber has missed that was away for long.
    far_behind: usize,
    /// How long commands are sent at a fixed rate in one round.
    paced_round: Duration,
}

/// Short rounds, so that both sides of a ratio meet the same weather, and six of them:
/// the server then spends more than 3 s of CPU time per figure that a goal hangs on,
/// against a clock that ticks every 10 ms.
const FULL: Plan = Plan {
    rounds: 6,
    round: Duration::from_secs(1),
    warm_up: Duration::from_millis(300),
    audiences: &[1, 100, 1_000, 5_000],
    busy_audience: 1_000,
    busy_round: Duration::from_secs(6),
    idle_connections: 5_000,
    pgbench_round: Duration::from_secs(3),
    log_events: 100_000,
    log_rounds: 3,
    subscribers: 1_000,
    resume_rounds: 3,
    far_behind: 200_000,
    paced_round: Duration::from_secs(4),
};

const QUICK: Plan = Plan {
    rounds: 2,
    round: Duration::from_millis(500),
    warm_up: Duration::from_millis(100),
    audiences: &[1, 100, 1_000],
    busy_audience: 500,
    busy_round: Duration::from_secs(2),
    idle_connections: 1_000,
    pgbench_round: Duration::from_secs(1),
    log_events: 30_000,
    log_rounds: 1,
    subscribers: 200,
    resume_rounds: 1,
    far_behind: 20_000,
    paced_round: Duration::from_secs(1),
};

const USAGE: &str = "usage: ./scripts/bench [commands] [fanout] [memory] [postgres] [log] [resume]
                       [nodes] [faults] [flood] [transports] [stalled] [--quick]";

/// A part's name on the command line, and the part.
type Part = (&'static str, fn(&Plan) -> Result<(), Failure>);

const PARTS: [Part; 11] = [
    ("commands", commands::run),
    ("fanout", fanout::run),
    ("memory", memory::run),
    ("postgres", postgres::run),
    ("log", log::run),
    ("resume", resume::run),
    ("nodes", nodes::run),
    ("faults", faults::run),
    ("flood", flood::run),
    ("transports", signalr::transports::run),
    ("stalled", signalr::stalled::run),
];

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == floor::ARGUMENT) {
        return exit_code(floor::serve());
    }
    // `cargo bench` adds this. Without it, `cargo test --all-targets` wants to know only
    // that the bench can be built.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    arguments.retain(|argument| argument != "--bench");
    let is_known = |a: &String| a == "--quick" || PARTS.iter().any(|(name, _)| a == name);
    if !arguments.iter().all(is_known) {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    exit_code(run(&arguments))
}

/// Runs the parts that were asked for; none means all. A part that fails does not
/// keep the others from being measured.
fn run(arguments: &[String]) -> Result<(), Failure> {
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let plan = if is_quick { &QUICK } else { &FULL };
    let names: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    report::print_heading(arguments)?;
    process::raise_descriptor_limit()?;
    let mut failed = Vec::new();
    for (name, part) in PARTS {
        if !names.is_empty() && !names.iter().any(|asked| *asked == name) {
            continue;
        }
        let neighbours = process::Neighbours::watch()?;
        match part(plan) {
            Ok(()) => report::print_neighbours(&neighbours)?,
            Err(failure) => {
                eprintln!("{name}: {failure}");
                failed.push(name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("no result: {}", failed.join(", ")).into()) }
}

fn exit_code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
