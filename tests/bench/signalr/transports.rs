//! What does a message to all cost on each transport and in each protocol?
//!
//! On the library's test server, built with optimisation but not as one unit: the
//! figures are for comparing the pairs with each other and with the floor of the same
//! round, not with those of the product. The floor is a bare `write()` per connection,
//! also for long polling, where a delivery is an answer and a request as well.

use std::time::{Duration, Instant};

use super::crowd::Crowd;
use super::listener::Pair;
use super::test_server::TestServer;
use crate::audience::{Arrival, Audience};
use crate::client::ANSWER_TIMEOUT;
use crate::floor::Floor;
use crate::report::{Latencies, Table, fixed, grouped, median, range};
use crate::server::Cores;
use crate::{Failure, Plan, process};

/// Makes messages of about 400 bytes, as events are.
const TEXT_BYTES: usize = 340;

/// Messages that wait for every connection at once: less than a connection may keep waiting.
const BURST: u64 = 1_000;

/// Runs the bench.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    process::on_generator_core(|| measure(plan))
}

fn measure(plan: &Plan) -> Result<(), Failure> {
    let connections = plan.busy_audience;
    process::require_descriptors(4 * connections + 200)?;
    let mut table = Table::new(&[
        "transport, protocol",
        "server, µs/delivery",
        "floor, µs/write",
        "× floor",
        "by round",
        "to receipt: p50, ms",
        "p99",
        "waiting: deliveries/s",
    ]);
    let mut floor = Floor::start()?;
    // A frame as long as a message; what is in it does not matter.
    floor.set_frame(&[&[0x81, 126, 1, 144][..], &[b'x'; 400]].concat())?;
    let mut floor_audience = Audience::new(0)?;
    floor_audience.grow(connections, || floor.join())?;
    for pair in Pair::ALL {
        let mut server = TestServer::start(Cores::MeasuredOnly)?;
        let mut crowd = Crowd::gather(&server, pair, connections)?;
        let mut latencies = Latencies::default();
        paced(&mut server, &mut crowd, plan.warm_up, &mut Latencies::default())?;
        let (mut costs, mut writes, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            let cost = paced(&mut server, &mut crowd, plan.round, &mut latencies)?;
            let write = floor_round(&mut floor, &mut floor_audience, plan.round)?;
            ratios.push(cost / write);
            costs.push(cost);
            writes.push(write);
        }
        let rate = burst(&mut server, &mut crowd, plan.rounds)?;
        let [p50, p99] = latencies.p50_and_p99();
        table.row(vec![
            pair.name().to_owned(),
            fixed(median(&costs), 2),
            fixed(median(&writes), 2),
            fixed(median(&ratios), 2),
            range(&ratios),
            p50,
            p99,
            grouped(rate),
        ]);
    }
    let title =
        format!("Transports: one message at a time to {} connections", grouped(connections as f64));
    table.print(&title);
    Ok(())
}

/// Messages one at a time; answers the server's CPU time per delivery in microseconds.
fn paced(
    server: &mut TestServer,
    crowd: &mut Crowd,
    duration: Duration,
    latencies: &mut Latencies,
) -> Result<f64, Failure> {
    let before = process::cpu_time(server.pid())?;
    let (start, mut messages) = (Instant::now(), 0_u32);
    while start.elapsed() < duration {
        let from = Instant::now();
        server.begin_broadcast(1, TEXT_BYTES)?;
        crowd.await_messages(1, from, latencies)?;
        server.end_broadcast()?;
        messages += 1;
    }
    let used = process::cpu_time(server.pid())? - before;
    Ok(used.as_secs_f64() * 1e6 / f64::from(messages) / crowd.len() as f64)
}

fn floor_round(
    floor: &mut Floor,
    audience: &mut Audience,
    duration: Duration,
) -> Result<f64, Failure> {
    let before = process::cpu_time(floor.pid())?;
    let (start, mut writes) = (Instant::now(), 0_u64);
    while start.elapsed() < duration {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let (mut received, everybody) = (0, audience.len() as u64);
        floor.trigger()?;
        while received < everybody {
            audience.poll(deadline, |arrival, _| {
                if let Arrival::Events(count) = arrival {
                    received += count;
                }
                Ok(())
            })?;
        }
        writes += everybody;
    }
    let used = process::cpu_time(floor.pid())? - before;
    audience.end_round(writes / audience.len() as u64)?;
    Ok(used.as_secs_f64() * 1e6 / writes as f64)
}

/// Many messages at once; answers the deliveries per second, of the middle round.
fn burst(server: &mut TestServer, crowd: &mut Crowd, rounds: usize) -> Result<f64, Failure> {
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let from = Instant::now();
        server.begin_broadcast(BURST, TEXT_BYTES)?;
        crowd.await_messages(BURST, from, &mut Latencies::default())?;
        rates.push((BURST * crowd.len() as u64) as f64 / from.elapsed().as_secs_f64());
        server.end_broadcast()?;
    }
    Ok(median(&rates))
}
