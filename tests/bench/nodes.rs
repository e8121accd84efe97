//! How long after a command's answer does a client have its event that is on another
//! node?
//!
//! Commands come at a fixed rate to one node, and one client listens over a WebSocket: on
//! the same node, on another one that hears of events by Redis, and on another one that
//! has the database alone. The event is often there before the answer is, which counts
//! as 0; so the time since the command was due is told as well.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::cluster::{Cluster, Redis};
use crate::paced::{self, Sent};
use crate::report::{Latencies, Table, grouped};
use crate::rescheduler::Rescheduler;
use crate::server::{Places, Server};
use crate::{Failure, Plan, site, socket};

const REGION: &str = "north";

/// Commands a second: far less than what a node takes.
const RATE: u32 = 200;

/// Who take turns at sending them.
const CLIENTS: usize = 16;

/// Nodes, and what was seen on them.
struct Side {
    name: &'static str,
    /// The first one takes commands, on the last one listens the client.
    nodes: Vec<Server>,
    reschedulers: Vec<Rescheduler>,
    events: usize,
    refused: usize,
    from_answer: Latencies,
    from_due: Latencies,
    answers: Latencies,
}

/// Runs the bench.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    let (cluster, redis) = (Cluster::start()?, Redis::start()?);
    let mut sides = [
        Side::start("one node", &cluster, "one", 1, None)?,
        Side::start("two nodes, Redis", &cluster, "two_redis", 2, Some(redis.url()))?,
        Side::start("two nodes, the database alone", &cluster, "two", 2, None)?,
    ];
    for _ in 0..plan.rounds {
        for side in &mut sides {
            side.round(plan).map_err(|failure| format!("{}: {failure}", side.name))?;
        }
    }
    let mut table = Table::new(&[
        "the client is on",
        "events",
        "refused",
        "answer to receipt: p50, ms",
        "p99",
        "due to receipt: p50, ms",
        "p99",
        "due to answer: p50, ms",
        "p99",
    ]);
    for mut side in sides {
        let mut cells = vec![side.name.to_owned(), grouped(side.events as f64)];
        cells.push(side.refused.to_string());
        for latencies in [&mut side.from_answer, &mut side.from_due, &mut side.answers] {
            cells.extend(latencies.p50_and_p99());
        }
        table.row(cells);
    }
    table.print(&format!("Nodes: from one to the other, {RATE} commands/s, PostgreSQL"));
    Ok(())
}

impl Side {
    fn start(
        name: &'static str,
        cluster: &Cluster,
        database: &str,
        nodes: usize,
        redis: Option<String>,
    ) -> Result<Self, Failure> {
        let jobs = cluster.create(database, "template0")?;
        let places = Places { jobs, log: None, redis };
        let nodes: Vec<Server> =
            (0..nodes).map(|_| Server::start_on(&places)).collect::<Result<_, _>>()?;
        let token = site::token("dispatcher", REGION)?;
        let address = nodes[0].address();
        let reschedulers = site::make_jobs(address, REGION, CLIENTS)?
            .iter()
            .map(|job| Rescheduler::open(address, &token, job))
            .collect::<Result<_, _>>()?;
        for node in &nodes {
            node.await_all_up()?;
        }
        Ok(Self {
            name,
            nodes,
            reschedulers,
            events: 0,
            refused: 0,
            from_answer: Latencies::default(),
            from_due: Latencies::default(),
            answers: Latencies::default(),
        })
    }

    fn round(&mut self, plan: &Plan) -> Result<(), Failure> {
        let listening_at = self.nodes.last().ok_or("no node")?.address();
        let token = site::token("dispatcher", REGION)?;
        let stream = socket::join(listening_at, &token, REGION)?;
        let (last, reschedulers) = (AtomicU64::new(0), &mut self.reschedulers);
        let (sent, arrivals) = thread::scope(|scope| {
            let listener = scope.spawn(|| socket::note_arrivals(stream, &last));
            let sent = paced::run(reschedulers, RATE, plan.warm_up, plan.paced_round);
            // Without any the listener gives up at an event that never comes.
            let highest = |sent: &Vec<Sent>| sent.iter().filter_map(|one| one.sequence).max();
            let highest = sent.as_ref().ok().and_then(highest).unwrap_or(u64::MAX);
            last.store(highest, Ordering::Release);
            (sent, listener.join().unwrap_or_else(|_| Err("the listener panicked".into())))
        });
        let (sent, arrivals) = (sent?, arrivals?);
        for one in &sent {
            let Some(sequence) = one.sequence else {
                self.refused += 1;
                continue;
            };
            let at = arrivals.get(&sequence);
            let at = *at.ok_or_else(|| format!("the event {sequence} did not come"))?;
            self.events += 1;
            self.from_answer.add(at.saturating_duration_since(one.answered_at));
            self.from_due.add(at.saturating_duration_since(one.due_at));
            self.answers.add(one.answered_at - one.due_at);
        }
        Ok(())
    }
}
