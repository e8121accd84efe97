//! Commands at a fixed rate, whatever the answers do: an open loop. Each has its time by
//! the clock, and its latency counts from there, so that a server that stands still is
//! not asked less, and does not look better for it.

use std::thread;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::rescheduler::Rescheduler;

/// A command that was answered.
pub struct Sent {
    /// Of its event; none was refused, with nothing changed.
    pub sequence: Option<u64>,
    /// When it was to be sent.
    pub due_at: Instant,
    pub answered_at: Instant,
}

/// Has all of them take turns at sending so many commands a second, each on a thread of
/// its own. Answers those that were due after the warm-up.
pub fn run(
    reschedulers: &mut [Rescheduler],
    rate: u32,
    warm_up: Duration,
    duration: Duration,
) -> Result<Vec<Sent>, Failure> {
    for rescheduler in reschedulers.iter_mut() {
        rescheduler.reconnect()?;
    }
    let interval = Duration::from_secs(1) / rate;
    let turn = interval * u32::try_from(reschedulers.len())?;
    let start = Instant::now() + turn;
    let counts_from = start + warm_up;
    let until = counts_from + duration;
    let client = |rescheduler: &mut Rescheduler, first: Instant| -> Result<Vec<Sent>, Failure> {
        let (mut all, mut due_at) = (Vec::new(), first);
        while due_at < until {
            thread::sleep(due_at.saturating_duration_since(Instant::now()));
            let is_done = rescheduler.try_reschedule()?;
            let answered_at = Instant::now();
            if due_at >= counts_from {
                let sequence = is_done.then(|| rescheduler.last_sequence());
                all.push(Sent { sequence, due_at, answered_at });
            }
            due_at += turn;
        }
        Ok(all)
    };
    thread::scope(|scope| {
        let first = (0..).map(|number| start + interval * number);
        let clients: Vec<_> = reschedulers
            .iter_mut()
            .zip(first)
            .map(|(rescheduler, first)| scope.spawn(move || client(rescheduler, first)))
            .collect();
        let mut all = Vec::new();
        for client in clients {
            all.append(&mut client.join().unwrap_or_else(|_| Err("a client panicked".into()))?);
        }
        Ok(all)
    })
}
