//! What does one event cost when many listen?
//!
//! Two regimes. *One at a time*: the next command is sent when everybody has got the
//! last event, so each delivery is a write of its own; its CPU time is compared with
//! that of the [`floor`](crate::floor). *Under load*: commands come as fast as they are
//! answered, so events wait for connections and can share a write; what counts is how
//! many are delivered in a second.
//!
//! The server has one core to itself, and the load comes from the other one. Every
//! connection is checked to have got every event exactly once.

use std::time::{Duration, Instant};

use crate::audience::{Arrival, Audience};
use crate::client::ANSWER_TIMEOUT;
use crate::floor::Floor;
use crate::report::{Goals, Latencies, Table, fixed, grouped, median, range};
use crate::rescheduler::Rescheduler;
use crate::server::{Cores, Server};
use crate::{Failure, Plan, process, site, socket};

/// Where everybody listens.
const REGION: &str = "north";

/// Where nobody does: a command here costs what the command itself costs.
const QUIET_REGION: &str = "south";

/// How many connections keep what they get, so that it can be checked in full.
const WITNESSES: usize = 3;

/// How many clients send commands under load.
const BUSY_CLIENTS: [usize; 2] = [16, 64];

/// How long it may take, once no more commands are sent, until all is delivered.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The goal of the CPU time per delivery, as a multiple of the floor's.
const RATIO_GOAL: f64 = 1.4;

/// From how many connections on that goal counts: with few, the command itself is most
/// of what there is.
const RATIO_GOAL_CONNECTIONS: usize = 1_000;

/// The goal of deliveries per second under load.
const RATE_GOAL: f64 = 800_000.0;

/// Runs the bench.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    process::on_generator_core(|| measure(plan))
}

fn measure(plan: &Plan) -> Result<(), Failure> {
    let largest = plan.audiences.iter().copied().max().unwrap_or_default();
    // Twice: the server needs two per connection, and here the floor has as many
    // connections as the server.
    process::require_descriptors(2 * largest.max(plan.busy_audience) + 200)?;
    let mut goals = Goals::new();
    one_at_a_time(plan, &mut goals)?;
    under_load(plan, &mut goals)?;
    goals.print("Fan-out: goals");
    Ok(())
}

/// Adds dispatchers of a region to an audience, each with a job of its own.
fn add_dispatchers(
    audience: &mut Audience,
    server: &Server,
    region: &str,
    count: usize,
) -> Result<(), Failure> {
    let token = site::token("dispatcher", region)?;
    for job in site::make_jobs(server.address(), region, count)? {
        audience.add_dispatcher(Rescheduler::open(server.address(), &token, &job)?);
    }
    Ok(())
}

/// The server, the floor, and who listens to each.
struct Sides {
    server: Server,
    audience: Audience,
    /// Nobody, and a dispatcher of the region where nobody listens.
    nobody: Audience,
    floor: Floor,
    floor_audience: Audience,
}

impl Sides {
    fn start() -> Result<Self, Failure> {
        let server = Server::start(Cores::MeasuredOnly)?;
        let mut audience = Audience::new(WITNESSES)?;
        add_dispatchers(&mut audience, &server, REGION, 1)?;
        let mut nobody = Audience::new(0)?;
        add_dispatchers(&mut nobody, &server, QUIET_REGION, 1)?;
        let floor = Floor::start()?;
        // The floor repeats one frame, so there is no order that could be witnessed.
        Ok(Self { server, audience, nobody, floor, floor_audience: Audience::new(0)? })
    }

    /// Has so many connections listen on either side, and all of them warmed up.
    fn grow(&mut self, count: usize, plan: &Plan) -> Result<(), Failure> {
        let (address, token) = (self.server.address(), site::token("dispatcher", REGION)?);
        self.audience.grow(count, || socket::join(address, &token, REGION))?;
        self.floor_audience.grow(count, || self.floor.join())?;
        self.server_round(plan.warm_up)?;
        self.floor.set_frame(self.audience.sample_frame())?;
        self.floor_round(plan.warm_up)?;
        Ok(())
    }

    fn server_round(&mut self, duration: Duration) -> Result<Paced, Failure> {
        let pid = self.server.pid();
        paced_round(&mut self.audience, pid, duration, |audience| audience.send_command(0))
    }

    fn quiet_round(&mut self, duration: Duration) -> Result<Paced, Failure> {
        let pid = self.server.pid();
        paced_round(&mut self.nobody, pid, duration, |nobody| nobody.send_command(0))
    }

    fn floor_round(&mut self, duration: Duration) -> Result<Paced, Failure> {
        let pid = self.floor.pid();
        paced_round(&mut self.floor_audience, pid, duration, |_| self.floor.trigger())
    }
}

/// What rounds with one event at a time came to.
#[derive(Default)]
struct Paced {
    events: u64,
    cpu: Duration,
    from_request: Latencies,
    from_answer: Latencies,
}

impl Paced {
    fn add(&mut self, round: Self) {
        self.events += round.events;
        self.cpu += round.cpu;
        self.from_request.append(round.from_request);
        self.from_answer.append(round.from_answer);
    }

    /// The CPU time per event in microseconds.
    fn event_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.events as f64
    }
}

/// Makes events, each when everybody has got the one before and the command is
/// acknowledged, if it is a command. Latencies count from just before the command is
/// sent, and from its answer; who has the event before the answer is there waited 0.
fn paced_round(
    audience: &mut Audience,
    pid: u32,
    duration: Duration,
    mut fire: impl FnMut(&mut Audience) -> Result<(), Failure>,
) -> Result<Paced, Failure> {
    let mut round = Paced::default();
    let mut received_at = Vec::with_capacity(audience.len());
    let has_answers = audience.dispatchers() > 0;
    audience.begin_round(audience.dispatchers().min(1))?;
    let cpu_before = process::cpu_time(pid)?;
    let start = Instant::now();
    while start.elapsed() < duration {
        received_at.clear();
        let fired_at = Instant::now();
        let mut answered_at = (!has_answers).then_some(fired_at);
        fire(audience)?;
        while received_at.len() < audience.len() || answered_at.is_none() {
            let polled = audience.poll(fired_at + ANSWER_TIMEOUT, |arrival, at| {
                match arrival {
                    Arrival::Events(count) => received_at.extend((0..count).map(|_| at)),
                    Arrival::Answer(..) => answered_at = Some(at),
                }
                Ok(())
            });
            let received = received_at.len();
            polled.map_err(|failure| {
                format!("{failure}; {received} of {} got the event", audience.len())
            })?;
        }
        let answered_at = answered_at.unwrap_or(fired_at);
        for at in &received_at {
            round.from_request.add(*at - fired_at);
            round.from_answer.add(at.saturating_duration_since(answered_at));
        }
        round.events += 1;
    }
    round.cpu = process::cpu_time(pid)? - cpu_before;
    audience.end_round(round.events)?;
    Ok(round)
}

fn one_at_a_time(plan: &Plan, goals: &mut Goals) -> Result<(), Failure> {
    let mut costs = Table::new(&[
        "connections",
        "events",
        "command alone, µs",
        "server, µs/delivery",
        "floor, µs/write",
        "× floor",
        "by round",
        "less command, µs/delivery",
        "less command, × floor",
    ]);
    let mut latencies = Table::new(&[
        "connections",
        "request to receipt: p50, ms",
        "p99",
        "answer to receipt: p50, ms",
        "p99",
        "floor: p50, ms",
        "p99",
    ]);
    let mut sides = Sides::start()?;
    for &connections in plan.audiences {
        sides.grow(connections, plan)?;
        let (mut server, mut quiet, mut floor) =
            (Paced::default(), Paced::default(), Paced::default());
        let (mut ratios, mut ratios_less_command) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            let server_round = sides.server_round(plan.round)?;
            let floor_round = sides.floor_round(plan.round)?;
            let quiet_round = sides.quiet_round(plan.round / 2)?;
            let (event_us, write_us) = (server_round.event_us(), floor_round.event_us());
            ratios.push(event_us / write_us);
            ratios_less_command.push((event_us - quiet_round.event_us()) / write_us);
            server.add(server_round);
            quiet.add(quiet_round);
            floor.add(floor_round);
        }
        let delivery_us = server.event_us() / connections as f64;
        let less_command_us = (server.event_us() - quiet.event_us()) / connections as f64;
        let write_us = floor.event_us() / connections as f64;
        costs.row(vec![
            grouped(connections as f64),
            grouped(server.events as f64),
            fixed(quiet.event_us(), 0),
            fixed(delivery_us, 2),
            fixed(write_us, 2),
            fixed(median(&ratios), 2),
            range(&ratios),
            fixed(less_command_us, 2),
            fixed(median(&ratios_less_command), 2),
        ]);
        let mut cells = vec![grouped(connections as f64)];
        cells.extend(server.from_request.p50_and_p99());
        cells.extend(server.from_answer.p50_and_p99());
        cells.extend(floor.from_request.p50_and_p99());
        latencies.row(cells);
        if connections >= RATIO_GOAL_CONNECTIONS {
            let what = format!("{} connections, × floor", grouped(connections as f64));
            goals.at_most(&what, RATIO_GOAL, median(&ratios), "");
        }
    }
    let frame = sides.audience.sample_frame().len();
    costs.print(&format!("Fan-out: CPU time, one event of {frame} bytes at a time"));
    latencies.print("Fan-out: latency, one event at a time");
    Ok(())
}

/// What a round under load came to.
struct Loaded {
    commands: u64,
    /// Until the last event was delivered.
    elapsed: Duration,
    /// How much of that was needed after the last answer.
    drain: Duration,
    cpu: Duration,
    latencies: Latencies,
}

/// Has the first `clients` dispatchers send command after command, then waits until
/// everybody has got everything. The clock runs until then: what still waits in a
/// queue has not been delivered.
fn loaded_round(
    audience: &mut Audience,
    pid: u32,
    clients: usize,
    duration: Duration,
) -> Result<Loaded, Failure> {
    let members = audience.len() as u64;
    let (mut commands, mut deliveries, mut latencies) = (0, 0, Latencies::default());
    audience.begin_round(clients)?;
    let cpu_before = process::cpu_time(pid)?;
    let start = Instant::now();
    let mut sent_at = vec![start; clients];
    let mut waiting = clients;
    let mut answered_at = start;
    for dispatcher in 0..clients {
        audience.send_command(dispatcher)?;
    }
    while waiting > 0 || deliveries < commands * members {
        let polled = audience.poll(start + duration + DRAIN_TIMEOUT, |arrival, at| {
            match arrival {
                Arrival::Events(count) => deliveries += count,
                Arrival::Answer(number, dispatcher) => {
                    commands += 1;
                    latencies.add(at - sent_at[number]);
                    answered_at = at;
                    if at - start < duration {
                        sent_at[number] = at;
                        dispatcher.send()?;
                    } else {
                        waiting -= 1;
                    }
                }
            }
            Ok(())
        });
        polled.map_err(|failure| {
            format!("{failure}; {deliveries} deliveries of {commands} events to {members}")
        })?;
    }
    let elapsed = start.elapsed();
    let cpu = process::cpu_time(pid)? - cpu_before;
    audience.end_round(commands)?;
    Ok(Loaded { commands, elapsed, drain: start + elapsed - answered_at, cpu, latencies })
}

fn under_load(plan: &Plan, goals: &mut Goals) -> Result<(), Failure> {
    let server = Server::start(Cores::MeasuredOnly)?;
    let mut audience = Audience::new(WITNESSES)?;
    let clients_max = BUSY_CLIENTS.into_iter().max().unwrap_or_default();
    add_dispatchers(&mut audience, &server, REGION, clients_max)?;
    let token = site::token("dispatcher", REGION)?;
    audience.grow(plan.busy_audience, || socket::join(server.address(), &token, REGION))?;
    let mut table = Table::new(&[
        "clients",
        "connections",
        "commands/s",
        "deliveries/s",
        "server, µs/delivery",
        "command: p50, ms",
        "p99",
        "drain, ms",
    ]);
    for clients in BUSY_CLIENTS {
        loaded_round(&mut audience, server.pid(), clients, plan.warm_up)?;
        let mut round = loaded_round(&mut audience, server.pid(), clients, plan.busy_round)?;
        let seconds = round.elapsed.as_secs_f64();
        let deliveries = round.commands as f64 * plan.busy_audience as f64;
        let [p50, p99] = round.latencies.p50_and_p99();
        table.row(vec![
            clients.to_string(),
            grouped(plan.busy_audience as f64),
            grouped(round.commands as f64 / seconds),
            grouped(deliveries / seconds),
            fixed(round.cpu.as_secs_f64() * 1e6 / deliveries, 2),
            p50,
            p99,
            fixed(round.drain.as_secs_f64() * 1e3, 0),
        ]);
        if clients == clients_max {
            let what = format!("{clients} clients, deliveries");
            goals.at_least(&what, RATE_GOAL, deliveries / seconds, "/s");
        }
    }
    table.print("Fan-out: under load");
    Ok(())
}
