//! The web page, from the binary.

use std::borrow::Cow;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::Embed;
use sha2::{Digest as _, Sha256};

use super::problem::Problem;

/// What the build staged; nothing when it was built without the page.
#[derive(Embed)]
#[folder = "$OUT_DIR/static"]
struct Files;

/// The file of that path, a page's `index.html` for the page's own; else there is no such
/// thing.
pub(super) async fn serve(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let path = match request.path().trim_start_matches('/') {
        "" => "index.html",
        "admin" => "admin/index.html",
        "docs" => "docs/index.html",
        path => path,
    };
    let Some(file) = Files::get(path) else {
        return Err(Problem::not_found("there is no such page"));
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Err(Problem::method_not_allowed("GET, HEAD"));
    }
    let content = Content {
        media_type: media_type(path),
        tag: tag(&file.metadata.sha256_hash()),
        bytes: file.data,
    };
    Ok(respond(&request, &content))
}

/// Bytes that do not change while the program runs.
#[derive(Debug, Clone)]
pub struct Content {
    media_type: &'static str,
    tag: String,
    bytes: Cow<'static, [u8]>,
}

impl Content {
    /// Bytes of this type.
    #[must_use]
    pub fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { media_type, tag: tag(&Sha256::digest(&bytes)), bytes: bytes.into() }
    }
}

fn tag(hash: &[u8]) -> String {
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    format!("\"{hex}\"")
}

/// The content, or that it is still what the caller has.
pub(super) fn respond(request: &HttpRequest, content: &Content) -> HttpResponse {
    let is_known = request
        .headers()
        .get("if-none-match")
        .is_some_and(|known| known.as_bytes() == content.tag.as_bytes());
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    // The names do not change with the content, so browsers ask each time.
    response
        .insert_header(("ETag", content.tag.as_str()))
        .insert_header(("Cache-Control", "no-cache"));
    if is_known {
        return response.finish();
    }
    response
        .insert_header(("Content-Type", content.media_type))
        .body(content.bytes.clone().into_owned())
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some(_) | None => "text/plain; charset=utf-8",
    }
}
