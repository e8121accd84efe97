//! The event log, for reading.

use actix_web::HttpRequest;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::IntoParams;

use super::request::{Authenticated, query, read};
use super::{Answer, State, page};
use crate::jobs::{EventType, JobId, Refusal, Sequence};
use crate::store::EventFilter;

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only events past this sequence.
    #[param(schema_with = page::sequence_schema, required = false)]
    after: Option<Sequence>,
    /// Only events that this group was told: `dispatch/{region}` or `contractor/{contractorId}`.
    group: Option<String>,
    /// Only events of this type.
    #[param(value_type = Option<EventType>)]
    r#type: Option<String>,
    /// Only events of this job.
    #[param(value_type = Option<JobId>)]
    job_id: Option<String>,
    #[param(schema_with = page::limit_schema, required = false)]
    limit: Option<usize>,
}

impl ListQuery {
    fn filter(self) -> Result<EventFilter, Refusal> {
        let event_type = match self.r#type.as_deref().map(EventType::parse) {
            Some(None) => return Err(Refusal::field("type", "is not an event's type")),
            Some(event_type) => event_type,
            None => None,
        };
        let job_id = match self.job_id.map(|id| id.parse::<JobId>()) {
            Some(Err(_)) => return Err(Refusal::field("jobId", "is not a UUID")),
            Some(Ok(id)) => Some(id),
            None => None,
        };
        Ok(EventFilter {
            after: self.after.unwrap_or(0),
            until: None,
            group: self.group,
            event_type,
            job_id,
            limit: page::limit(self.limit)?,
        })
    }
}

pub(super) async fn list(state: State, caller: Authenticated, request: HttpRequest) -> Answer {
    let filter = query::<ListQuery>(&request)?.filter()?;
    let page = read(&state, move |store| store.events(&caller.0.scope(), &filter)).await?;
    // The payload is the JSON that was sent; only a database that somebody else wrote
    // to can hold what is none.
    Ok(page::respond(page, |event| {
        RawValue::from_string(event.payload.to_string())
            .unwrap_or_else(|_| RawValue::NULL.to_owned())
    }))
}
