//! What callers ask for: the requests as they are written, and the commands that
//! they become once every field has been checked.

use std::sync::Arc;

use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    ADDRESS_BYTES_MAX, CONTRACTOR_NAME_BYTES_MAX, CONTRACTORS_PER_JOB_MAX, CUSTOMER_BYTES_MAX,
    Caller, ContractorId, EventId, FieldError, JobId, REASON_BYTES_MAX, Refusal, Region,
    TITLE_BYTES_MAX, TraceContext, Version, Window, bounded_text, schema,
};

/// A command with what surrounds it: who asks, and on which conditions.
#[derive(Debug, Clone)]
pub struct CommandRequest {
    /// Who asks.
    pub caller: Arc<Caller>,
    /// The request's id, which the event carries.
    pub correlation_id: String,
    /// The id of the event, should the command make one.
    pub event_id: EventId,
    /// The version that the caller believes the job to have; none applies the
    /// change to whichever it has.
    pub if_match: Option<Version>,
    /// The caller's promise to recognise a repetition.
    pub idempotency: Option<Idempotency>,
    /// The trace that the command belongs to, which the event carries.
    pub trace: Option<TraceContext>,
    /// What is asked for.
    pub command: Command,
}

/// A key under which the same request may be repeated without a second effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Idempotency {
    /// 1 to 255 visible ASCII characters; belongs to the caller's subject.
    pub key: String,
    /// Tells this request from another one under the same key.
    pub digest: [u8; 32],
}

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Makes a job.
    CreateJob(CreateJob),
    /// Replaces a job's contractors.
    AssignJob(AssignJob),
    /// Moves a job to another window.
    RescheduleJob(RescheduleJob),
    /// Calls a job off.
    CancelJob(CancelJob),
    /// Adds a contractor; makes no event.
    CreateContractor(CreateContractor),
}

/// Makes a job; its id is chosen before, so that deciding it needs no chance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateJob {
    /// The job's id to be.
    pub id: JobId,
    /// Not empty.
    pub title: String,
    /// For whom.
    pub customer: String,
    /// Where.
    pub address: String,
    /// Who plans it.
    pub region: Region,
    /// A zone of the IANA database.
    pub timezone: String,
    /// When.
    pub window: Window,
    /// Possibly none; none twice.
    pub contractor_ids: Vec<ContractorId>,
}

/// Replaces a job's contractors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignJob {
    /// Which job.
    pub job_id: JobId,
    /// Possibly none; none twice.
    pub contractor_ids: Vec<ContractorId>,
}

/// Moves a job to another window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RescheduleJob {
    /// Which job.
    pub job_id: JobId,
    /// To when.
    pub window: Window,
    /// Why; never empty.
    pub reason: Option<String>,
}

/// Calls a job off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelJob {
    /// Which job.
    pub job_id: JobId,
    /// Why; never empty.
    pub reason: Option<String>,
}

/// Adds a contractor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateContractor {
    /// The contractor's id to be.
    pub id: ContractorId,
    /// Not empty.
    pub name: String,
    /// Where the contractor works.
    pub region: Region,
    /// A zone of the IANA database.
    pub timezone: String,
}

/// The body of a request to create a job.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobDraft {
    /// What is to be done.
    #[schema(schema_with = schema::title)]
    pub title: String,
    /// For whom.
    #[schema(schema_with = schema::customer)]
    pub customer: String,
    /// Where.
    #[schema(schema_with = schema::address)]
    pub address: String,
    /// The region that plans it.
    #[schema(value_type = Region)]
    pub region: String,
    /// A zone of the IANA database.
    #[schema(schema_with = schema::timezone)]
    pub timezone: String,
    /// RFC 3339.
    #[schema(schema_with = schema::start)]
    pub start_utc: String,
    /// RFC 3339.
    #[schema(schema_with = schema::end)]
    pub end_utc: String,
    /// Absent is none.
    #[serde(default)]
    #[schema(schema_with = schema::contractor_ids)]
    pub contractor_ids: Vec<String>,
}

/// The body of a request to replace a job's contractors.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssignRequest {
    /// All who shall carry it out.
    #[schema(schema_with = schema::contractor_ids)]
    pub contractor_ids: Vec<String>,
}

/// The body of a request to move a job.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RescheduleRequest {
    /// RFC 3339.
    #[schema(schema_with = schema::start)]
    pub start_utc: String,
    /// RFC 3339.
    #[schema(schema_with = schema::end)]
    pub end_utc: String,
    /// Absent, null and blank are the same: none.
    #[serde(default)]
    #[schema(schema_with = schema::reason_or_null)]
    pub reason: Option<String>,
}

/// The body of a request to call a job off.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelRequest {
    /// Absent, null and blank are the same: none.
    #[serde(default)]
    #[schema(schema_with = schema::reason_or_null)]
    pub reason: Option<String>,
}

/// The body of a request to add a contractor.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContractorDraft {
    /// The name that dispatchers see.
    #[schema(schema_with = schema::contractor_name)]
    pub name: String,
    /// Where the contractor works.
    #[schema(value_type = Region)]
    pub region: String,
    /// A zone of the IANA database.
    #[schema(schema_with = schema::timezone)]
    pub timezone: String,
}

impl JobDraft {
    /// The command, if every field is within its bounds; else all complaints at once.
    pub fn check(self) -> Result<CreateJob, Refusal> {
        let mut errors = Vec::new();
        required_text(&mut errors, "title", &self.title, TITLE_BYTES_MAX);
        note(&mut errors, bounded_text("customer", &self.customer, CUSTOMER_BYTES_MAX));
        note(&mut errors, bounded_text("address", &self.address, ADDRESS_BYTES_MAX));
        let region = note(&mut errors, region(&self.region));
        note(&mut errors, timezone(&self.timezone));
        let contractor_ids = note(&mut errors, contractor_ids(&self.contractor_ids));
        let window = match Window::parse(&self.start_utc, &self.end_utc) {
            Err(Refusal::InvalidField(more)) => {
                errors.extend(more);
                None
            }
            other => Some(other),
        };
        let (Some(region), Some(contractor_ids), Some(window), true) =
            (region, contractor_ids, window, errors.is_empty())
        else {
            return Err(Refusal::InvalidField(errors));
        };
        Ok(CreateJob {
            id: JobId::fresh(),
            title: self.title,
            customer: self.customer,
            address: self.address,
            region,
            timezone: self.timezone,
            window: window?,
            contractor_ids,
        })
    }
}

impl AssignRequest {
    /// The command, if the ids are well formed, few enough and none twice.
    pub fn check(self, job_id: JobId) -> Result<AssignJob, Refusal> {
        let contractor_ids = contractor_ids(&self.contractor_ids).map_err(one)?;
        Ok(AssignJob { job_id, contractor_ids })
    }
}

impl RescheduleRequest {
    /// The command, if window and reason are within their bounds.
    pub fn check(self, job_id: JobId) -> Result<RescheduleJob, Refusal> {
        let window = Window::parse(&self.start_utc, &self.end_utc)?;
        Ok(RescheduleJob { job_id, window, reason: reason(self.reason)? })
    }
}

impl CancelRequest {
    /// The command, if the reason is within its bound.
    pub fn check(self, job_id: JobId) -> Result<CancelJob, Refusal> {
        Ok(CancelJob { job_id, reason: reason(self.reason)? })
    }
}

impl ContractorDraft {
    /// The command, if every field is within its bounds; else all complaints at once.
    pub fn check(self) -> Result<CreateContractor, Refusal> {
        let mut errors = Vec::new();
        required_text(&mut errors, "name", &self.name, CONTRACTOR_NAME_BYTES_MAX);
        let region = note(&mut errors, region(&self.region));
        note(&mut errors, timezone(&self.timezone));
        let (Some(region), true) = (region, errors.is_empty()) else {
            return Err(Refusal::InvalidField(errors));
        };
        let id = ContractorId::fresh();
        Ok(CreateContractor { id, name: self.name, region, timezone: self.timezone })
    }
}

fn note<T>(errors: &mut Vec<FieldError>, checked: Result<T, FieldError>) -> Option<T> {
    checked.map_err(|error| errors.push(error)).ok()
}

fn one(error: FieldError) -> Refusal {
    Refusal::InvalidField(vec![error])
}

fn required_text(errors: &mut Vec<FieldError>, field: &'static str, text: &str, bytes_max: usize) {
    if text.trim().is_empty() {
        errors.push(FieldError::new(field, "is empty"));
    } else {
        note(errors, bounded_text(field, text, bytes_max));
    }
}

fn reason(reason: Option<String>) -> Result<Option<String>, Refusal> {
    let Some(reason) = reason.filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    bounded_text("reason", &reason, REASON_BYTES_MAX).map_err(one)?;
    Ok(Some(reason))
}

fn region(name: &str) -> Result<Region, FieldError> {
    Region::parse(name).ok_or_else(|| {
        FieldError::new(
            "region",
            "is not 1 to 63 of a-z, 0-9 and -, starting with a letter or digit",
        )
    })
}

fn timezone(name: &str) -> Result<(), FieldError> {
    match name.parse::<chrono_tz::Tz>() {
        Ok(_) => Ok(()),
        Err(_) => Err(FieldError::new("timezone", "is not a zone of the IANA database")),
    }
}

fn contractor_ids(texts: &[String]) -> Result<Vec<ContractorId>, FieldError> {
    const FIELD: &str = "contractorIds";
    if texts.len() > CONTRACTORS_PER_JOB_MAX {
        let message = format!("names {}, more than {CONTRACTORS_PER_JOB_MAX}", texts.len());
        return Err(FieldError::new(FIELD, message));
    }
    let mut ids = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let Ok(id) = text.parse::<ContractorId>() else {
            return Err(FieldError::new(FIELD, format!("[{index}] is not a UUID")));
        };
        if ids.contains(&id) {
            return Err(FieldError::new(FIELD, format!("names {id} twice")));
        }
        ids.push(id);
    }
    Ok(ids)
}
