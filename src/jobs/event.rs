//! Facts about jobs, as clients and the event log get them.

use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{
    Actor, ContractorId, EventId, Job, JobId, Region, Sequence, Timestamp, TraceContext, Version,
    Window, schema,
};

/// The version of every event's shape.
pub const SCHEMA_VERSION: u32 = 1;

/// The most bytes that an event's JSON may have.
pub const EVENT_BYTES_MAX: usize = 2 * 1024;

/// What a cancellation's event says when no reason was given.
pub const NO_REASON: &str = "No reason provided";

/// What happened. The name is also the hub method that clients receive it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum EventType {
    /// A job was made.
    JobCreated,
    /// A job's contractors were replaced.
    JobAssigned,
    /// A job was moved to another window.
    JobRescheduled,
    /// A job was called off.
    JobCancelled,
}

impl EventType {
    /// Every type.
    pub const ALL: [Self; 4] =
        [Self::JobCreated, Self::JobAssigned, Self::JobRescheduled, Self::JobCancelled];

    /// The name in JSON, in the log and on the hub.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobCreated => "JobCreated",
            Self::JobAssigned => "JobAssigned",
            Self::JobRescheduled => "JobRescheduled",
            Self::JobCancelled => "JobCancelled",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.as_str() == name)
    }
}

/// Names an event in an answer to the command that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRef {
    /// The event's id.
    pub event_id: EventId,
    /// The event's place in the order of all.
    pub sequence: Sequence,
}

/// An immutable fact about a job.
// Serialises to the flat JSON that clients get, `type` first, at most EVENT_BYTES_MAX,
// and is read back from it. What is written here of it and its fields, clients read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// [`SCHEMA_VERSION`] when it was made.
    #[schema(schema_with = schema::schema_version)]
    pub schema_version: u32,
    /// Names the event.
    pub event_id: EventId,
    /// Its place in the order of all; 0 until the transaction has taken one.
    #[schema(schema_with = schema::sequence)]
    pub sequence: Sequence,
    /// When the change was decided.
    pub occurred_at: Timestamp,
    /// Which job.
    pub job_id: JobId,
    /// The job's version after the change.
    #[schema(schema_with = schema::version)]
    pub job_version: Version,
    /// The job's region.
    pub region: Region,
    /// The job's contractors after the change.
    #[schema(schema_with = schema::contractor_ids)]
    pub contractor_ids: Vec<ContractorId>,
    /// The job's title.
    #[schema(schema_with = schema::title)]
    pub title: String,
    /// The site's time zone.
    #[schema(schema_with = schema::timezone)]
    pub timezone: String,
    /// Who did it.
    pub actor: Actor,
    /// The id of the request that asked for it.
    #[schema(schema_with = schema::correlation_id)]
    pub correlation_id: String,
    /// What differs by type.
    #[serde(flatten)]
    pub detail: EventDetail,
}

/// The fields that differ by event type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum EventDetail {
    /// Of [`EventType::JobCreated`].
    #[serde(rename_all = "camelCase")]
    #[schema(title = "JobCreated")]
    Created {
        /// The window's start.
        start_utc: Timestamp,
        /// The window's end.
        end_utc: Timestamp,
    },
    /// Of [`EventType::JobAssigned`].
    #[serde(rename_all = "camelCase")]
    #[schema(title = "JobAssigned")]
    Assigned {
        /// The window's start.
        start_utc: Timestamp,
        /// The window's end.
        end_utc: Timestamp,
        /// Who was assigned before; they are told as well.
        #[schema(schema_with = schema::previous_contractor_ids)]
        previous_contractor_ids: Vec<ContractorId>,
    },
    /// Of [`EventType::JobRescheduled`].
    #[serde(rename_all = "camelCase")]
    #[schema(title = "JobRescheduled")]
    Rescheduled {
        /// The start before.
        previous_start_utc: Timestamp,
        /// The end before.
        previous_end_utc: Timestamp,
        /// The start after.
        new_start_utc: Timestamp,
        /// The end after.
        new_end_utc: Timestamp,
        /// Why; null when not said.
        #[schema(schema_with = schema::reason_or_null, required)]
        reason: Option<String>,
    },
    /// Of [`EventType::JobCancelled`].
    #[serde(rename_all = "camelCase")]
    #[schema(title = "JobCancelled")]
    Cancelled {
        /// The window's start.
        start_utc: Timestamp,
        /// The window's end.
        end_utc: Timestamp,
        /// Why; [`NO_REASON`] when not said.
        #[schema(schema_with = schema::reason_or_default)]
        reason: String,
    },
}

impl EventDetail {
    /// The detail of a job's creation in this window.
    #[must_use]
    pub fn created(window: Window) -> Self {
        Self::Created { start_utc: window.start(), end_utc: window.end() }
    }

    /// The detail of a new assignment.
    #[must_use]
    pub fn assigned(window: Window, previous_contractor_ids: Vec<ContractorId>) -> Self {
        Self::Assigned { start_utc: window.start(), end_utc: window.end(), previous_contractor_ids }
    }

    /// The detail of a move.
    #[must_use]
    pub fn rescheduled(previous: Window, new: Window, reason: Option<String>) -> Self {
        Self::Rescheduled {
            previous_start_utc: previous.start(),
            previous_end_utc: previous.end(),
            new_start_utc: new.start(),
            new_end_utc: new.end(),
            reason,
        }
    }

    /// The detail of a cancellation.
    #[must_use]
    pub fn cancelled(window: Window, reason: Option<String>) -> Self {
        Self::Cancelled {
            start_utc: window.start(),
            end_utc: window.end(),
            reason: reason.unwrap_or_else(|| NO_REASON.to_owned()),
        }
    }

    /// The type that has this detail.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        match self {
            Self::Created { .. } => EventType::JobCreated,
            Self::Assigned { .. } => EventType::JobAssigned,
            Self::Rescheduled { .. } => EventType::JobRescheduled,
            Self::Cancelled { .. } => EventType::JobCancelled,
        }
    }
}

/// The JSON form, for reading a stored event back: the fields of all types.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventJson {
    #[serde(rename = "type")]
    event_type: EventType,
    schema_version: u32,
    event_id: EventId,
    sequence: Sequence,
    occurred_at: Timestamp,
    job_id: JobId,
    job_version: Version,
    region: Region,
    contractor_ids: Vec<ContractorId>,
    title: String,
    timezone: String,
    actor: Actor,
    correlation_id: String,
    start_utc: Option<Timestamp>,
    end_utc: Option<Timestamp>,
    previous_contractor_ids: Option<Vec<ContractorId>>,
    previous_start_utc: Option<Timestamp>,
    previous_end_utc: Option<Timestamp>,
    new_start_utc: Option<Timestamp>,
    new_end_utc: Option<Timestamp>,
    reason: Option<String>,
}

impl EventJson {
    /// The fields of the type; none if one is absent. Those of other types are passed over.
    fn detail(&mut self) -> Option<EventDetail> {
        Some(match self.event_type {
            EventType::JobCreated => {
                EventDetail::Created { start_utc: self.start_utc?, end_utc: self.end_utc? }
            }
            EventType::JobAssigned => EventDetail::Assigned {
                start_utc: self.start_utc?,
                end_utc: self.end_utc?,
                previous_contractor_ids: self.previous_contractor_ids.take()?,
            },
            EventType::JobRescheduled => EventDetail::Rescheduled {
                previous_start_utc: self.previous_start_utc?,
                previous_end_utc: self.previous_end_utc?,
                new_start_utc: self.new_start_utc?,
                new_end_utc: self.new_end_utc?,
                reason: self.reason.take(),
            },
            EventType::JobCancelled => EventDetail::Cancelled {
                start_utc: self.start_utc?,
                end_utc: self.end_utc?,
                reason: self.reason.take()?,
            },
        })
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut json = EventJson::deserialize(deserializer)?;
        let detail = json.detail().ok_or_else(|| {
            D::Error::custom(format!("a {} lacks a field of its type", json.event_type.as_str()))
        })?;
        Ok(Self {
            event_type: json.event_type,
            schema_version: json.schema_version,
            event_id: json.event_id,
            sequence: json.sequence,
            occurred_at: json.occurred_at,
            job_id: json.job_id,
            job_version: json.job_version,
            region: json.region,
            contractor_ids: json.contractor_ids,
            title: json.title,
            timezone: json.timezone,
            actor: json.actor,
            correlation_id: json.correlation_id,
            detail,
        })
    }
}

/// The group of everybody who follows a region.
#[must_use]
pub fn dispatch_group(region: &Region) -> String {
    format!("dispatch/{region}")
}

/// The group of everybody who follows a contractor.
#[must_use]
pub fn contractor_group(contractor_id: ContractorId) -> String {
    format!("contractor/{contractor_id}")
}

impl Event {
    /// The fact that `job`, as it is after the change, was changed so.
    #[must_use]
    pub fn of(
        job: &Job,
        detail: EventDetail,
        event_id: EventId,
        actor: Actor,
        correlation_id: String,
    ) -> Self {
        Self {
            event_type: detail.event_type(),
            schema_version: SCHEMA_VERSION,
            event_id,
            sequence: 0,
            occurred_at: job.updated_at,
            job_id: job.id,
            job_version: job.version,
            region: job.region.clone(),
            contractor_ids: job.contractor_ids.clone(),
            title: job.title.clone(),
            timezone: job.timezone.clone(),
            actor,
            correlation_id,
            detail,
        }
    }

    /// Who is told: the region's dispatchers, and each contractor assigned after or,
    /// for a new assignment, before the change. None twice.
    #[must_use]
    pub fn groups(&self) -> Vec<String> {
        let before: &[ContractorId] = match &self.detail {
            EventDetail::Assigned { previous_contractor_ids, .. } => previous_contractor_ids,
            EventDetail::Created { .. }
            | EventDetail::Rescheduled { .. }
            | EventDetail::Cancelled { .. } => &[],
        };
        let dropped = before.iter().filter(|id| !self.contractor_ids.contains(id));
        let contractors = self.contractor_ids.iter().chain(dropped);
        std::iter::once(dispatch_group(&self.region))
            .chain(contractors.map(|id| contractor_group(*id)))
            .collect()
    }

    /// The event with its place in the order, ready to be stored and sent, of no trace.
    #[must_use]
    pub fn committed(mut self, sequence: Sequence) -> CommittedEvent {
        self.sequence = sequence;
        let payload = serde_json::to_string(&self).expect("an event has string keys only");
        CommittedEvent {
            sequence,
            trace: None,
            event_id: self.event_id,
            groups: self.groups(),
            event_type: self.event_type,
            schema_version: self.schema_version,
            job_id: self.job_id,
            region: self.region,
            payload: payload.into(),
            actor_id: self.actor.id,
            correlation_id: self.correlation_id,
            occurred_at: self.occurred_at,
        }
    }
}

/// An event as it stands in the outbox and in the log, and travels to sessions:
/// its JSON is written once and never again. Other nodes get it in this form, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedEvent {
    /// Its place in the order of all.
    pub sequence: Sequence,
    /// Names the event.
    pub event_id: EventId,
    /// What happened.
    pub event_type: EventType,
    /// The version of the payload's shape.
    pub schema_version: u32,
    /// Which job.
    pub job_id: JobId,
    /// The job's region.
    pub region: Region,
    /// The JSON that clients get.
    pub payload: Arc<str>,
    /// The groups that are told; none twice.
    pub groups: Vec<String>,
    /// Who did it.
    pub actor_id: String,
    /// The id of the request that asked for it.
    pub correlation_id: String,
    /// When the change was decided.
    pub occurred_at: Timestamp,
    /// The trace of the request that asked for it, if there was one.
    pub trace: Option<TraceContext>,
}
