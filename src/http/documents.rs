//! What describes the interface to programs.

use std::sync::LazyLock;

use actix_web::HttpResponse;

use super::description::Document;
use super::endpoints;
use super::problem::Problem;

/// The interface of HTTP, as OpenAPI 3.1 in JSON.
static OPENAPI: LazyLock<String> = LazyLock::new(|| {
    let mut document = Document::default();
    for endpoint in endpoints() {
        endpoint.describe(&mut document);
    }
    document.finish().to_json().expect("a description has string keys only")
});

pub(super) async fn openapi() -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().content_type("application/json").body(OPENAPI.as_str()))
}
