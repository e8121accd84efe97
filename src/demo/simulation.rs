//! Somebody who changes the plan now and then, so that there is something to see.

use std::sync::Arc;
use std::time::Duration;

use super::sample::submit;
use crate::jobs::{CancelJob, Command, Job, JobStatus, RescheduleJob, Scope, Timestamp, Window};
use crate::pipeline::{CommandError, CommandQueue, blocking};
use crate::store::{JobFilter, PAGE_ROWS_MAX, Store};

/// One change in so many is a cancellation.
const CANCEL_EVERY: u32 = 12;

/// How far a job is moved, in minutes.
const MOVES: [i64; 6] = [15, 30, -15, 45, -30, 60];

const MOVE_REASONS: [Option<&str>; 5] = [
    Some("Customer asked for another time"),
    Some("Job before takes longer"),
    None,
    Some("Parts arrive later"),
    Some("Traffic"),
];

const CANCEL_REASONS: [&str; 3] = ["Customer withdrew", "Fixed by phone", "Booked twice"];

/// Changes a job of the coming days, every so often, for as long as the server runs.
pub async fn run(commands: CommandQueue, store: Store, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.tick().await;
    let mut step: u32 = 0;
    loop {
        ticks.tick().await;
        step = step.wrapping_add(1);
        if let Err(error) = change_one(&commands, &store, step).await {
            log::warn!(error:%; "the simulation could not change a job");
        }
    }
}

async fn change_one(commands: &CommandQueue, store: &Store, step: u32) -> Result<(), CommandError> {
    let jobs = Arc::clone(&store.jobs);
    let filter = JobFilter {
        status: Some(JobStatus::Scheduled),
        from: Some(Timestamp::now()),
        limit: PAGE_ROWS_MAX,
        ..JobFilter::default()
    };
    let page = blocking(move || jobs.jobs(&Scope::All, &filter)).await;
    let coming = page.map_err(|error| CommandError::Unavailable(error.to_string()))?.items;
    let Some(job) = pick(&coming, step) else {
        return Ok(());
    };
    let at = step as usize;
    if step.is_multiple_of(CANCEL_EVERY) {
        let reason =
            Some(CANCEL_REASONS[at / CANCEL_EVERY as usize % CANCEL_REASONS.len()].to_owned());
        return submit(commands, Command::CancelJob(CancelJob { job_id: job.id, reason })).await;
    }
    let reason = MOVE_REASONS[at % MOVE_REASONS.len()].map(str::to_owned);
    // A move that would put somebody in two places is refused; another one may fit.
    for turn in 0..MOVES.len() {
        let Some(window) = moved(job.window, MOVES[(at + turn) % MOVES.len()]) else {
            continue;
        };
        let command = Command::RescheduleJob(RescheduleJob {
            job_id: job.id,
            window,
            reason: reason.clone(),
        });
        match submit(commands, command).await {
            Err(CommandError::Refused(_)) => {}
            other => return other,
        }
    }
    Ok(())
}

/// Any of them, another one each time. The step is spread by a large odd factor.
fn pick(jobs: &[Job], step: u32) -> Option<&Job> {
    let spread = step.wrapping_mul(2_654_435_761) as usize;
    jobs.get(spread.checked_rem(jobs.len())?)
}

fn moved(window: Window, minutes: i64) -> Option<Window> {
    let by = |time: Timestamp| time.saturating_add_millis(minutes * 60_000);
    Window::new(by(window.start()), by(window.end())).ok()
}
