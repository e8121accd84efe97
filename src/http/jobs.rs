//! Jobs: reads, and the four commands.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use super::request::{Authenticated, Body, query, read, submit};
use super::{Answer, State, page};
use crate::jobs::{
    AssignRequest, CancelRequest, Command, ContractorId, Job, JobDraft, JobId, JobStatus, Receipt,
    Refusal, Region, RescheduleRequest, Subject, Timestamp,
};
use crate::store::JobFilter;

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only jobs of this region.
    #[param(value_type = Option<Region>)]
    region: Option<String>,
    /// Only jobs of this contractor.
    #[param(value_type = Option<ContractorId>)]
    contractor_id: Option<String>,
    /// Only jobs that stand there.
    #[param(value_type = Option<JobStatus>)]
    status: Option<String>,
    /// Only jobs that end after this time: RFC 3339.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Only jobs that start before this time: RFC 3339.
    #[param(format = DateTime)]
    to: Option<String>,
    #[param(schema_with = page::limit_schema, required = false)]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

impl ListQuery {
    fn filter(self) -> Result<JobFilter, Refusal> {
        let time = |field, text: Option<String>| match text.as_deref().map(Timestamp::parse) {
            None => Ok(None),
            Some(Some(time)) => Ok(Some(time)),
            Some(None) => Err(Refusal::field(field, "is not an RFC 3339 time")),
        };
        let status = match self.status.as_deref().map(JobStatus::parse) {
            Some(None) => return Err(Refusal::field("status", "is not a job's status")),
            Some(status) => status,
            None => None,
        };
        Ok(JobFilter {
            region: region(self.region)?,
            contractor_id: contractor(self.contractor_id)?,
            status,
            from: time("from", self.from)?,
            to: time("to", self.to)?,
            cursor: page::read_cursor(self.cursor.as_deref(), |key| {
                Timestamp::parse(key).is_some()
            })?,
            limit: page::limit(self.limit)?,
        })
    }
}

/// A region of a query.
pub(super) fn region(name: Option<String>) -> Result<Option<Region>, Refusal> {
    match name.as_deref().map(Region::parse) {
        Some(None) => Err(Refusal::field("region", "is not a region's name")),
        Some(region) => Ok(region),
        None => Ok(None),
    }
}

fn contractor(id: Option<String>) -> Result<Option<ContractorId>, Refusal> {
    match id.map(|id| id.parse::<ContractorId>()) {
        Some(Err(_)) => Err(Refusal::field("contractorId", "is not a UUID")),
        Some(Ok(id)) => Ok(Some(id)),
        None => Ok(None),
    }
}

pub(super) async fn list(state: State, caller: Authenticated, request: HttpRequest) -> Answer {
    let filter = query::<ListQuery>(&request)?.filter()?;
    let page = read(&state, move |store| store.jobs.jobs(&caller.0.scope(), &filter)).await?;
    Ok(page::respond(page, |job: Job| job))
}

pub(super) async fn get(state: State, caller: Authenticated, id: web::Path<String>) -> Answer {
    let id = job_id(&id)?;
    let (job, sequence) = read(&state, move |store| store.jobs.job(&caller.0.scope(), id)).await?;
    let job = job.ok_or_else(|| no_job(id))?;
    Ok(HttpResponse::Ok()
        .insert_header(("ETag", etag(&job)))
        .insert_header(("X-Event-Sequence", sequence.to_string()))
        .json(job))
}

pub(super) async fn create(
    state: State,
    caller: Authenticated,
    request: HttpRequest,
    body: Body,
) -> Answer {
    let create = body.json::<JobDraft>(&request)?.check()?;
    let command = Command::CreateJob(create);
    changed(submit(&state, &request, caller.0, &body, command).await?)
}

pub(super) async fn assign(
    state: State,
    caller: Authenticated,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body,
) -> Answer {
    let assign = body.json::<AssignRequest>(&request)?.check(job_id(&id)?)?;
    let command = Command::AssignJob(assign);
    changed(submit(&state, &request, caller.0, &body, command).await?)
}

pub(super) async fn reschedule(
    state: State,
    caller: Authenticated,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body,
) -> Answer {
    let reschedule = body.json::<RescheduleRequest>(&request)?.check(job_id(&id)?)?;
    let command = Command::RescheduleJob(reschedule);
    changed(submit(&state, &request, caller.0, &body, command).await?)
}

pub(super) async fn cancel(
    state: State,
    caller: Authenticated,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body,
) -> Answer {
    let cancel = body.json_or_default::<CancelRequest>(&request)?.check(job_id(&id)?)?;
    let command = Command::CancelJob(cancel);
    changed(submit(&state, &request, caller.0, &body, command).await?)
}

/// The answer to an accepted command; the same one whenever its key comes back.
pub(super) fn changed(receipt: Receipt) -> Answer {
    let status = if receipt.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = HttpResponse::build(status);
    if let Some(event) = receipt.event {
        response.insert_header(("X-Event-Id", event.event_id.to_string()));
        response.insert_header(("X-Event-Sequence", event.sequence.to_string()));
    }
    Ok(match receipt.subject {
        Subject::Job(job) => {
            response.insert_header(("ETag", etag(&job)));
            if receipt.created {
                response.insert_header(("Location", format!("/api/jobs/{}", job.id)));
            }
            response.json(job)
        }
        Subject::Contractor(contractor) => {
            if receipt.created {
                let location = format!("/api/contractors/{}", contractor.id);
                response.insert_header(("Location", location));
            }
            response.json(contractor)
        }
    })
}

fn etag(job: &Job) -> String {
    format!("\"{}\"", job.version)
}

/// What is no UUID is no job either.
fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|_| Problem::not_found("there is no such job"))
}

fn no_job(id: JobId) -> Problem {
    Problem::not_found(format!("there is no job {id}"))
}
