//! Reading contractors.

use diesel::PgConnection;
use diesel::prelude::*;
use uuid::Uuid;

use super::rows::ContractorRow;
use super::schema::contractors;
use crate::jobs::{Contractor, ContractorId, Region, Scope};
use crate::store::values::cursor_part;
use crate::store::{ContractorFilter, PageCursor, StoreError};

/// The contractor, if there is one of that id.
pub(super) fn one(
    connection: &mut PgConnection,
    id: ContractorId,
) -> Result<Option<Contractor>, StoreError> {
    let row: Option<ContractorRow> = contractors::table
        .filter(contractors::id.eq(id.0))
        .select(ContractorRow::as_select())
        .first(connection)
        .optional()?;
    row.map(ContractorRow::contractor).transpose()
}

/// A page of the contractors within scope and filter, by name, then id, and where the
/// next one begins.
pub(super) fn list(
    connection: &mut PgConnection,
    scope: &Scope,
    filter: &ContractorFilter,
) -> Result<(Vec<Contractor>, Option<PageCursor>), StoreError> {
    // One more row than is asked for tells whether there is a next page.
    let mut query = contractors::table
        .order((contractors::name, contractors::id))
        .limit(i64::try_from(filter.limit).unwrap_or(i64::MAX).saturating_add(1))
        .select(ContractorRow::as_select())
        .into_boxed();
    if let Scope::Only { regions, contractor_id } = scope {
        let of_regions = contractors::region.eq_any(regions.iter().map(Region::as_str));
        // No contractor has the nil id.
        let own = contractor_id.map_or(Uuid::nil(), |id| id.0);
        query = query.filter(of_regions.or(contractors::id.eq(own)));
    }
    if let Some(region) = &filter.region {
        query = query.filter(contractors::region.eq(region.as_str()));
    }
    if let Some(PageCursor { key, id }) = &filter.cursor {
        let id: Uuid = cursor_part(id.parse().ok())?;
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
    let cursor = |one: &Contractor| PageCursor { key: one.name.clone(), id: one.id.to_string() };
    let next = if has_more { contractors.last().map(cursor) } else { None };
    Ok((contractors, next))
}
