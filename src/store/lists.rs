//! Reading jobs and contractors, one by one and in pages: the same on every database,
//! but for the types that ids and times have there.

/// Makes the functions for a backend, from what its `rows` and `schema` declare.
macro_rules! lists {
    ($backend:ident on $connection:ident) => {
        use diesel::prelude::*;
        use diesel::sql_types::Bool;
        use uuid::Uuid;

        use super::rows::{
            ContractorIds, ContractorRow, JobRow, contractor_ids, stored_id, stored_time,
        };
        use super::schema::{contractors, job_assignments, jobs};
        use crate::jobs::{Contractor, ContractorId, Job, JobId, Region, Scope, Timestamp, Window};
        use crate::store::values::{cursor_part, stored_limit};
        use crate::store::{ContractorFilter, JobFilter, PageCursor, StoreError};

        /// The job, if it exists within the scope.
        pub(super) fn job(
            connection: &mut $connection,
            scope: &Scope,
            id: JobId,
        ) -> Result<Option<Job>, StoreError> {
            let row: Option<(JobRow, ContractorIds)> = jobs::table
                .filter(jobs::id.eq(stored_id(id.0)))
                .filter(in_scope(scope))
                .select((JobRow::as_select(), contractor_ids()))
                .first(connection)
                .optional()?;
            row.map(|(row, contractor_ids)| row.job(contractor_ids)).transpose()
        }

        /// A page of the jobs within scope and filter, by start, then id, and where the next
        /// one begins.
        pub(super) fn jobs(
            connection: &mut $connection,
            scope: &Scope,
            filter: &JobFilter,
        ) -> Result<(Vec<Job>, Option<PageCursor>), StoreError> {
            // One more row than is asked for tells whether there is a next page.
            let mut query = jobs::table
                .filter(in_scope(scope))
                .order((jobs::start_utc, jobs::id))
                .limit(stored_limit(filter.limit).saturating_add(1))
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
                    .filter(jobs::end_utc.gt(stored_time(from)))
                    .filter(jobs::start_utc.ge(stored_time(reach)));
            }
            if let Some(to) = filter.to {
                query = query.filter(jobs::start_utc.lt(stored_time(to)));
            }
            if let Some(cursor) = &filter.cursor {
                let key: Timestamp = cursor_part(Timestamp::parse(&cursor.key))?;
                let id = stored_id(cursor_part(cursor.id.parse().ok())?);
                // The first line alone is a range of the index.
                query = query
                    .filter(jobs::start_utc.ge(stored_time(key)))
                    .filter(jobs::start_utc.gt(stored_time(key)).or(jobs::id.gt(id)));
            }
            let rows: Vec<(JobRow, ContractorIds)> = query.load(connection)?;
            let mut jobs = rows
                .into_iter()
                .map(|(row, contractor_ids)| row.job(contractor_ids))
                .collect::<Result<Vec<Job>, StoreError>>()?;
            let has_more = jobs.len() > filter.limit;
            jobs.truncate(filter.limit);
            let cursor = |job: &Job| PageCursor {
                key: job.window.start().to_string(),
                id: job.id.to_string(),
            };
            let next = if has_more { jobs.last().map(cursor) } else { None };
            Ok((jobs, next))
        }

        type Condition<'a> = Box<dyn BoxableExpression<jobs::table, $backend, SqlType = Bool> + 'a>;

        fn in_scope(scope: &Scope) -> Condition<'_> {
            match scope {
                Scope::All => Box::new(true.into_sql::<Bool>()),
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
                        .filter(job_assignments::contractor_id.eq(stored_id(contractor_id.0)))
                        .select(job_assignments::job_id),
                ),
            )
        }

        /// The contractor, if there is one of that id.
        pub(super) fn contractor(
            connection: &mut $connection,
            id: ContractorId,
        ) -> Result<Option<Contractor>, StoreError> {
            let row: Option<ContractorRow> = contractors::table
                .filter(contractors::id.eq(stored_id(id.0)))
                .select(ContractorRow::as_select())
                .first(connection)
                .optional()?;
            row.map(ContractorRow::contractor).transpose()
        }

        /// A page of the contractors within scope and filter, by name, then id, and where the
        /// next one begins.
        pub(super) fn contractors(
            connection: &mut $connection,
            scope: &Scope,
            filter: &ContractorFilter,
        ) -> Result<(Vec<Contractor>, Option<PageCursor>), StoreError> {
            // One more row than is asked for tells whether there is a next page.
            let mut query = contractors::table
                .order((contractors::name, contractors::id))
                .limit(stored_limit(filter.limit).saturating_add(1))
                .select(ContractorRow::as_select())
                .into_boxed();
            if let Scope::Only { regions, contractor_id } = scope {
                let of_regions = contractors::region.eq_any(regions.iter().map(Region::as_str));
                // No contractor has the nil id.
                let own = stored_id(contractor_id.map_or(Uuid::nil(), |id| id.0));
                query = query.filter(of_regions.or(contractors::id.eq(own)));
            }
            if let Some(region) = &filter.region {
                query = query.filter(contractors::region.eq(region.as_str()));
            }
            if let Some(PageCursor { key, id }) = &filter.cursor {
                let id = stored_id(cursor_part(id.parse().ok())?);
                // The first line alone is a range of the index.
                query = query
                    .filter(contractors::name.ge(key))
                    .filter(contractors::name.gt(key).or(contractors::id.gt(id)));
            }
            let rows: Vec<ContractorRow> = query.load(connection)?;
            let mut contractors = rows
                .into_iter()
                .map(ContractorRow::contractor)
                .collect::<Result<Vec<Contractor>, StoreError>>()?;
            let has_more = contractors.len() > filter.limit;
            contractors.truncate(filter.limit);
            let cursor =
                |one: &Contractor| PageCursor { key: one.name.clone(), id: one.id.to_string() };
            let next = if has_more { contractors.last().map(cursor) } else { None };
            Ok((contractors, next))
        }
    };
}

pub(super) use lists;
