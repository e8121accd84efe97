//! The web page, from the binary.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::Embed;

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
        path => path,
    };
    let Some(file) = Files::get(path) else {
        return Err(Problem::not_found("there is no such page"));
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Err(Problem::method_not_allowed("GET, HEAD"));
    }
    let hash: String = file.metadata.sha256_hash().iter().map(|b| format!("{b:02x}")).collect();
    let tag = format!("\"{hash}\"");
    let is_known = request
        .headers()
        .get("if-none-match")
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    // The names do not change with the content, so browsers ask each time.
    response.insert_header(("ETag", tag)).insert_header(("Cache-Control", "no-cache"));
    if is_known {
        return Ok(response.finish());
    }
    Ok(response.insert_header(("Content-Type", media_type(path))).body(file.data.into_owned()))
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
