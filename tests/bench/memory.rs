//! What does a connection cost that has joined its group and hears nothing?

use std::thread;
use std::time::{Duration, Instant};

use crate::report::{Goals, Table, fixed, grouped};
use crate::server::{Cores, Server};
use crate::{Failure, Plan, process, site, socket};

const REGION: &str = "north";

/// The goal of the server's memory per connection.
const GOAL_KIB: f64 = 14.0;

/// How far apart two readings are that have to be equal.
const READING_INTERVAL: Duration = Duration::from_millis(500);

/// How long the server's memory may take to settle.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the bench.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    // The server needs two descriptors for each.
    process::require_descriptors(2 * plan.idle_connections + 200)?;
    let server = Server::start(Cores::All)?;
    let token = site::token("dispatcher", REGION)?;
    let join = || socket::join(server.address(), &token, REGION);
    // The code and the tables that the first connection brings into memory are the
    // server's own, however many connections follow.
    let _first = join()?;
    let before = settled_resident_bytes(&server)?;
    let connections: Vec<_> =
        (0..plan.idle_connections).map(|_| join()).collect::<Result<_, _>>()?;
    let after = settled_resident_bytes(&server)?;

    let growth_kib = after.saturating_sub(before) as f64 / 1024.0 / connections.len() as f64;
    let mut table = Table::new(&["connections", "before, MiB", "after, MiB", "KiB/connection"]);
    let mib = |bytes: u64| fixed(bytes as f64 / 1024.0 / 1024.0, 1);
    let count = grouped(connections.len() as f64);
    table.row(vec![count, mib(before), mib(after), fixed(growth_kib, 1)]);
    table.print("Memory: idle connections");
    let mut goals = Goals::new();
    goals.at_most("an idle connection", GOAL_KIB, growth_kib, " KiB");
    goals.print("Memory: goals");
    Ok(())
}

/// The server's memory once two readings in a row are equal.
fn settled_resident_bytes(server: &Server) -> Result<u64, Failure> {
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    let mut last = process::resident_bytes(server.pid())?;
    while Instant::now() < deadline {
        thread::sleep(READING_INTERVAL);
        let reading = process::resident_bytes(server.pid())?;
        if reading == last {
            return Ok(reading);
        }
        last = reading;
    }
    Err("the server's memory does not settle".into())
}
