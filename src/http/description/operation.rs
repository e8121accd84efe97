//! How an operation is described: who may, what it takes, what it answers.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::StatusCode;
use serde_json::Value;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{Object, ObjectBuilder};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Ref, RefOr, Required, Response, ResponseBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::headers::{self, Header};
use super::{BEARER, Described, problems};
use crate::http::BODY_BYTES_MAX;
use crate::http::code::Code;
use crate::http::page::PageJson;

/// What any request may be refused with.
const ANYWHERE: [Code; 6] = [
    Code::MalformedRequest,
    Code::Forbidden,
    Code::TargetTooLong,
    Code::RateLimited,
    Code::HeadersTooLarge,
    Code::Internal,
];

/// The keys that tokens are checked with may be out of reach.
const SIGNED_IN: [Code; 2] = [Code::Unauthenticated, Code::StoreUnavailable];
const WITH_BODY: [Code; 4] =
    [Code::InvalidField, Code::RequestTimeout, Code::BodyTooLarge, Code::UnsupportedMediaType];
const WITH_QUERY: [Code; 1] = [Code::InvalidField];

/// An operation's description, as it is put together.
pub(in crate::http) struct Description {
    operation: OperationBuilder,
    schemas: Vec<(String, RefOr<Schema>)>,
    answers: BTreeMap<u16, Response>,
    codes: BTreeSet<Code>,
}

/// Whether a change can be bound to a version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    IfMatch,
}

/// What an answer's body is.
pub(super) struct Body {
    media_type: &'static str,
    schema: RefOr<Schema>,
    schemas: Vec<(String, RefOr<Schema>)>,
    example: Option<Value>,
}

impl Body {
    /// JSON of this type.
    pub(super) fn json<T: ToSchema>(example: impl Into<Option<Value>>) -> Self {
        let schema = Ref::from_schema_name(T::name()).into();
        let media_type = "application/json";
        Self { media_type, schema, schemas: components::<T>(), example: example.into() }
    }

    /// A page of a list of these.
    pub(super) fn page<T: ToSchema>(item: Value) -> Self {
        let name = format!("{}Page", T::name());
        let schema = Ref::from_schema_name(name.as_str()).into();
        let mut schemas = components::<T>();
        schemas.push((name, PageJson::<T>::schema()));
        let example = serde_json::json!({ "items": [item], "nextCursor": null });
        Self { media_type: "application/json", schema, schemas, example: Some(example) }
    }

    /// A document whose form another specification says.
    pub(super) fn other(media_type: &'static str, schema_type: Type) -> Self {
        let schema = Object::with_type(schema_type).into();
        Self { media_type, schema, schemas: Vec::new(), example: None }
    }
}

impl Description {
    /// An operation with its id, for generated clients, and what it does in one line.
    pub(super) fn of(tag: &str, id: &str, summary: &str) -> Self {
        let operation = OperationBuilder::new()
            .tag(tag)
            .operation_id(Some(id))
            .summary(Some(summary))
            .securities(Some([]));
        let codes = BTreeSet::from(ANYWHERE);
        Self { operation, schemas: Vec::new(), answers: BTreeMap::new(), codes }
    }

    /// What there is to say beyond one line.
    pub(super) fn note(mut self, text: &str) -> Self {
        self.operation = self.operation.description(Some(text));
        self
    }

    /// Needs a token of somebody who may; says who that is.
    pub(super) fn for_callers(mut self, who: &str) -> Self {
        let requirement = SecurityRequirement::new(BEARER, Vec::<String>::new());
        self.operation = self.operation.security(requirement).description(Some(who));
        self.refused(&SIGNED_IN)
    }

    /// May be called without a token as well, by some; says who they are.
    pub(super) fn for_some(mut self, who: &str) -> Self {
        let requirement = SecurityRequirement::new(BEARER, Vec::<String>::new());
        let requirements = [SecurityRequirement::default(), requirement];
        self.operation = self.operation.securities(Some(requirements)).description(Some(who));
        self
    }

    /// The parameters of the query; others are refused.
    pub(super) fn query<T: IntoParams>(mut self) -> Self {
        for parameter in T::into_params(|| Some(ParameterIn::Query)) {
            self.operation = self.operation.parameter(parameter);
        }
        self.refused(&WITH_QUERY)
    }

    /// A part of the path.
    pub(super) fn path<T: ToSchema>(mut self, name: &str, text: &str) -> Self {
        self.schemas.extend(components::<T>());
        let schema = Ref::from_schema_name(T::name());
        self.parameter(parameter(name, ParameterIn::Path, text, schema)).refused(&[Code::NotFound])
    }

    /// The same of texts of this form.
    pub(super) fn path_text(self, name: &str, text: &str, pattern: &str) -> Self {
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
        let parameter = parameter(name, ParameterIn::Path, text, schema.build());
        self.parameter(parameter).refused(&[Code::NotFound])
    }

    /// A parameter of any kind.
    pub(super) fn parameter(mut self, parameter: Parameter) -> Self {
        self.operation = self.operation.parameter(parameter);
        self
    }

    /// The body of the request.
    pub(super) fn body<T: ToSchema>(mut self, required: Required, example: Value) -> Self {
        let schema = Ref::from_schema_name(T::name());
        let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
        let body = RequestBodyBuilder::new()
            .description(Some(format!("At most {BODY_BYTES_MAX} bytes.")))
            .required(Some(required))
            .content("application/json", content)
            .build();
        self.operation = self.operation.request_body(Some(body));
        self.schemas.extend(components::<T>());
        self.refused(&WITH_BODY)
    }

    /// What may be done under a condition, and repeated.
    pub(super) fn change(self, condition: Condition) -> Self {
        let key = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(255))
            .pattern(Some("^[!-~]+$"));
        let text = "The same request under the same key, within 24 hours and of the same caller, \
                    gets the same answer and changes nothing more.";
        let key = parameter("Idempotency-Key", ParameterIn::Header, text, key.build());
        let this = self.parameter(key).refused(&[
            Code::MalformedRequest,
            Code::IdempotencyKeyReused,
            Code::StoreUnavailable,
        ]);
        if condition == Condition::None {
            return this;
        }
        let tag = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(r#"^(?:\*|(?:W/)?"[!#-~]*")$"#))
            .examples(["\"1\""]);
        let text = "The `ETag` that the caller has seen; the change is refused when the job has \
                    changed since.";
        this.parameter(parameter("If-Match", ParameterIn::Header, text, tag.build()))
            .refused(&[Code::VersionMismatch])
    }

    /// An answer that is what was asked for.
    pub(super) fn answers(
        mut self,
        status: StatusCode,
        text: &str,
        body: Body,
        headers: &[Header],
    ) -> Self {
        let content = ContentBuilder::new().schema(Some(body.schema)).example(body.example).build();
        let response = ResponseBuilder::new().description(text).content(body.media_type, content);
        let response = headers::with(response, headers).build();
        self.answers.insert(status.as_u16(), response);
        self.schemas.extend(body.schemas);
        self
    }

    /// Codes that it may be refused with, beside those that follow from the rest.
    pub(super) fn refused(mut self, codes: &[Code]) -> Self {
        self.codes.extend(codes);
        self
    }

    /// The operation, with its refusals by status.
    pub(super) fn finish(self) -> Described {
        let mut operation = self.operation;
        let mut responses = BTreeMap::new();
        for (status, response) in self.answers {
            operation = operation.response(status.to_string(), response);
        }
        let mut by_status: BTreeMap<StatusCode, Vec<Code>> = BTreeMap::new();
        for code in self.codes {
            by_status.entry(code.status()).or_default().push(code);
        }
        for (status, codes) in by_status {
            let name = problems::name(&codes);
            let reference = Ref::from_response_name(name.as_str());
            operation = operation.response(status.as_u16().to_string(), reference);
            responses.entry(name).or_insert_with(|| problems::response(status, &codes));
        }
        let mut schemas = self.schemas;
        schemas.extend(problems::components_of_problems());
        Described { operation: operation.build(), schemas, responses }
    }
}

/// The type's component, and those that it refers to.
pub(super) fn components<T: ToSchema>() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
}

fn parameter(
    name: &str,
    place: ParameterIn,
    text: &str,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(text))
        .schema(Some(schema))
        .build()
}
