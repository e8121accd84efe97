//! Contractors.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::jobs::{changed, region};
use super::problem::Problem;
use super::request::{Authenticated, Body, query, read, submit};
use super::{Answer, State, page};
use crate::jobs::{Command, Contractor, ContractorDraft, ContractorId, Region};
use crate::store::ContractorFilter;

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only contractors of this region.
    #[param(value_type = Option<Region>)]
    region: Option<String>,
    #[param(schema_with = page::limit_schema, required = false)]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

pub(super) async fn list(state: State, caller: Authenticated, request: HttpRequest) -> Answer {
    let asked = query::<ListQuery>(&request)?;
    let filter = ContractorFilter {
        region: region(asked.region)?,
        cursor: page::read_cursor(asked.cursor.as_deref(), |name| {
            !name.contains(char::is_control)
        })?,
        limit: page::limit(asked.limit)?,
    };
    let page =
        read(&state, move |store| store.jobs.contractors(&caller.0.scope(), &filter)).await?;
    Ok(page::respond(page, |contractor: Contractor| contractor))
}

pub(super) async fn get(state: State, caller: Authenticated, id: web::Path<String>) -> Answer {
    let unknown = || Problem::not_found("there is no such contractor");
    let id: ContractorId = id.parse().map_err(|_| unknown())?;
    let contractor = read(&state, move |store| store.jobs.contractor(id)).await?;
    match contractor {
        Some(contractor) if caller.0.may_see_contractor(&contractor) => {
            Ok(HttpResponse::Ok().json(contractor))
        }
        Some(_) | None => Err(unknown()),
    }
}

pub(super) async fn create(
    state: State,
    caller: Authenticated,
    request: HttpRequest,
    body: Body,
) -> Answer {
    let create = body.json::<ContractorDraft>(&request)?.check()?;
    let command = Command::CreateContractor(create);
    changed(submit(&state, &request, caller.0, &body, command).await?)
}
