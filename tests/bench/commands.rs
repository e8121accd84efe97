//! How many commands are acknowledged in a second?
//!
//! Clients reschedule jobs over HTTP, each its own job, each as soon as the last answer
//! is there. Beside it, in turns, runs the same transaction without a server
//! ([`bare`](crate::bare)): what a server reaches that commits one command at a time
//! and costs nothing itself.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::bare::BareDatabase;
use crate::report::{Goals, Latencies, Table, fixed, grouped, median, range};
use crate::rescheduler::Rescheduler;
use crate::server::{self, Cores, Server};
use crate::{Failure, Plan, process, site};

const REGION: &str = "north";

/// How many clients send commands at once.
pub const CLIENTS: [usize; 3] = [1, 16, 64];

/// The goal for the most clients, as a multiple of the bare transaction's rate.
const RATIO_GOAL: f64 = 2.0;

/// What one side did in one round, or in several.
#[derive(Default)]
pub struct Round {
    commands: u64,
    pub elapsed: Duration,
    pub latencies: Latencies,
    /// The server's CPU time; of a bare round nobody asks.
    pub cpu: Duration,
    /// How many commands that CPU time was for: those of the warm-up, too.
    pub cpu_commands: u64,
}

impl Round {
    /// Counts one command that took so long.
    pub fn count(&mut self, latency: Duration) {
        self.commands += 1;
        self.latencies.add(latency);
    }

    pub fn add(&mut self, other: Self) {
        self.commands += other.commands;
        self.elapsed += other.elapsed;
        self.latencies.append(other.latencies);
        self.cpu += other.cpu;
        self.cpu_commands += other.cpu_commands;
    }

    pub fn per_second(&self) -> f64 {
        self.commands as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs the bench.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    let clients_max = CLIENTS.into_iter().max().unwrap_or_default();
    let mut bare = bare_database(clients_max)?;
    let server = Server::start(Cores::All)?;
    let token = site::token("dispatcher", REGION)?;
    let mut reschedulers = site::make_jobs(server.address(), REGION, clients_max)?
        .iter()
        .map(|job| Rescheduler::open(server.address(), &token, job))
        .collect::<Result<Vec<_>, _>>()?;
    // From its event on, nobody else makes any.
    reschedulers[0].reschedule()?;
    let mut table = Table::new(&[
        "clients",
        "commands/s",
        "p50, ms",
        "p99, ms",
        "server CPU, µs/command",
        "bare transactions/s",
        "p50, ms",
        "p99, ms",
        "× bare",
        "by round",
    ]);
    let mut goals = Goals::new();
    for clients in CLIENTS {
        let (mut ours, mut theirs, mut ratios) = (Round::default(), Round::default(), Vec::new());
        for _ in 0..plan.rounds {
            let round = server_round(&server, &mut reschedulers, clients, plan)?;
            let bare_round = bare.database.run(plan.warm_up, plan.round)?;
            ratios.push(round.per_second() / bare_round.per_second());
            ours.add(round);
            theirs.add(bare_round);
        }
        let ratio = median(&ratios);
        let mut cells = vec![clients.to_string(), grouped(ours.per_second())];
        cells.extend(ours.latencies.p50_and_p99());
        cells.push(fixed(ours.cpu.as_secs_f64() * 1e6 / ours.cpu_commands as f64, 0));
        cells.push(grouped(theirs.per_second()));
        cells.extend(theirs.latencies.p50_and_p99());
        cells.extend([fixed(ratio, 2), range(&ratios)]);
        table.row(cells);
        if clients == clients_max {
            goals.at_least(&format!("{clients} clients, × bare"), RATIO_GOAL, ratio, "");
        }
    }
    table.print("Commands: reschedules over HTTP, SQLite with synchronous = FULL");
    goals.print("Commands: goals");
    Ok(())
}

/// A database, and the folder that it is in for as long.
struct OwnedDatabase {
    database: BareDatabase,
    _folder: tempfile::TempDir,
}

/// A database that a server migrated and filled as the measured one is.
fn bare_database(jobs: usize) -> Result<OwnedDatabase, Failure> {
    let server = Server::start(Cores::All)?;
    let ids = site::make_jobs(server.address(), REGION, jobs)?;
    let token = site::token("dispatcher", REGION)?;
    Rescheduler::open(server.address(), &token, &ids[0])?.reschedule()?;
    let folder = server.into_folder()?;
    let database = BareDatabase::open(&server::database_in(folder.path()), ids)?;
    Ok(OwnedDatabase { database, _folder: folder })
}

/// Has the first `clients` send commands, each on a thread of its own. Those that were
/// sent and answered between the warm-up and the end count.
pub fn server_round(
    server: &Server,
    reschedulers: &mut [Rescheduler],
    clients: usize,
    plan: &Plan,
) -> Result<Round, Failure> {
    for rescheduler in &mut reschedulers[..clients] {
        rescheduler.reconnect()?;
    }
    let sequence_before = last_sequence(reschedulers);
    let cpu_before = process::cpu_time(server.pid())?;
    let start = Barrier::new(clients);
    let rounds: Vec<Result<Round, Failure>> = thread::scope(|scope| {
        let clients: Vec<_> = reschedulers[..clients]
            .iter_mut()
            .map(|rescheduler| scope.spawn(|| client_round(rescheduler, &start, plan)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|_| Err("a client panicked".into())))
            .collect()
    });
    let mut all = Round::default();
    for round in rounds {
        all.add(round?);
    }
    all.elapsed = plan.round;
    all.cpu = process::cpu_time(server.pid())? - cpu_before;
    let sequences = last_sequence(reschedulers) - sequence_before;
    if sequences != all.cpu_commands {
        let commands = all.cpu_commands;
        return Err(format!("{commands} commands took {sequences} sequences").into());
    }
    Ok(all)
}

/// The highest sequence that any of them was told.
fn last_sequence(reschedulers: &[Rescheduler]) -> u64 {
    reschedulers.iter().map(Rescheduler::last_sequence).max().unwrap_or_default()
}

fn client_round(
    rescheduler: &mut Rescheduler,
    start: &Barrier,
    plan: &Plan,
) -> Result<Round, Failure> {
    let mut round = Round::default();
    start.wait();
    let from = Instant::now() + plan.warm_up;
    let until = from + plan.round;
    loop {
        let sent_at = Instant::now();
        if sent_at >= until {
            return Ok(round);
        }
        rescheduler.reschedule()?;
        round.cpu_commands += 1;
        let answered_at = Instant::now();
        if sent_at >= from && answered_at <= until {
            round.count(answered_at - sent_at);
        }
    }
}
