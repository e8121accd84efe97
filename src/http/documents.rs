//! What describes the interface to programs: OpenAPI, AsyncAPI, and schemas of events.

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::Embed;

use super::description::Document;
use super::problem::Problem;
use super::static_files::{self, Content};
use super::{HttpState, endpoints};

/// The published schemas, of every version; a test holds those of the current one to the
/// events.
#[derive(Embed)]
#[folder = "docs/schemas"]
struct Schemas;

/// The HTTP interface, as OpenAPI 3.1 in JSON.
static OPENAPI: LazyLock<Content> = LazyLock::new(|| {
    let mut document = Document::default();
    for endpoint in endpoints() {
        endpoint.describe(&mut document);
    }
    let text = document.finish().to_json().expect("a description has string keys only");
    Content::new("application/json", text.into_bytes())
});

pub(super) async fn openapi(request: HttpRequest) -> HttpResponse {
    static_files::respond(&request, &OPENAPI)
}

pub(super) async fn asyncapi(request: HttpRequest, state: web::Data<HttpState>) -> HttpResponse {
    static_files::respond(&request, &state.asyncapi)
}

pub(super) async fn schema(
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let file = Schemas::get(&format!("{name}.json"))
        .ok_or_else(|| Problem::not_found("there is no such schema"))?;
    let content = Content::new("application/schema+json", file.data.into_owned());
    Ok(static_files::respond(&request, &content))
}
