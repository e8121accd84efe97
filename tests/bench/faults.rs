//! Do commands become slower when something breaks that they do not need?
//!
//! Commands come at a fixed rate, well below what the server takes, in turns while all is
//! well and while something is not: the event log's database is stopped, Redis stands
//! still without closing a connection, or many clients listen that never read. Nothing
//! that is broken for the whole of a round is spared the moment in which it breaks.
//! The first line breaks nothing: it shows how far two equal rounds differ.

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::cluster::{Cluster, Redis};
use crate::database::Home;
use crate::paced;
use crate::report::{Goals, Latencies, Table, fixed, grouped, median, range};
use crate::rescheduler::Rescheduler;
use crate::server::{Places, Server};
use crate::{Failure, Plan, site, socket};

const REGION: &str = "north";

/// Commands a second.
const RATE: u32 = 300;

/// Who take turns at sending them: enough that a slow answer delays no other command,
/// unless it takes a tenth of a second.
const CLIENTS: usize = 32;

/// Clients that never read.
const STALLED: usize = 100;

/// What the system holds for each of those, so that the server soon has to.
const STALLED_BUFFER_BYTES: usize = 4 * 1024;

/// The goal of the 99th percentile, as a multiple of the one while all is well.
const RATIO_GOAL: f64 = 1.2;

/// What breaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    LogDown,
    RedisBlackholed,
    StalledClients,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::LogDown => "the event log's database is down",
            Self::RedisBlackholed => "Redis does not answer",
            Self::StalledClients => "100 clients never read",
        }
    }
}

/// Runs the bench.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "database",
        "what is broken",
        "commands",
        "refused: well",
        "broken",
        "well: p50, ms",
        "p99",
        "broken: p50, ms",
        "p99",
        "× p50",
        "× p99",
        "by round",
    ]);
    let mut goals = Goals::new();
    let every = [Fault::Nothing, Fault::LogDown, Fault::RedisBlackholed, Fault::StalledClients];
    for (name, home) in Home::both()? {
        for fault in every {
            // An SQLite file has one server, and no use for Redis.
            if fault == Fault::RedisBlackholed && matches!(home, Home::Sqlite(_)) {
                continue;
            }
            let mut site = Site::start(&home, fault)?;
            let (mut well, mut broken) = (Latencies::default(), Latencies::default());
            let (mut p50s, mut p99s) = (Vec::new(), Vec::new());
            let (mut refused_well, mut refused_broken) = (0, 0);
            for _ in 0..plan.rounds {
                let mut well_round = site.round(plan, &mut refused_well)?;
                site.break_it()?;
                let mut broken_round = site.round(plan, &mut refused_broken)?;
                site.mend_it()?;
                let mut ratio =
                    |percent| broken_round.percentile(percent) / well_round.percentile(percent);
                p50s.push(ratio(50));
                p99s.push(ratio(99));
                well.append(well_round);
                broken.append(broken_round);
            }
            if refused_well + refused_broken > 0 {
                eprintln!("{name}, {}: the log ends:\n{}", fault.name(), site.server.log_end());
            }
            let commands = (well.len() + broken.len()) as f64;
            let mut cells = vec![name.to_owned(), fault.name().to_owned(), grouped(commands)];
            cells.extend([refused_well.to_string(), refused_broken.to_string()]);
            cells.extend(well.p50_and_p99());
            cells.extend(broken.p50_and_p99());
            cells.extend([fixed(median(&p50s), 2), fixed(median(&p99s), 2), range(&p99s)]);
            table.row(cells);
            if fault != Fault::Nothing {
                let what = format!("{name}, {}, × p99", fault.name());
                goals.at_most(&what, RATIO_GOAL, median(&p99s), "");
            }
        }
    }
    table.print(&format!("Faults: reschedules over HTTP, {RATE} commands/s"));
    goals.print("Faults: goals");
    Ok(())
}

/// A server, and what can break beside it.
struct Site {
    server: Server,
    reschedulers: Vec<Rescheduler>,
    fault: Fault,
    log: Option<Cluster>,
    redis: Option<Redis>,
    stalled: Vec<TcpStream>,
}

impl Site {
    fn start(home: &Home, fault: Fault) -> Result<Self, Failure> {
        let name = match fault {
            Fault::Nothing => "nothing",
            Fault::LogDown => "log_down",
            Fault::RedisBlackholed => "redis",
            Fault::StalledClients => "stalled",
        };
        let mut places = Places::one(home.create(name)?);
        let log = (fault == Fault::LogDown).then(Cluster::start).transpose()?;
        if let Some(log) = &log {
            places.log = Some(log.create("event_log", "template0")?);
        }
        let redis = (fault == Fault::RedisBlackholed).then(Redis::start).transpose()?;
        places.redis = redis.as_ref().map(Redis::url);
        let server = Server::start_on(&places)?;
        let token = site::token("dispatcher", REGION)?;
        let reschedulers = site::make_jobs(server.address(), REGION, CLIENTS)?
            .iter()
            .map(|job| Rescheduler::open(server.address(), &token, job))
            .collect::<Result<_, _>>()?;
        server.await_all_up()?;
        Ok(Self { server, reschedulers, fault, log, redis, stalled: Vec::new() })
    }

    /// How long the answers took, those of refused commands as well.
    fn round(&mut self, plan: &Plan, refused: &mut usize) -> Result<Latencies, Failure> {
        let mut latencies = Latencies::default();
        for sent in paced::run(&mut self.reschedulers, RATE, plan.warm_up, plan.paced_round)? {
            *refused += usize::from(sent.sequence.is_none());
            latencies.add(sent.answered_at - sent.due_at);
        }
        Ok(latencies)
    }

    fn break_it(&mut self) -> Result<(), Failure> {
        if let Some(log) = &mut self.log {
            log.stop()?;
        }
        if let Some(redis) = &self.redis {
            redis.stand_still()?;
        }
        if self.fault == Fault::StalledClients {
            let token = site::token("dispatcher", REGION)?;
            for _ in 0..STALLED {
                let stream = stalled_connection(self.server.address())?;
                self.stalled.push(socket::join_on(stream, &token, REGION)?);
            }
        }
        Ok(())
    }

    /// Mends it, and waits until nothing of it is left.
    fn mend_it(&mut self) -> Result<(), Failure> {
        if let Some(log) = &mut self.log {
            log.resume()?;
        }
        if let Some(redis) = &self.redis {
            redis.go_on()?;
        }
        self.stalled.clear();
        self.server.await_all_up()
    }
}

/// A connection for which the system holds little that is not read.
fn stalled_connection(address: SocketAddr) -> Result<TcpStream, Failure> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(STALLED_BUFFER_BYTES)?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}
