//! What went wrong, in one word that clients can rely on.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! codes {
    ($($variant:ident: $status:ident, $name:literal, $meaning:literal;)*) => {
        /// The stable code of a problem. Each has one status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// Every code, by status.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code as problems show it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The status of an answer with this code.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$variant => StatusCode::$status,)*
                }
            }

            /// When it is given, for people.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }
        }
    };
}

codes! {
    MalformedRequest: BAD_REQUEST, "malformed_request",
        "The request is not understood: its JSON, a parameter, or a header.";
    InvalidField: BAD_REQUEST, "invalid_field",
        "Fields are out of their bounds; `errors` says which.";
    InvalidTimeWindow: BAD_REQUEST, "invalid_time_window",
        "The window does not end after it starts, or is longer than 31 days.";
    Unauthenticated: UNAUTHORIZED, "unauthenticated",
        "A valid bearer token is needed.";
    Forbidden: FORBIDDEN, "forbidden",
        "The caller may not do this, or a page of this origin may not call.";
    NotFound: NOT_FOUND, "not_found",
        "There is no such thing, as far as the caller may know.";
    MethodNotAllowed: METHOD_NOT_ALLOWED, "method_not_allowed",
        "The path has other methods, which `Allow` names.";
    RequestTimeout: REQUEST_TIMEOUT, "request_timeout",
        "The body did not come in time; nothing was changed.";
    ScheduleConflict: CONFLICT, "schedule_conflict",
        "An assigned contractor is busy then, with the jobs of `conflictingJobIds`.";
    JobCompleted: CONFLICT, "job_completed",
        "The job is done.";
    JobCancelled: CONFLICT, "job_cancelled",
        "The job is called off.";
    VersionMismatch: PRECONDITION_FAILED, "version_mismatch",
        "The job is not at the version of `If-Match`; `job` is as it is now.";
    BodyTooLarge: PAYLOAD_TOO_LARGE, "body_too_large",
        "The body is longer than is read.";
    TargetTooLong: URI_TOO_LONG, "target_too_long",
        "Path and query are longer than is read.";
    UnsupportedMediaType: UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type",
        "The body is not `application/json`.";
    IdempotencyKeyReused: UNPROCESSABLE_ENTITY, "idempotency_key_reused",
        "The caller used this idempotency key for another request.";
    RateLimited: TOO_MANY_REQUESTS, "rate_limited",
        "The caller or its address asked for too much in too short a time; nothing was changed, and `Retry-After` says when to try again.";
    HeadersTooLarge: REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large",
        "The headers are more, or longer, than is read.";
    Internal: INTERNAL_SERVER_ERROR, "internal",
        "Something went wrong; `requestId` helps to find it. After a change, `detail` may say that whether it was made is not known.";
    StoreUnavailable: SERVICE_UNAVAILABLE, "store_unavailable",
        "The database is away or behind; nothing was changed, and `Retry-After` says when to try again.";
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What went wrong."))
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())))
            .build()
            .into()
    }
}

impl ToSchema for Code {
    fn name() -> Cow<'static, str> {
        "Code".into()
    }
}
