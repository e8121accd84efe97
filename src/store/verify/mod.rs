//! Proves that databases hold what the program promises of them: all events in order
//! and without a gap, each job as its events lead to, and no contractor in two places.
//!
//! It reads page by page and changes nothing. In memory it holds a page and, per job,
//! some hundred bytes. Servers may go on meanwhile: a page of jobs says up to which
//! event it was read, and the walk along the events is brought to that very one before
//! the two are compared.

mod history;
mod report;
mod walk;

pub use report::{Check, FAULTS_SHOWN_MAX, Faults, Report};

use self::walk::Walk;
use super::{Counted, PAGE_ROWS_MAX, Store, StoreError};

/// Checks the whole of the databases. An error is that they could not be read; what is
/// wrong in them stands in the report.
pub fn verify(store: &Store) -> Result<Report, StoreError> {
    let mut walk = Walk::begin(store)?;
    let mut last_id = String::new();
    loop {
        let (records, sequence) = store.jobs.job_records(&last_id, PAGE_ROWS_MAX)?;
        walk.catch_up(sequence)?;
        for record in &records {
            walk.compare(record);
        }
        match records.last() {
            Some(last) if records.len() == PAGE_ROWS_MAX => last_id.clone_from(&last.id),
            _ => break,
        }
    }
    walk.look_for_absent_jobs()?;
    walk.look_behind_the_log()?;
    walk.look_past_the_end()?;
    let groups = groups(store, walk.groups_logged)?;
    let assignments = assignments(store, walk.assignments)?;
    let [sequences, payloads, jobs] = walk.checks();
    Ok(Report { checks: vec![sequences, payloads, groups, jobs, assignments] })
}

fn groups(store: &Store, count: u64) -> Result<Check, StoreError> {
    let found = store.log.group_faults(FAULTS_SHOWN_MAX)?;
    let faults = faults(found, |fault| {
        let (sequence, group) = (fault.sequence, &fault.group);
        if fault.is_missing {
            format!("event {sequence} has no row for its group {group}")
        } else {
            format!("a row says that event {sequence} was announced to {group}, and it was not")
        }
    });
    let subject = format!("groups of logged events {count}");
    Ok(Check { subject, claim: "each has its row, and no other is there", faults })
}

fn assignments(store: &Store, count: u64) -> Result<Check, StoreError> {
    let mut overlapping = faults(store.jobs.overlaps(FAULTS_SHOWN_MAX)?, |overlap| {
        let (one, other) = (&overlap.job_id, &overlap.other_job_id);
        format!("contractor {} has jobs {one} and {other} at one time", overlap.contractor_id)
    });
    let stale = faults(store.jobs.stale_assignments(FAULTS_SHOWN_MAX)?, |stale| {
        let (job, contractor) = (&stale.job_id, &stale.contractor_id);
        format!("the assignment of {contractor} to job {job} is not of the job's window and life")
    });
    overlapping.total += stale.total;
    overlapping.shown.extend(stale.shown);
    overlapping.shown.truncate(FAULTS_SHOWN_MAX);
    let subject = format!("assignments {count}");
    Ok(Check { subject, claim: "as their jobs, nobody in two places", faults: overlapping })
}

fn faults<T>(found: Counted<T>, text: impl Fn(&T) -> String) -> Faults {
    Faults { total: found.total, shown: found.shown.iter().map(text).collect() }
}
