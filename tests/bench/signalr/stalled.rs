//! What do clients cost that never read, and do they harm those who do?

use std::time::Instant;

use super::crowd::Crowd;
use super::listener::{Listener, Pair};
use super::test_server::TestServer;
use crate::report::{Latencies, Table, fixed};
use crate::server::Cores;
use crate::{Failure, Plan, process};

const STALLED: usize = 100;

const HEALTHY: usize = 10;

/// A message's text. Messages come in groups, each when the healthy have the last one.
const TEXT_BYTES: usize = 4 * 1024;
const GROUP: u64 = 16;

/// What is sent to everybody, in all.
const TOTAL_BYTES: usize = 50 * 1024 * 1024;

/// What the server may keep waiting for one connection, by its default.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Runs the bench: for each transport with clients that never read and without, in turns.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "100 clients that never read",
        "before, MiB",
        "peak, MiB",
        "after, MiB",
        "bound of the growth, MiB",
        "cut off",
        "healthy: p50, ms",
        "p99",
        "without the others: p50, ms",
        "p99",
    ]);
    let total_bytes = if plan.rounds < 3 { TOTAL_BYTES / 10 } else { TOTAL_BYTES };
    for pair in Pair::ALL {
        let mut alone = measure(None, total_bytes)?;
        let mut beside = measure(Some(pair), total_bytes)?;
        let mib = |bytes: u64| fixed(bytes as f64 / 1024.0 / 1024.0, 1);
        let bound = (STALLED * OUTPUT_BYTES_MAX) as u64;
        let mut cells = vec![
            pair.name().to_owned(),
            mib(beside.before),
            mib(beside.peak),
            mib(beside.after),
            mib(bound),
            format!("{} of {STALLED}", beside.cut_off),
        ];
        cells.extend(beside.latencies.p50_and_p99());
        cells.extend(alone.latencies.p50_and_p99());
        table.row(cells);
    }
    let mib = total_bytes / 1024 / 1024;
    table.print(&format!(
        "Stalled clients: {mib} MiB to everybody, {HEALTHY} healthy ones beside them"
    ));
    Ok(())
}

struct Outcome {
    before: u64,
    peak: u64,
    after: u64,
    cut_off: usize,
    latencies: Latencies,
}

fn measure(stalled: Option<Pair>, total_bytes: usize) -> Result<Outcome, Failure> {
    let mut server = TestServer::start(Cores::All)?;
    let mut healthy = Crowd::gather(&server, Pair::WebSocketsJson, HEALTHY)?;
    let mut never_read = Vec::new();
    for pair in stalled.into_iter().cycle().take(if stalled.is_some() { STALLED } else { 0 }) {
        never_read.push(Listener::open(&server, pair)?);
    }
    let before = process::resident_bytes(server.pid())?;
    let (mut peak, mut latencies) = (before, Latencies::default());
    for _ in 0..total_bytes / TEXT_BYTES / usize::try_from(GROUP)? {
        let from = Instant::now();
        server.begin_broadcast(GROUP, TEXT_BYTES)?;
        healthy.await_messages(GROUP, from, &mut latencies)?;
        server.end_broadcast()?;
        peak = peak.max(process::resident_bytes(server.pid())?);
    }
    let left = server.connections()?.saturating_sub(HEALTHY);
    let after = process::resident_bytes(server.pid())?;
    Ok(Outcome {
        before,
        peak,
        after,
        cut_off: never_read.len() - left.min(never_read.len()),
        latencies,
    })
}
