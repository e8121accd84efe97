//! Refusals and failures as `application/problem+json` (RFC 9457).

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use super::code::Code;
use crate::jobs::{FieldError, Job, JobId, Refusal};
use crate::pipeline::CommandError;
use crate::store::StoreError;

/// Seconds after which a caller may try again: a queue that is full empties, and a
/// database that is down recovers, in about that time.
const RETRY_AFTER_SECONDS: NonZeroU32 = NonZeroU32::MIN;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    extension: Box<Extension>,
    /// What is the log's to know, and not the caller's.
    cause: Option<String>,
    /// When the caller may try again.
    retry_after_seconds: Option<NonZeroU32>,
}

/// What some codes say beside the rest.
#[derive(Debug, Default)]
struct Extension {
    /// The methods that the path does have.
    allow: Option<String>,
    conflicting_job_ids: Option<Vec<JobId>>,
    job: Option<Box<Job>>,
}

/// What went wrong, by RFC 9457.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(super) struct ProblemJson<'a> {
    /// A name of the kind of problem: `urn:signalbox:problem:` and the code.
    r#type: String,
    /// The status in words.
    title: &'a str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong here, for people.
    detail: &'a str,
    /// The path that was called.
    instance: &'a str,
    #[schema(value_type = Code)]
    code: &'a str,
    /// The answer's `X-Request-Id`.
    request_id: &'a str,
    /// Which fields are out of their bounds.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
    /// Of `schedule_conflict`: the jobs that an assigned contractor is busy with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    conflicting_job_ids: Option<&'a [JobId]>,
    /// Of `version_mismatch`: the job as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    job: Option<&'a Job>,
}

impl Problem {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        let is_later = code.status() == StatusCode::SERVICE_UNAVAILABLE;
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            extension: Box::default(),
            cause: None,
            retry_after_seconds: is_later.then_some(RETRY_AFTER_SECONDS),
        }
    }

    /// The request is not understood.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Code::MalformedRequest, detail)
    }

    /// Nobody, or nobody that is known.
    #[must_use]
    pub fn unauthenticated() -> Self {
        let detail = "a valid bearer token is needed";
        Self::new(Code::Unauthenticated, detail)
    }

    /// The caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, detail)
    }

    /// There is no such thing, as far as the caller may know.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// The path has no such method, but these.
    #[must_use]
    pub fn method_not_allowed(allow: impl Into<String>) -> Self {
        let allow = allow.into();
        let detail = format!("this path has {allow} only");
        let extension = Box::new(Extension { allow: Some(allow), ..Extension::default() });
        Self { extension, ..Self::new(Code::MethodNotAllowed, detail) }
    }

    /// The body is not JSON.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        let detail = "the body must be application/json";
        Self::new(Code::UnsupportedMediaType, detail)
    }

    /// The body is too long.
    #[must_use]
    pub fn body_too_large() -> Self {
        let detail = format!("the body has more than {} bytes", super::BODY_BYTES_MAX);
        Self::new(Code::BodyTooLarge, detail)
    }

    /// The request's address is too long.
    #[must_use]
    pub fn target_too_long() -> Self {
        let detail = format!("path and query have more than {} bytes", super::TARGET_BYTES_MAX);
        Self::new(Code::TargetTooLong, detail)
    }

    /// The headers are too many, or too long.
    #[must_use]
    pub fn headers_too_large() -> Self {
        let (headers, bytes) = (super::HEADERS_MAX, super::HEADER_BYTES_MAX);
        let detail = format!("there are more than {headers} headers, or more than {bytes} bytes");
        Self::new(Code::HeadersTooLarge, detail)
    }

    /// The body did not come in time.
    #[must_use]
    pub fn request_timeout() -> Self {
        let detail = "the body took too long; nothing was changed";
        Self::new(Code::RequestTimeout, detail)
    }

    /// The caller, or its address, has asked for too much; after this time it may again.
    #[must_use]
    pub fn rate_limited(wait: Duration) -> Self {
        let detail = "too many requests in too short a time; nothing was changed";
        let problem = Self::new(Code::RateLimited, detail);
        Self { retry_after_seconds: Some(whole_seconds(wait)), ..problem }
    }

    /// Whether the caller is known, and was refused for that it asks too much.
    #[must_use]
    pub fn is_rate_limited(&self) -> bool {
        self.code == Code::RateLimited
    }

    /// Nothing was changed, and later it may work.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Code::StoreUnavailable, detail)
    }

    /// The program is wrong; the caller learns nothing but the request's id.
    #[must_use]
    pub fn internal() -> Self {
        let detail = "something went wrong; the request id helps to find it";
        Self::new(Code::Internal, detail)
    }

    /// The same, with what the log is to say about it.
    fn because(self, cause: String) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// Whether the program is wrong, and not the caller or the database.
    pub(super) fn is_ours(&self) -> bool {
        self.code.status() == StatusCode::INTERNAL_SERVER_ERROR
    }

    /// What the log is to say about it, and the caller is not told.
    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The response, which names the request.
    #[must_use]
    pub fn response(&self, request_id: &str, path: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.code.status());
        response.insert_header(("Content-Type", "application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header(("Retry-After", seconds.get()));
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            response.insert_header(("WWW-Authenticate", HeaderValue::from_static("Bearer")));
        }
        if let Some(allow) = &self.extension.allow {
            response.insert_header(("Allow", allow.as_str()));
        }
        response.body(self.body(request_id, path))
    }

    /// The response's body.
    pub(super) fn body(&self, request_id: &str, path: &str) -> String {
        let (code, status) = (self.code.as_str(), self.code.status());
        let body = ProblemJson {
            r#type: format!("urn:signalbox:problem:{code}"),
            title: status.canonical_reason().unwrap_or(code),
            status: status.as_u16(),
            detail: &self.detail,
            instance: path,
            code,
            request_id,
            errors: &self.errors,
            conflicting_job_ids: self.extension.conflicting_job_ids.as_deref(),
            job: self.extension.job.as_deref(),
        };
        serde_json::to_string(&body).expect("a problem has string keys only")
    }
}

/// As `Retry-After` has it: rounded up, and at least 1.
fn whole_seconds(wait: Duration) -> NonZeroU32 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(seconds).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    /// What every request passes writes the body again with the request's id.
    fn error_response(&self) -> HttpResponse {
        self.response("", "")
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let mut problem = Self::new(code_of(&refusal), refusal.to_string());
        match refusal {
            Refusal::InvalidField(errors) => problem.errors = errors,
            Refusal::ScheduleConflict(jobs) => {
                problem.extension.conflicting_job_ids = Some(jobs);
            }
            Refusal::VersionMismatch(job) => problem.extension.job = Some(job),
            Refusal::InvalidTimeWindow(_)
            | Refusal::Forbidden(_)
            | Refusal::NotFound(_)
            | Refusal::JobCompleted(_)
            | Refusal::JobCancelled(_)
            | Refusal::IdempotencyKeyReused => {}
        }
        problem
    }
}

/// The refusal's code, with what HTTP makes of it.
fn code_of(refusal: &Refusal) -> Code {
    let code = match refusal {
        Refusal::InvalidField(_) => Code::InvalidField,
        Refusal::InvalidTimeWindow(_) => Code::InvalidTimeWindow,
        Refusal::Forbidden(_) => Code::Forbidden,
        Refusal::NotFound(_) => Code::NotFound,
        Refusal::ScheduleConflict(_) => Code::ScheduleConflict,
        Refusal::JobCompleted(_) => Code::JobCompleted,
        Refusal::JobCancelled(_) => Code::JobCancelled,
        Refusal::VersionMismatch(_) => Code::VersionMismatch,
        Refusal::IdempotencyKeyReused => Code::IdempotencyKeyReused,
    };
    debug_assert_eq!(code.as_str(), refusal.code(), "HTTP and the hub share their codes");
    code
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refusal) => refusal.into(),
            CommandError::Busy => Self::unavailable("too many commands wait; nothing was changed"),
            CommandError::Unavailable(cause) => {
                Self::unavailable("the store is unavailable; nothing was changed").because(cause)
            }
            CommandError::OutcomeUnknown(cause) => {
                let detail = "the database was lost while it committed; whether the change was \
                              made is not known";
                Self::new(Code::Internal, detail).because(cause)
            }
            CommandError::Internal(cause) => Self::internal().because(cause),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let cause = error.to_string();
        let problem = match error {
            StoreError::Unavailable(_)
            | StoreError::Contended(_)
            | StoreError::NotMigrated(_)
            | StoreError::OutcomeUnknown(_) => Self::unavailable("the store is unavailable"),
            StoreError::Corrupt(_) | StoreError::Url(_) => Self::internal(),
        };
        problem.because(cause)
    }
}
