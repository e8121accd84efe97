//! Commands over the hub: the same rules and codes as over HTTP.

use std::rc::Rc;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::groups::store_unavailable;
use super::{CallerOnHub, DispatchHub};
use crate::jobs::{
    CancelRequest, Command, CommandRequest, EventId, JobId, Refusal, RescheduleRequest, Subject,
    Version,
};
use crate::pipeline::CommandError;
use crate::signalr::{HubError, JsonText};
use crate::telemetry::{Span, SpanKind};

/// A change with the version that it is for, which HTTP has in a header.
#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "ifMatch")]
    if_match: Option<Version>,
}

impl DispatchHub {
    pub(super) async fn reschedule_job(
        self: Rc<Self>,
        caller: CallerOnHub,
        (job_id, change): (String, Value),
    ) -> Result<JsonText, HubError> {
        let (if_match, request) = read::<RescheduleRequest>(change)?;
        let command = request.check(parse_id(&job_id)?).map_err(refused)?;
        self.submit(&caller, if_match, Command::RescheduleJob(command)).await
    }

    pub(super) async fn cancel_job(
        self: Rc<Self>,
        caller: CallerOnHub,
        (job_id, change): (String, Value),
    ) -> Result<JsonText, HubError> {
        let change = if change.is_null() { Value::Object(serde_json::Map::new()) } else { change };
        let (if_match, request) = read::<CancelRequest>(change)?;
        let command = request.check(parse_id(&job_id)?).map_err(refused)?;
        self.submit(&caller, if_match, Command::CancelJob(command)).await
    }

    /// The job as the command left it.
    async fn submit(
        &self,
        caller: &CallerOnHub,
        if_match: Option<Version>,
        command: Command,
    ) -> Result<JsonText, HubError> {
        let mut span = Span::start("hub invocation", SpanKind::Server, None);
        let request_id = uuid::Uuid::now_v7().to_string();
        let request = CommandRequest {
            caller: Arc::clone(&caller.user()),
            correlation_id: request_id.clone(),
            event_id: EventId::fresh(),
            if_match,
            idempotency: None,
            trace: span.context(),
            command,
        };
        let receipt = self.parts.commands.submit(request).await;
        if let Err(CommandError::Internal(_) | CommandError::OutcomeUnknown(_)) = receipt {
            span.fail();
        }
        let receipt = receipt.map_err(|error| failed(error, &request_id))?;
        match receipt.subject {
            Subject::Job(job) => serde_json::to_string(&job)
                .map(|text| JsonText(text.into()))
                .map_err(|error| HubError::failed(error.to_string())),
            Subject::Contractor(_) => Err(HubError::failed("a job's command answered no job")),
        }
    }
}

/// Takes the condition out of a change; what is left has to be the request, as over
/// HTTP: fields that are not known are refused.
fn read<T: DeserializeOwned>(change: Value) -> Result<(Option<Version>, T), HubError> {
    let malformed =
        |error: serde_json::Error| HubError::Refused(format!("malformed_request: {error}"));
    let condition = Condition::deserialize(&change).map_err(malformed)?;
    let mut request = change;
    if let Some(members) = request.as_object_mut() {
        members.remove("ifMatch");
    }
    Ok((condition.if_match, serde_json::from_value(request).map_err(malformed)?))
}

/// What is no UUID is no job either.
fn parse_id(text: &str) -> Result<JobId, HubError> {
    text.parse().map_err(|_| refused(Refusal::NotFound("there is no such job".to_owned())))
}

fn refused(refusal: Refusal) -> HubError {
    HubError::Refused(format!("{}: {refusal}", refusal.code()))
}

fn failed(error: CommandError, request_id: &str) -> HubError {
    match error {
        CommandError::Refused(refusal) => refused(refusal),
        CommandError::Busy => {
            HubError::Refused("store_unavailable: too many commands wait, try again".to_owned())
        }
        CommandError::Unavailable(detail) => {
            log::warn!(error = detail, request_id; "a command was not carried out");
            store_unavailable()
        }
        CommandError::OutcomeUnknown(detail) => {
            log::error!(error = detail, request_id; "what became of a command is not known");
            let text = "internal: whether the change was made is not known";
            HubError::Refused(text.to_owned())
        }
        CommandError::Internal(detail) => {
            log::error!(error = detail, request_id; "a command failed");
            HubError::Refused("internal: something went wrong".to_owned())
        }
    }
}
