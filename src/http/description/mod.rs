//! The HTTP interface described for clients: OpenAPI 3.1, made from the routes that are
//! mounted, the types that are read and written, and a few words about each operation.
//!
//! `operation` is how an operation is described, `headers` and `problems` what they have
//! in common; the rest are the operations, a module per subject.

mod examples;
mod headers;
mod operation;
mod problems;

pub(super) mod about;
pub(super) mod admin;
pub(super) mod contractors;
pub(super) mod events;
pub(super) mod jobs;

use std::collections::BTreeMap;

use actix_web::http::Method;
use utoipa::openapi::path::{Operation, PathItemBuilder};
use utoipa::openapi::schema::ComponentsBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    HttpMethod, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder, RefOr,
    Response, Schema,
};

pub(super) use operation::Description;

use super::code::Code;

/// The security scheme's name.
const BEARER: &str = "bearer";

/// What operations are grouped by, with a sentence about each.
const TAGS: [(&str, &str); 5] = [
    (jobs::TAG, "Work at customers' sites, and the four commands that change it."),
    (contractors::TAG, "Those who carry jobs out."),
    (events::TAG, "The log of everything that happened to jobs, in one order."),
    (admin::TAG, "Who is connected, and the end of connections."),
    (about::TAG, "Whether the server is well, and what it can do."),
];

const ABOUT: &str = "\
Dispatchers create, assign, reschedule and cancel jobs over HTTP; everybody who may see a job \
sees every change live, over SignalR at `/hub/dispatch` (see `/asyncapi.json`).

- Times are RFC 3339; the server writes them in UTC with milliseconds. Ids are UUIDs.
- Fields and query parameters that are not known are refused.
- Answers to reads carry `X-Event-Sequence`, the last event that they contain; subscribe from \
there on, and nothing is missed in between.
- Every refusal is `application/problem+json` with a stable `code`. A path that is there \
answers another method with 405 `method_not_allowed` and `Allow`.
- What a caller may not see is answered as if it was not there.";

/// A description of the whole interface, as operations are added to it.
#[derive(Default)]
pub(super) struct Document {
    paths: BTreeMap<String, PathItemBuilder>,
    order: Vec<String>,
    schemas: Vec<(String, RefOr<Schema>)>,
    responses: BTreeMap<String, Response>,
}

impl Document {
    /// Adds an operation of a path.
    pub(super) fn add(&mut self, path: String, method: &Method, description: Description) {
        let Described { operation, schemas, responses } = description.finish();
        let item = self.paths.remove(&path).unwrap_or_else(|| {
            self.order.push(path.clone());
            PathItemBuilder::new()
        });
        self.paths.insert(path, item.operation(http_method(method), operation));
        self.schemas.extend(schemas);
        self.responses.extend(responses);
    }

    /// The document.
    pub(super) fn finish(mut self) -> OpenApi {
        let mut paths = PathsBuilder::new();
        for path in self.order {
            if let Some(item) = self.paths.remove(&path) {
                paths = paths.path(path, item.build());
            }
        }
        let not_allowed =
            problems::response(Code::MethodNotAllowed.status(), &[Code::MethodNotAllowed]);
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let mut components = ComponentsBuilder::new()
            .security_scheme(BEARER, SecurityScheme::Http(scheme.build()))
            .schemas_from_iter(self.schemas)
            .responses_from_iter(self.responses)
            .response(Code::MethodNotAllowed.as_str(), not_allowed);
        for (name, header) in headers::all() {
            components = components.header(name, header);
        }
        OpenApiBuilder::new()
            .info(
                InfoBuilder::new()
                    .title("Signalbox")
                    .version(env!("CARGO_PKG_VERSION"))
                    .description(Some(ABOUT))
                    .license(Some(
                        LicenseBuilder::new()
                            .name(env!("CARGO_PKG_LICENSE"))
                            .identifier(Some(env!("CARGO_PKG_LICENSE")))
                            .build(),
                    ))
                    .build(),
            )
            .tags(Some(
                TAGS.map(|(name, text)| {
                    TagBuilder::new().name(name).description(Some(text)).build()
                }),
            ))
            .paths(paths.build())
            .components(Some(components.build()))
            .build()
    }
}

/// An operation with all that it refers to.
struct Described {
    operation: Operation,
    schemas: Vec<(String, RefOr<Schema>)>,
    responses: BTreeMap<String, Response>,
}

fn http_method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}
