//! What the rules forbid, and what they granted.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Contractor, EventRef, Job, JobId};

/// A field of a request, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field as the request names it.
    pub field: &'static str,
    /// What is wrong; reads on after the field's name.
    pub message: String,
}

impl FieldError {
    /// A complaint about one field.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

/// The caller asked for something that the rules forbid. Nothing was changed.
///
/// Knows nothing of HTTP; the [`code`](Self::code) is what HTTP and the hub share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fields are out of their bounds.
    #[error("{}", field_errors(.0))]
    InvalidField(Vec<FieldError>),
    /// The window is empty, reversed or too long.
    #[error("{0}")]
    InvalidTimeWindow(String),
    /// The caller may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// It does not exist, or the caller may not know that it does.
    #[error("{0}")]
    NotFound(String),
    /// An assigned contractor would be in two places.
    #[error("an assigned contractor is busy then with {}", ids(.0))]
    ScheduleConflict(Vec<JobId>),
    /// The job is done.
    #[error("job {0} is completed")]
    JobCompleted(JobId),
    /// The job is called off.
    #[error("job {0} is cancelled")]
    JobCancelled(JobId),
    /// The caller's `If-Match` is not the job's version; carries the job as it is.
    #[error("job {} is at version {}", .0.id, .0.version)]
    VersionMismatch(Box<Job>),
    /// The caller used this key for another request before.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
}

impl Refusal {
    /// One field's complaint as a refusal.
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::InvalidField(vec![FieldError::new(field, message)])
    }

    /// The stable code, as problems and hub errors show it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidField(_) => "invalid_field",
            Self::InvalidTimeWindow(_) => "invalid_time_window",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::ScheduleConflict(_) => "schedule_conflict",
            Self::JobCompleted(_) => "job_completed",
            Self::JobCancelled(_) => "job_cancelled",
            Self::VersionMismatch(_) => "version_mismatch",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
        }
    }
}

/// What an accepted command leaves behind: enough to answer it again, word for
/// word, when its idempotency key comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The thing as the command left it.
    pub subject: Subject,
    /// Whether the command created it.
    pub created: bool,
    /// The event that the change made; none when nothing changed, or for a contractor.
    pub event: Option<EventRef>,
}

/// What a command was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// A job, after the command.
    Job(Job),
    /// A contractor, after the command.
    Contractor(Contractor),
}

fn field_errors(errors: &[FieldError]) -> String {
    let texts: Vec<String> =
        errors.iter().map(|error| format!("{} {}", error.field, error.message)).collect();
    texts.join("; ")
}

fn ids(jobs: &[JobId]) -> String {
    let texts: Vec<String> = jobs.iter().map(|id| format!("job {id}")).collect();
    texts.join(", ")
}
