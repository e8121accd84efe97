//! How long does it take until all who were away have what they missed?
//!
//! A server has just been started, and knows nothing but its database. A thousand clients
//! are connected and have not said anything; then all of them subscribe in the same
//! moment, each a thousand events behind. The clock runs until each has got every event
//! that it missed, and the answer to its call. And one comes back that was away for long:
//! what does the server hold in memory for it?

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use serde_json::Value;

use crate::database::{self, Home, Sampled};
use crate::report::{Goals, Latencies, Table, fixed, grouped, median, range};
use crate::server::{Places, Server};
use crate::socket::{self, EventCounter};
use crate::{Failure, Plan, process, site};

/// Events that each subscriber has missed.
const MISSED: usize = 1_000;

/// Over how many regions subscribers and events are spread.
const REGIONS: usize = 20;

/// The goal of the time until all have everything.
const GOAL_SECONDS: f64 = 2.0;

/// How long it may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How many subscribers, the first ones, keep what they receive, so that it can be
/// checked in full.
const WITNESSES: usize = 3;

/// How much one read takes.
const READ_BYTES: usize = 256 * 1024;

/// Who follows what.
#[derive(Clone, Copy)]
struct Scene {
    name: &'static str,
    /// Over how many regions it is spread.
    regions: usize,
    /// Whether each subscriber follows a contractor's group of its own as well.
    has_own_group: bool,
}

const SCENES: [Scene; 3] = [
    Scene { name: "one region", regions: 1, has_own_group: false },
    Scene { name: "20 regions", regions: REGIONS, has_own_group: false },
    Scene { name: "20 regions, own groups", regions: REGIONS, has_own_group: true },
];

/// Runs the bench.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    process::require_descriptors(2 * plan.subscribers + 200)?;
    let mut table = Table::new(&[
        "database",
        "who follows what",
        "subscribers",
        "p50, ms",
        "p99, ms",
        "all, ms",
        "all by round, s",
        "server CPU, s",
        "connecting, s",
    ]);
    let mut alone = Table::new(&["database", "events behind", "s", "events/s", "growth, MiB"]);
    let mut goals = Goals::new();
    for (name, home) in Home::both()? {
        for scene in SCENES {
            let database = format!("missed_{}_{}", scene.regions, u8::from(scene.has_own_group));
            let missed = Sampled::make(&home, &database)?;
            missed.fill_log(MISSED * scene.regions, scene.regions)?;
            let (mut all, mut alls) = (Latencies::default(), Vec::new());
            let (mut cpus, mut connecting) = (Vec::new(), Vec::new());
            for _ in 0..plan.resume_rounds {
                let mut round = round(&missed, scene, plan.subscribers, MISSED)?;
                alls.push(round.latencies.percentile(100) / 1e3);
                cpus.push(round.cpu.as_secs_f64());
                connecting.push(round.connecting.as_secs_f64());
                all.append(round.latencies);
            }
            let mut cells =
                vec![name.to_owned(), scene.name.to_owned(), grouped(plan.subscribers as f64)];
            cells.extend(all.p50_and_p99());
            cells.extend([fixed(median(&alls) * 1e3, 0), range(&alls)]);
            cells.extend([fixed(median(&cpus), 2), fixed(median(&connecting), 2)]);
            table.row(cells);
            let what = format!("{name}, {}", scene.name);
            goals.at_most(&what, GOAL_SECONDS, median(&alls), " s");
        }
        let far = Sampled::make(&home, "far_behind")?;
        far.fill_log(plan.far_behind, 1)?;
        let mut round = round(&far, SCENES[0], 1, plan.far_behind)?;
        let seconds = round.latencies.percentile(100) / 1e3;
        alone.row(vec![
            name.to_owned(),
            grouped(plan.far_behind as f64),
            fixed(seconds, 2),
            grouped(plan.far_behind as f64 / seconds),
            fixed(round.growth as f64 / 1024.0 / 1024.0, 1),
        ]);
    }
    let events = grouped(MISSED as f64);
    table.print(&format!("Resume: after a restart, each {events} events behind"));
    alone.print("Resume: one subscriber that was away for long");
    goals.print("Resume: goals");
    Ok(())
}

struct Round {
    /// Of each subscriber, from the moment in which all subscribed.
    latencies: Latencies,
    cpu: Duration,
    connecting: Duration,
    /// By how many bytes the server's memory grew at most.
    growth: u64,
}

/// Starts a server and has subscribers come back to it, each after so many events.
fn round(
    missed: &Sampled,
    scene: Scene,
    subscribers: usize,
    events: usize,
) -> Result<Round, Failure> {
    let server = Server::start_on(&Places::one(missed.url.clone()))?;
    let start = Instant::now();
    let mut crowd = Vec::with_capacity(subscribers);
    for number in 0..subscribers {
        crowd.push(Subscriber::connect(&server, missed.last, scene, number)?);
    }
    let connecting = start.elapsed();
    let (before, cpu_before) =
        (process::resident_bytes(server.pid())?, process::cpu_time(server.pid())?);
    let latencies = subscribe_all(&mut crowd)?;
    let cpu = process::cpu_time(server.pid())? - cpu_before;
    let growth = process::peak_resident_bytes(server.pid())?.saturating_sub(before);
    for subscriber in &crowd {
        subscriber.check(events as u64)?;
    }
    Ok(Round { latencies, cpu, connecting, growth })
}

/// Has all of them subscribe and reads until all have been answered.
fn subscribe_all(crowd: &mut [Subscriber]) -> Result<Latencies, Failure> {
    let mut poll = Poll::new()?;
    for (number, subscriber) in crowd.iter().enumerate() {
        subscriber.stream.set_nonblocking(true)?;
        let socket = subscriber.stream.as_raw_fd();
        poll.registry().register(&mut SourceFd(&socket), Token(number), Interest::READABLE)?;
    }
    let (mut ready, mut buffer) = (Events::with_capacity(1_024), vec![0; READ_BYTES]);
    let (mut latencies, mut missing) = (Latencies::default(), crowd.len());
    let start = Instant::now();
    for subscriber in crowd.iter_mut() {
        subscriber.stream.write_all(&subscriber.request)?;
    }
    while missing > 0 {
        if start.elapsed() > TIMEOUT {
            return Err(format!("{missing} subscribers were not answered in time").into());
        }
        match poll.poll(&mut ready, Some(Duration::from_secs(1))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &ready {
            let Token(number) = event.token();
            if crowd[number].read(&mut buffer)? {
                latencies.add(start.elapsed());
                missing -= 1;
            }
        }
    }
    Ok(latencies)
}

/// A client that comes back.
struct Subscriber {
    stream: TcpStream,
    request: Vec<u8>,
    counter: EventCounter,
    events: u64,
    /// Everything that it received, if it is a witness.
    tape: Option<Vec<u8>>,
}

impl Subscriber {
    fn connect(server: &Server, after: u64, scene: Scene, number: usize) -> Result<Self, Failure> {
        let region = database::region(number % scene.regions);
        let mut groups = vec![format!("dispatch/{region}")];
        let token = if scene.has_own_group {
            let contractor_id = uuid::Uuid::now_v7().to_string();
            groups.push(format!("contractor/{contractor_id}"));
            site::working_dispatcher_token(&region, &contractor_id)?
        } else {
            site::token("dispatcher", &region)?
        };
        Ok(Self {
            stream: socket::open(server.address(), &token)?,
            request: socket::subscribe_frame(&groups, after),
            counter: EventCounter::default(),
            events: 0,
            tape: (number < WITNESSES).then(Vec::new),
        })
    }

    /// Reads what there is; whether that brought the answer to its call.
    fn read(&mut self, buffer: &mut [u8]) -> Result<bool, Failure> {
        let was_answered = self.counter.completion().is_some();
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err("the server dropped a subscriber".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("a subscriber's connection: {error}").into()),
            };
            if let Some(tape) = &mut self.tape {
                tape.extend_from_slice(&buffer[..count]);
            }
            self.events += self.counter.feed(&buffer[..count])?;
            if count < buffer.len() {
                break;
            }
        }
        Ok(!was_answered && self.counter.completion().is_some())
    }

    /// Fails unless it has got every event that it missed, and been told so.
    fn check(&self, events: u64) -> Result<(), Failure> {
        let answer = self.counter.completion().ok_or("a subscriber was not answered")?;
        let answer: Value = serde_json::from_slice(answer)?;
        let result = &answer["result"];
        if self.events != events || result["replayed"] != events || result["complete"] != true {
            return Err(format!("{} of {events} events came, and {answer}", self.events).into());
        }
        if let Some(tape) = &self.tape {
            let checked = socket::check_replay(tape)?;
            if checked != events {
                return Err(format!("a witness saw {checked} events out of {events}").into());
            }
        }
        Ok(())
    }
}
