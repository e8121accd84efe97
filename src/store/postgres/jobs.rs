//! Reading jobs.

use diesel::PgConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use uuid::Uuid;

use super::rows::{JobRow, contractor_ids};
use super::schema::{job_assignments, jobs};
use crate::jobs::{ContractorId, Job, JobId, Region, Scope, Timestamp, Window};
use crate::store::values::cursor_part;
use crate::store::{JobFilter, PageCursor, StoreError};

/// The job, if it exists within the scope.
pub(super) fn one(
    connection: &mut PgConnection,
    scope: &Scope,
    id: JobId,
) -> Result<Option<Job>, StoreError> {
    let row: Option<(JobRow, Vec<Uuid>)> = jobs::table
        .filter(jobs::id.eq(id.0))
        .filter(in_scope(scope))
        .select((JobRow::as_select(), contractor_ids()))
        .first(connection)
        .optional()?;
    row.map(|(row, contractor_ids)| row.job(contractor_ids)).transpose()
}

/// A page of the jobs within scope and filter, by start, then id, and where the next
/// one begins.
pub(super) fn list(
    connection: &mut PgConnection,
    scope: &Scope,
    filter: &JobFilter,
) -> Result<(Vec<Job>, Option<PageCursor>), StoreError> {
    // One more row than is asked for tells whether there is a next page.
    let mut query = jobs::table
        .filter(in_scope(scope))
        .order((jobs::start_utc, jobs::id))
        .limit(i64::try_from(filter.limit).unwrap_or(i64::MAX).saturating_add(1))
        .select((JobRow::as_select(), contractor_ids()))
        .into_boxed();
    if let Some(region) = &filter.region {
        query = query.filter(jobs::region.eq(region.as_str()));
    }
    if let Some(contractor_id) = filter.contractor_id {
        query = query.filter(assigned_to(contractor_id));
    }
    if let Some(status) = filter.status {
        query = query.filter(jobs::status.eq(status.as_str()));
    }
    if let Some(from) = filter.from {
        // The first line is what is asked. The second one follows from the longest
        // window, and gives the index a lower bound.
        let reach = from.saturating_add_millis(-Window::MILLIS_MAX);
        query = query
            .filter(jobs::end_utc.gt(from.to_utc()))
            .filter(jobs::start_utc.ge(reach.to_utc()));
    }
    if let Some(to) = filter.to {
        query = query.filter(jobs::start_utc.lt(to.to_utc()));
    }
    if let Some(cursor) = &filter.cursor {
        let key: Timestamp = cursor_part(Timestamp::parse(&cursor.key))?;
        let (key, id) = (key.to_utc(), cursor_part(cursor.id.parse::<Uuid>().ok())?);
        // The first line alone is a range of the index.
        query = query
            .filter(jobs::start_utc.ge(key))
            .filter(jobs::start_utc.gt(key).or(jobs::id.gt(id)));
    }
    let rows: Vec<(JobRow, Vec<Uuid>)> = query.load(connection)?;
    let mut jobs = rows
        .into_iter()
        .map(|(row, contractor_ids)| row.job(contractor_ids))
        .collect::<Result<Vec<Job>, StoreError>>()?;
    let has_more = jobs.len() > filter.limit;
    jobs.truncate(filter.limit);
    let cursor =
        |job: &Job| PageCursor { key: job.window.start().to_string(), id: job.id.to_string() };
    let next = if has_more { jobs.last().map(cursor) } else { None };
    Ok((jobs, next))
}

type Condition<'a> =
    Box<dyn BoxableExpression<jobs::table, Pg, SqlType = diesel::sql_types::Bool> + 'a>;

fn in_scope(scope: &Scope) -> Condition<'_> {
    match scope {
        Scope::All => Box::new(true.into_sql::<diesel::sql_types::Bool>()),
        Scope::Only { regions, contractor_id: None } => of_regions(regions),
        Scope::Only { regions, contractor_id: Some(own) } if regions.is_empty() => {
            assigned_to(*own)
        }
        Scope::Only { regions, contractor_id: Some(own) } => {
            Box::new(of_regions(regions).or(assigned_to(*own)))
        }
    }
}

fn of_regions(regions: &[Region]) -> Condition<'_> {
    Box::new(jobs::region.eq_any(regions.iter().map(Region::as_str)))
}

fn assigned_to(contractor_id: ContractorId) -> Condition<'static> {
    Box::new(
        jobs::id.eq_any(
            job_assignments::table
                .filter(job_assignments::contractor_id.eq(contractor_id.0))
                .select(job_assignments::job_id),
        ),
    )
}
