//! Refusals and failures, by status and code.

use std::time::Duration;

use actix_web::http::StatusCode;
use serde_json::Value;
use utoipa::ToSchema as _;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder};
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder, Schema, Type};

use super::examples;
use super::headers::{self, Header};
use super::operation::components;
use crate::http::code::Code;
use crate::http::problem::{Problem, ProblemJson};
use crate::jobs::{FieldError, Refusal};

/// The name of the response that gives these codes.
pub(super) fn name(codes: &[Code]) -> String {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    names.join(".")
}

/// The answer of this status, whose problem has one of these codes.
pub(super) fn response(status: StatusCode, codes: &[Code]) -> Response {
    let meanings: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.meaning())).collect();
    let content = ContentBuilder::new()
        .schema(Some(schema(status, codes)))
        .examples_from_iter(codes.iter().map(|code| (code.as_str(), example(*code))))
        .build();
    let response = ResponseBuilder::new()
        .description(meanings.join("\n\n"))
        .content("application/problem+json", content);
    let own: &[Header] = match status {
        StatusCode::UNAUTHORIZED => &[Header::Challenge],
        StatusCode::METHOD_NOT_ALLOWED => &[Header::Allow],
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => &[Header::RetryAfter],
        _ => &[],
    };
    headers::with(response, own).build()
}

/// What a problem is made of.
pub(super) fn components_of_problems() -> Vec<(String, RefOr<Schema>)> {
    components::<ProblemJson<'static>>()
}

/// A problem of which status and codes are known.
fn schema(status: StatusCode, codes: &[Code]) -> Schema {
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    let text = ObjectBuilder::new().schema_type(Type::String);
    let names = codes.iter().map(|code| code.as_str());
    let narrowed = ObjectBuilder::new()
        .property("status", number.enum_values(Some([status.as_u16()])))
        .property("code", text.enum_values(Some(names)));
    AllOfBuilder::new()
        .item(Ref::from_schema_name(ProblemJson::name()))
        .item(narrowed)
        .build()
        .into()
}

fn example(code: Code) -> utoipa::openapi::example::Example {
    let problem = match code {
        Code::InvalidField => {
            let error = FieldError::new("title", "is empty");
            Refusal::InvalidField(vec![error]).into()
        }
        Code::ScheduleConflict => Refusal::ScheduleConflict(vec![examples::OTHER_JOB_ID]).into(),
        Code::VersionMismatch => Refusal::VersionMismatch(Box::new(examples::job())).into(),
        Code::JobCancelled => Refusal::JobCancelled(examples::JOB_ID).into(),
        Code::JobCompleted => Refusal::JobCompleted(examples::JOB_ID).into(),
        Code::RateLimited => Problem::rate_limited(Duration::from_secs(1)),
        other => Problem::new(other, other.meaning()),
    };
    let body = problem.body(examples::REQUEST_ID, "/api/jobs");
    let value: Option<Value> = serde_json::from_str(&body).ok();
    ExampleBuilder::new().value(value).build()
}
