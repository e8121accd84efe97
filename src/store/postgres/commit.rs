//! The statements of a batch: a fixed number of round trips, however many commands it has.

use std::collections::HashMap;

use diesel::prelude::*;
use uuid::Uuid;

use super::connection::TransactionId;
use super::rows::{BusyRow, ContractorRow, JobRow, ReceiptRow};
use super::statements::{
    AssignmentsOf, BusyWindows, ContractorsById, DeleteAssignments, InsertAssignments,
    InsertContractors, InsertJobs, InsertOutbox, InsertReceipts, LockContractors, LockJobs,
    ReceiptsByKey, TakeSequences, UpdateJobs,
};
use crate::jobs::{
    BusyWindow, CommittedEvent, Contractor, ContractorId, Job, JobChange, JobId, Sequence,
    StoredReceipt, Timestamp, Window,
};
use crate::store::values::{number, stored_sequence, to_json};
use crate::store::{CommitTransaction, IDEMPOTENCY_KEY_LIFETIME_MILLIS, StoreError, StoredAnswer};

/// An open transaction. What it decides on stays locked to its end.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a mut PgConnection,
    /// Known once sequences were taken.
    pub(super) id: Option<TransactionId>,
}

impl CommitTransaction for Transaction<'_> {
    fn load_jobs(&mut self, ids: &[JobId]) -> Result<Vec<Job>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows: Vec<JobRow> = LockJobs { ids: ids.clone() }.load(self.connection)?;
        let assigned: Vec<(Uuid, Uuid)> = AssignmentsOf { job_ids: ids }.load(self.connection)?;
        let mut contractor_ids: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
        for (job_id, contractor_id) in assigned {
            contractor_ids.entry(job_id).or_default().push(contractor_id);
        }
        rows.into_iter()
            .map(|row| {
                let contractor_ids = contractor_ids.remove(&row.id).unwrap_or_default();
                row.job(contractor_ids)
            })
            .collect()
    }

    fn load_contractors(&mut self, ids: &[ContractorId]) -> Result<Vec<Contractor>, StoreError> {
        let ids = ids.iter().map(|id| id.0).collect();
        let rows: Vec<ContractorRow> = ContractorsById { ids }.load(self.connection)?;
        rows.into_iter().map(ContractorRow::contractor).collect()
    }

    fn load_receipts(
        &mut self,
        keys: &[(String, String)],
        not_before: Timestamp,
    ) -> Result<Vec<StoredReceipt>, StoreError> {
        let (subjects, keys) = keys.iter().cloned().unzip();
        let receipts = ReceiptsByKey { subjects, keys, not_before: not_before.to_utc() };
        let rows: Vec<ReceiptRow> = receipts.load(self.connection)?;
        rows.into_iter().map(ReceiptRow::stored_receipt).collect()
    }

    /// Locks the contractors first: who asks on another node waits here, and then sees
    /// what was planned meanwhile.
    fn load_busy(
        &mut self,
        queries: &[(ContractorId, Window)],
    ) -> Result<Vec<BusyWindow>, StoreError> {
        let contractor_ids: Vec<Uuid> = queries.iter().map(|(id, _)| id.0).collect();
        LockContractors { ids: contractor_ids.clone() }.execute(self.connection)?;
        let windows = || queries.iter().map(|(_, window)| window);
        let busy = BusyWindows {
            contractor_ids,
            starts: windows().map(|window| window.start().to_utc()).collect(),
            ends: windows().map(|window| window.end().to_utc()).collect(),
            // What starts earlier than the longest window before another is over by then.
            reaches: windows()
                .map(|window| window.start().saturating_add_millis(-Window::MILLIS_MAX).to_utc())
                .collect(),
        };
        let rows: Vec<BusyRow> = busy.load(self.connection)?;
        rows.into_iter().map(BusyRow::busy_window).collect()
    }

    fn write_jobs(&mut self, changes: &[JobChange<'_>]) -> Result<(), StoreError> {
        let (new, changed): (Vec<_>, Vec<_>) =
            changes.iter().partition(|change| change.loaded_version.is_none());
        if !new.is_empty() {
            insert_jobs(self.connection, &new)?;
        }
        if !changed.is_empty() {
            update_jobs(self.connection, &changed)?;
        }
        replace_assignments(self.connection, changes)
    }

    fn write_contractors(&mut self, contractors: &[&Contractor]) -> Result<(), StoreError> {
        let all = contractors.iter();
        InsertContractors {
            ids: all.clone().map(|one| one.id.0).collect(),
            names: all.clone().map(|one| one.name.clone()).collect(),
            regions: all.clone().map(|one| one.region.to_string()).collect(),
            timezones: all.clone().map(|one| one.timezone.clone()).collect(),
            created: all.map(|one| one.created_at.to_utc()).collect(),
        }
        .execute(self.connection)?;
        Ok(())
    }

    fn take_sequences(&mut self, count: u64) -> Result<Sequence, StoreError> {
        let take = TakeSequences { count: stored_sequence(count) };
        let (last, id): (i64, i64) = take.get_result(self.connection)?;
        self.id = Some(id);
        let last: Sequence = number("event_sequence.last", last)?;
        Ok(last + 1 - count)
    }

    fn write_outbox(&mut self, events: &[CommittedEvent]) -> Result<(), StoreError> {
        let all = events.iter();
        InsertOutbox {
            created_at: Timestamp::now().to_utc(),
            sequences: all.clone().map(|event| stored_sequence(event.sequence)).collect(),
            event_ids: all.clone().map(|event| event.event_id.0).collect(),
            event_types: all.clone().map(|event| event.event_type.as_str()).collect(),
            schema_versions: all.clone().map(|event| i64::from(event.schema_version)).collect(),
            job_ids: all.clone().map(|event| event.job_id.0).collect(),
            regions: all.clone().map(|event| event.region.to_string()).collect(),
            payloads: all.clone().map(|event| event.payload.to_string()).collect(),
            groups: all.clone().map(|event| to_json(&event.groups)).collect::<Result<_, _>>()?,
            actor_ids: all.clone().map(|event| event.actor_id.clone()).collect(),
            correlation_ids: all.clone().map(|event| event.correlation_id.clone()).collect(),
            occurred: all.clone().map(|event| event.occurred_at.to_utc()).collect(),
            traces: all.map(|event| event.trace.map(|trace| trace.to_string())).collect(),
        }
        .execute(self.connection)?;
        Ok(())
    }

    fn write_receipts(
        &mut self,
        answers: &[StoredAnswer<'_>],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let all = answers.iter();
        let kept = InsertReceipts {
            created_at: now.to_utc(),
            subjects: all.clone().map(|answer| answer.subject.to_owned()).collect(),
            keys: all.clone().map(|answer| answer.key.to_owned()).collect(),
            digests: all.clone().map(|answer| answer.digest.to_vec()).collect(),
            receipts: all.map(|answer| to_json(answer.receipt)).collect::<Result<_, _>>()?,
            not_before: now.saturating_add_millis(-IDEMPOTENCY_KEY_LIFETIME_MILLIS).to_utc(),
        }
        .execute(self.connection)?;
        if kept == answers.len() {
            Ok(())
        } else {
            // Another node has just carried the same request out.
            Err(StoreError::Contended("an idempotency key was used meanwhile".to_owned()))
        }
    }
}

fn insert_jobs(
    connection: &mut PgConnection,
    changes: &[&JobChange<'_>],
) -> Result<(), StoreError> {
    let all = changes.iter().map(|change| change.job);
    InsertJobs {
        ids: all.clone().map(|job| job.id.0).collect(),
        titles: all.clone().map(|job| job.title.clone()).collect(),
        customers: all.clone().map(|job| job.customer.clone()).collect(),
        addresses: all.clone().map(|job| job.address.clone()).collect(),
        regions: all.clone().map(|job| job.region.to_string()).collect(),
        timezones: all.clone().map(|job| job.timezone.clone()).collect(),
        starts: all.clone().map(|job| job.window.start().to_utc()).collect(),
        ends: all.clone().map(|job| job.window.end().to_utc()).collect(),
        statuses: all.clone().map(|job| job.status.as_str()).collect(),
        reasons: all.clone().map(|job| job.cancellation_reason.clone()).collect(),
        versions: all.clone().map(|job| i64::from(job.version)).collect(),
        created: all.clone().map(|job| job.created_at.to_utc()).collect(),
        updated: all.map(|job| job.updated_at.to_utc()).collect(),
    }
    .execute(connection)?;
    Ok(())
}

fn update_jobs(
    connection: &mut PgConnection,
    changes: &[&JobChange<'_>],
) -> Result<(), StoreError> {
    let all = changes.iter().map(|change| change.job);
    let loaded_versions = changes.iter().filter_map(|change| change.loaded_version);
    let rows = UpdateJobs {
        ids: all.clone().map(|job| job.id.0).collect(),
        starts: all.clone().map(|job| job.window.start().to_utc()).collect(),
        ends: all.clone().map(|job| job.window.end().to_utc()).collect(),
        statuses: all.clone().map(|job| job.status.as_str()).collect(),
        reasons: all.clone().map(|job| job.cancellation_reason.clone()).collect(),
        versions: all.clone().map(|job| i64::from(job.version)).collect(),
        updated: all.clone().map(|job| job.updated_at.to_utc()).collect(),
        loaded_versions: loaded_versions.map(i64::from).collect(),
        are_live: all.map(|job| job.status.is_live()).collect(),
        keep_contractors: changes.iter().map(|change| !change.contractors_replaced).collect(),
    }
    .execute(connection)?;
    if rows == changes.len() {
        Ok(())
    } else {
        // The rows are locked, so only a hand that knows of no locks can have done this.
        let text = format!("{} of {} jobs changed meanwhile", changes.len() - rows, changes.len());
        Err(StoreError::Contended(text))
    }
}

fn replace_assignments(
    connection: &mut PgConnection,
    changes: &[JobChange<'_>],
) -> Result<(), StoreError> {
    let replaced = changes.iter().filter(|change| change.contractors_replaced);
    let former = replaced.clone().filter(|change| change.loaded_version.is_some());
    let job_ids: Vec<Uuid> = former.map(|change| change.job.id.0).collect();
    if !job_ids.is_empty() {
        DeleteAssignments { job_ids }.execute(connection)?;
    }
    let placed: Vec<(&Job, i32, ContractorId)> = replaced
        .flat_map(|change| {
            let places = (0_i32..).zip(&change.job.contractor_ids);
            places.map(|(position, id)| (change.job, position, *id))
        })
        .collect();
    if placed.is_empty() {
        return Ok(());
    }
    let all = placed.iter();
    InsertAssignments {
        job_ids: all.clone().map(|(job, ..)| job.id.0).collect(),
        contractor_ids: all.clone().map(|(_, _, id)| id.0).collect(),
        positions: all.clone().map(|(_, position, _)| *position).collect(),
        starts: all.clone().map(|(job, ..)| job.window.start().to_utc()).collect(),
        ends: all.clone().map(|(job, ..)| job.window.end().to_utc()).collect(),
        are_live: all.map(|(job, ..)| job.status.is_live()).collect(),
    }
    .execute(connection)?;
    Ok(())
}
