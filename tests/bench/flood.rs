//! Do healthy clients notice a flood that meets the limits?
//!
//! Commands come at a fixed rate from one address, in turns without and with a flood from
//! another one: hub connections past the bound of all connections, or requests past the
//! rate of an address. The flood has a fixed rate too, far above what is let through: as
//! fast as it can, it would measure only how one machine is shared. The first line floods
//! nothing: it shows how far two equal rounds differ.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::paced;
use crate::report::{Latencies, Table, fixed, grouped, median, range};
use crate::rescheduler::Rescheduler;
use crate::server::{Cores, Server};
use crate::{Failure, Plan, client, site, socket};

const REGION: &str = "north";

/// Commands a second, and who take turns at sending them.
const RATE: u32 = 200;
const CLIENTS: usize = 16;

/// What the servers let through: connections in total, or requests of one address.
const CONNECTIONS_MAX: usize = 200;
const REQUESTS_PER_SECOND: u32 = 500;

/// What the flood asks for each second, over so many threads.
const FLOOD_RATE: u32 = 2_000;
const FLOOD_THREADS: u32 = 4;

/// Where the flood comes from.
const FLOOD_ADDRESS: [u8; 4] = [127, 0, 0, 2];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flood {
    Nothing,
    Connections,
    Requests,
}

impl Flood {
    const ALL: [Self; 3] = [Self::Nothing, Self::Connections, Self::Requests];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Connections => "connections past connections_max",
            Self::Requests => "requests past the rate of an address",
        }
    }
}

/// Runs the bench.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "flood",
        "asked/s",
        "refused",
        "commands",
        "refused",
        "calm: p50, ms",
        "p99",
        "flooded: p50, ms",
        "p99",
        "× p50",
        "× p99",
        "by round",
    ]);
    for flood in Flood::ALL {
        let mut site = Site::start(flood)?;
        let (mut calm, mut flooded) = (Latencies::default(), Latencies::default());
        let (mut p50s, mut p99s) = (Vec::new(), Vec::new());
        let (mut refused, mut counts) = (0, Counts::default());
        for _ in 0..plan.rounds {
            let mut calm_round = site.round(plan, &mut refused)?;
            let (round, round_counts) = site.flooded_round(flood, plan, &mut refused)?;
            let mut flooded_round = round;
            let mut ratio =
                |percent| flooded_round.percentile(percent) / calm_round.percentile(percent);
            p50s.push(ratio(50));
            p99s.push(ratio(99));
            calm.append(calm_round);
            flooded.append(flooded_round);
            counts.add(&round_counts);
        }
        let mut cells = vec![flood.name().to_owned()];
        cells.extend([grouped(counts.per_second()), counts.refused_share()]);
        cells.extend([grouped((calm.len() + flooded.len()) as f64), refused.to_string()]);
        cells.extend(calm.p50_and_p99());
        cells.extend(flooded.p50_and_p99());
        cells.extend([fixed(median(&p50s), 2), fixed(median(&p99s), 2), range(&p99s)]);
        table.row(cells);
    }
    table.print(&format!(
        "Floods: reschedules over HTTP, {RATE} commands/s, beside what is refused"
    ));
    Ok(())
}

/// A server with a limit, and as many connections as the one of connections lets through.
struct Site {
    server: Server,
    reschedulers: Vec<Rescheduler>,
    token: String,
    _connections: Vec<TcpStream>,
}

impl Site {
    fn start(flood: Flood) -> Result<Self, Failure> {
        let limit = match flood {
            Flood::Nothing | Flood::Connections => format!("--connections-max={CONNECTIONS_MAX}"),
            Flood::Requests => format!("--requests-per-second-per-address={REQUESTS_PER_SECOND}"),
        };
        let server = Server::start_with(Cores::All, &[limit])?;
        let token = site::token("dispatcher", REGION)?;
        let reschedulers = site::make_jobs(server.address(), REGION, CLIENTS)?
            .iter()
            .map(|job| Rescheduler::open(server.address(), &token, job))
            .collect::<Result<_, _>>()?;
        let open = |_| socket::join(server.address(), &token, REGION);
        let connections = (0..CONNECTIONS_MAX).map(open).collect::<Result<_, _>>()?;
        Ok(Self { server, reschedulers, token, _connections: connections })
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

    fn flooded_round(
        &mut self,
        flood: Flood,
        plan: &Plan,
        refused: &mut usize,
    ) -> Result<(Latencies, Counts), Failure> {
        let (address, token) = (self.server.address(), self.token.clone());
        if flood == Flood::Nothing {
            return Ok((self.round(plan, refused)?, Counts::default()));
        }
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let floods: Vec<_> = (0..FLOOD_THREADS)
                .map(|_| scope.spawn(|| ask_until(&is_over, flood, address, &token)))
                .collect();
            let round = self.round(plan, refused);
            is_over.store(true, Ordering::Relaxed);
            let mut counts = Counts::default();
            for flood in floods {
                counts.add(&flood.join().unwrap_or_else(|_| Err("a flood panicked".into()))?);
            }
            // All threads ask over the same time.
            counts.elapsed /= FLOOD_THREADS;
            Ok((round?, counts))
        })
    }
}

/// What a flood was told.
#[derive(Default)]
struct Counts {
    asked: u64,
    refused: u64,
    elapsed: Duration,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.refused += other.refused;
        self.elapsed += other.elapsed;
    }

    fn per_second(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { self.asked as f64 / self.elapsed.as_secs_f64() }
    }

    fn refused_share(&self) -> String {
        if self.asked == 0 {
            return "–".to_owned();
        }
        format!("{} %", fixed(100.0 * self.refused as f64 / self.asked as f64, 0))
    }
}

/// Asks at the flood's rate, and does not make up for what it could not ask in time.
fn ask_until(
    is_over: &AtomicBool,
    flood: Flood,
    address: SocketAddr,
    token: &str,
) -> Result<Counts, Failure> {
    let interval = Duration::from_secs(1) * FLOOD_THREADS / FLOOD_RATE;
    let (start, mut due_at, mut counts) = (Instant::now(), Instant::now(), Counts::default());
    let request = match flood {
        Flood::Connections => format!(
            "GET /hub/dispatch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ),
        Flood::Requests | Flood::Nothing => format!(
            "GET /api/jobs?limit=1 HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        ),
    };
    let mut kept = None;
    while !is_over.load(Ordering::Relaxed) {
        due_at = (due_at + interval).max(Instant::now());
        thread::sleep(due_at.saturating_duration_since(Instant::now()));
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => flood_socket(address)?,
        };
        stream.write_all(request.as_bytes())?;
        let status = status_of_next(&mut stream)?;
        counts.asked += 1;
        counts.refused += u64::from(status == 429 || status == 503);
        // A flood of connections is one of sockets too.
        kept = (flood == Flood::Requests).then_some(stream);
    }
    counts.elapsed = start.elapsed();
    Ok(counts)
}

fn flood_socket(address: SocketAddr) -> Result<TcpStream, Failure> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((FLOOD_ADDRESS, 0)).into())?;
    // Closed by a reset, it leaves nothing that waits in the system.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.connect(&address.into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(client::ANSWER_TIMEOUT))?;
    Ok(stream)
}

/// Reads one answer, one with a length, and answers its status.
fn status_of_next(stream: &mut TcpStream) -> Result<u16, Failure> {
    let (mut received, mut buffer) = (Vec::new(), [0; 4 * 1024]);
    loop {
        if let Some((answer, _)) = client::parse(&received)? {
            return Ok(answer.status);
        }
        match stream.read(&mut buffer)? {
            0 => return Err("the server hung up on the flood".into()),
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
}
