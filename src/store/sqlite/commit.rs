//! The statements of a batch. What a batch needs is loaded by one statement per
//! table, however many commands it has; rows are written one by one by statements that
//! stay prepared, which inside SQLite is faster than one large statement.
//!
//! No trigger looks for overlaps once more. A batch may move one job away and another
//! one in, or let two change places; its rows are written in the order of their ids,
//! and SQLite cannot put a trigger off until they are all there.

use diesel::SqliteConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::rows::{BusyRow, ContractorRow, JobRow, ReceiptRow};
use super::schema::{contractors, idempotency_keys, job_assignments, jobs, outbox};
use super::statements::{
    BusyWindows, JobsById, ReceiptsByKey, TakeSequences, UpdateAssignments, UpdateJob,
};
use crate::jobs::{
    BusyWindow, CommittedEvent, Contractor, ContractorId, Job, JobChange, JobId, Sequence,
    StoredReceipt, Timestamp, Window,
};
use crate::store::values::{number, stored_sequence, to_json};
use crate::store::{CommitTransaction, StoreError, StoredAnswer};

/// An open transaction that holds the right to write.
pub(super) struct Transaction<'a>(pub(super) &'a mut SqliteConnection);

impl CommitTransaction for Transaction<'_> {
    fn load_jobs(&mut self, ids: &[JobId]) -> Result<Vec<Job>, StoreError> {
        let rows: Vec<(JobRow, String)> = JobsById { ids: to_json(&ids)? }.load(self.0)?;
        rows.into_iter().map(|(row, contractor_ids)| row.job(contractor_ids)).collect()
    }

    fn load_contractors(&mut self, ids: &[ContractorId]) -> Result<Vec<Contractor>, StoreError> {
        let wanted = sql::<Bool>("contractors.id IN (SELECT value FROM json_each(")
            .bind::<Text, _>(to_json(&ids)?)
            .sql("))");
        let rows: Vec<ContractorRow> =
            contractors::table.filter(wanted).select(ContractorRow::as_select()).load(self.0)?;
        rows.into_iter().map(ContractorRow::contractor).collect()
    }

    fn load_receipts(
        &mut self,
        keys: &[(String, String)],
        not_before: Timestamp,
    ) -> Result<Vec<StoredReceipt>, StoreError> {
        let receipts = ReceiptsByKey { keys: to_json(&keys)?, not_before: not_before.to_string() };
        let rows: Vec<ReceiptRow> = receipts.load(self.0)?;
        rows.into_iter().map(ReceiptRow::stored_receipt).collect()
    }

    fn load_busy(
        &mut self,
        queries: &[(ContractorId, Window)],
    ) -> Result<Vec<BusyWindow>, StoreError> {
        let wanted: Vec<_> = queries
            .iter()
            .map(|(contractor_id, window)| {
                // What starts earlier than the longest window before another is over by then.
                let reach = window.start().saturating_add_millis(-Window::MILLIS_MAX);
                (contractor_id, window.start(), window.end(), reach)
            })
            .collect();
        let rows: Vec<BusyRow> = BusyWindows { wanted: to_json(&wanted)? }.load(self.0)?;
        rows.into_iter().map(BusyRow::busy_window).collect()
    }

    fn write_jobs(&mut self, changes: &[JobChange<'_>]) -> Result<(), StoreError> {
        for change in changes {
            match change.loaded_version {
                None => insert_job(self.0, change.job)?,
                Some(loaded) => update_job(self.0, change.job, i64::from(loaded))?,
            }
            if change.contractors_replaced {
                replace_assignments(self.0, change)?;
            } else {
                move_assignments(self.0, change.job)?;
            }
        }
        Ok(())
    }

    fn write_contractors(&mut self, contractors: &[&Contractor]) -> Result<(), StoreError> {
        for contractor in contractors {
            diesel::insert_into(contractors::table)
                .values((
                    contractors::id.eq(contractor.id.to_string()),
                    contractors::name.eq(&contractor.name),
                    contractors::region.eq(contractor.region.as_str()),
                    contractors::timezone.eq(&contractor.timezone),
                    contractors::created_at.eq(contractor.created_at.to_string()),
                ))
                .execute(self.0)?;
        }
        Ok(())
    }

    fn take_sequences(&mut self, count: u64) -> Result<Sequence, StoreError> {
        let last: i64 = TakeSequences { count: stored_sequence(count) }.get_result(self.0)?;
        let last: Sequence = number("event_sequence.last", last)?;
        Ok(last + 1 - count)
    }

    fn write_outbox(&mut self, events: &[CommittedEvent]) -> Result<(), StoreError> {
        let created_at = Timestamp::now().to_string();
        for event in events {
            diesel::insert_into(outbox::table)
                .values((
                    outbox::sequence.eq(stored_sequence(event.sequence)),
                    outbox::event_id.eq(event.event_id.to_string()),
                    outbox::event_type.eq(event.event_type.as_str()),
                    outbox::schema_version.eq(i64::from(event.schema_version)),
                    outbox::job_id.eq(event.job_id.to_string()),
                    outbox::region.eq(event.region.as_str()),
                    outbox::payload.eq(&*event.payload),
                    outbox::published_to.eq(to_json(&event.groups)?),
                    outbox::actor_id.eq(&event.actor_id),
                    outbox::correlation_id.eq(&event.correlation_id),
                    outbox::occurred_at.eq(event.occurred_at.to_string()),
                    outbox::created_at.eq(&created_at),
                    outbox::traceparent.eq(event.trace.map(|trace| trace.to_string())),
                ))
                .execute(self.0)?;
        }
        Ok(())
    }

    fn write_receipts(
        &mut self,
        answers: &[StoredAnswer<'_>],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let created_at = now.to_string();
        for answer in answers {
            // Whatever is under this key was not loaded, so it has outlived its time.
            diesel::replace_into(idempotency_keys::table)
                .values((
                    idempotency_keys::subject.eq(answer.subject),
                    idempotency_keys::key.eq(answer.key),
                    idempotency_keys::digest.eq(answer.digest.as_slice()),
                    idempotency_keys::receipt.eq(to_json(answer.receipt)?),
                    idempotency_keys::created_at.eq(&created_at),
                ))
                .execute(self.0)?;
        }
        Ok(())
    }
}

fn insert_job(connection: &mut SqliteConnection, job: &Job) -> Result<(), StoreError> {
    diesel::insert_into(jobs::table)
        .values((
            jobs::id.eq(job.id.to_string()),
            jobs::title.eq(&job.title),
            jobs::customer.eq(&job.customer),
            jobs::address.eq(&job.address),
            jobs::region.eq(job.region.as_str()),
            jobs::timezone.eq(&job.timezone),
            jobs::start_utc.eq(job.window.start().to_string()),
            jobs::end_utc.eq(job.window.end().to_string()),
            jobs::status.eq(job.status.as_str()),
            jobs::cancellation_reason.eq(job.cancellation_reason.as_deref()),
            jobs::version.eq(i64::from(job.version)),
            jobs::created_at.eq(job.created_at.to_string()),
            jobs::updated_at.eq(job.updated_at.to_string()),
        ))
        .execute(connection)?;
    Ok(())
}

/// Writes what commands can change of a job that has the loaded version still.
fn update_job(
    connection: &mut SqliteConnection,
    job: &Job,
    loaded_version: i64,
) -> Result<(), StoreError> {
    let update = UpdateJob {
        start_utc: job.window.start().to_string(),
        end_utc: job.window.end().to_string(),
        status: job.status.as_str(),
        cancellation_reason: job.cancellation_reason.clone(),
        version: i64::from(job.version),
        updated_at: job.updated_at.to_string(),
        id: job.id.to_string(),
        loaded_version,
    };
    let rows = update.execute(connection)?;
    if rows == 1 {
        Ok(())
    } else {
        // Nothing was written, and the commands can be decided again on the job as it is.
        let text = format!("job {} is no longer at version {loaded_version}", job.id);
        Err(StoreError::Unavailable(text))
    }
}

fn replace_assignments(
    connection: &mut SqliteConnection,
    change: &JobChange<'_>,
) -> Result<(), StoreError> {
    let job = change.job;
    let job_id = job.id.to_string();
    if change.loaded_version.is_some() {
        diesel::delete(job_assignments::table.filter(job_assignments::job_id.eq(&job_id)))
            .execute(connection)?;
    }
    let (start, end) = (job.window.start().to_string(), job.window.end().to_string());
    for (position, contractor_id) in (0_i32..).zip(&job.contractor_ids) {
        diesel::insert_into(job_assignments::table)
            .values((
                job_assignments::job_id.eq(&job_id),
                job_assignments::contractor_id.eq(contractor_id.to_string()),
                job_assignments::position.eq(position),
                job_assignments::start_utc.eq(&start),
                job_assignments::end_utc.eq(&end),
                job_assignments::is_live.eq(job.status.is_live()),
            ))
            .execute(connection)?;
    }
    Ok(())
}

/// Copies window and life to the assignments, whose contractors stay.
fn move_assignments(connection: &mut SqliteConnection, job: &Job) -> Result<(), StoreError> {
    if job.contractor_ids.is_empty() {
        return Ok(());
    }
    let update = UpdateAssignments {
        start_utc: job.window.start().to_string(),
        end_utc: job.window.end().to_string(),
        is_live: job.status.is_live(),
        job_id: job.id.to_string(),
    };
    update.execute(connection)?;
    Ok(())
}
