//! Refusals and failures as `application/problem+json` (RFC 9457).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::Value;

use crate::jobs::{FieldError, Refusal};
use crate::pipeline::CommandError;
use crate::store::StoreError;

/// Seconds after which a caller may try again: a queue that is full empties, and a
/// database that is down recovers, in about that time.
const RETRY_AFTER_SECONDS: &str = "1";

/// An answer that is not what was asked for.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    /// A member that only this code has.
    extension: Option<Box<(&'static str, Value)>>,
    /// The methods that the path does have.
    allow: Option<&'static str>,
    /// What is the log's to know, and not the caller's.
    cause: Option<String>,
}

/// The body.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProblemJson<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(flatten)]
    extension: serde_json::Map<String, Value>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, code, detail, errors: Vec::new(), extension: None, allow: None, cause: None }
    }

    /// The request is not understood.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_request", detail)
    }

    /// Nobody, or nobody that is known.
    #[must_use]
    pub fn unauthenticated() -> Self {
        let detail = "a valid bearer token is needed";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// The caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// There is no such thing, as far as the caller may know.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The path has no such method, but these.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this path has {allow} only");
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
        Self { allow: Some(allow), ..problem }
    }

    /// The body is not JSON.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        let detail = "the body must be application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// The body is too long.
    #[must_use]
    pub fn body_too_large() -> Self {
        let detail = format!("the body has more than {} bytes", super::BODY_BYTES_MAX);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// Nothing was changed, and later it may work.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail)
    }

    /// The program is wrong; the caller learns nothing but the request's id.
    #[must_use]
    pub fn internal() -> Self {
        let detail = "something went wrong; the request id helps to find it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The same, with what the log is to say about it.
    fn because(self, cause: String) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// Whether the program is wrong, and not the caller or the database.
    pub(super) fn is_ours(&self) -> bool {
        self.status == StatusCode::INTERNAL_SERVER_ERROR
    }

    /// What the log is to say about it, and the caller is not told.
    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The response, which names the request.
    #[must_use]
    pub fn response(&self, request_id: &str, path: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header(("Content-Type", "application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header(("Retry-After", RETRY_AFTER_SECONDS));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header(("WWW-Authenticate", HeaderValue::from_static("Bearer")));
        }
        if let Some(allow) = self.allow {
            response.insert_header(("Allow", allow));
        }
        response.body(self.body(request_id, path))
    }

    /// The response's body.
    pub(super) fn body(&self, request_id: &str, path: &str) -> String {
        let extension = self.extension.iter().map(|member| (member.0.to_owned(), member.1.clone()));
        let body = ProblemJson {
            r#type: format!("urn:signalbox:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or(self.code),
            status: self.status.as_u16(),
            detail: &self.detail,
            instance: path,
            code: self.code,
            request_id,
            errors: &self.errors,
            extension: extension.collect(),
        };
        serde_json::to_string(&body).expect("a problem has string keys only")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    /// What every request passes writes the body again with the request's id.
    fn error_response(&self) -> HttpResponse {
        self.response("", "")
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::InvalidField(_) | Refusal::InvalidTimeWindow(_) => StatusCode::BAD_REQUEST,
            Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
            Refusal::NotFound(_) => StatusCode::NOT_FOUND,
            Refusal::ScheduleConflict(_) | Refusal::JobCompleted(_) | Refusal::JobCancelled(_) => {
                StatusCode::CONFLICT
            }
            Refusal::VersionMismatch(_) => StatusCode::PRECONDITION_FAILED,
            Refusal::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let mut problem = Self::new(status, refusal.code(), refusal.to_string());
        match refusal {
            Refusal::InvalidField(errors) => problem.errors = errors,
            Refusal::ScheduleConflict(jobs) => {
                problem.extension = member("conflictingJobIds", &jobs);
            }
            Refusal::VersionMismatch(job) => {
                problem.extension = member("job", &job);
            }
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

fn member(name: &'static str, value: &impl Serialize) -> Option<Box<(&'static str, Value)>> {
    serde_json::to_value(value).ok().map(|value| Box::new((name, value)))
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
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).because(cause)
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
