//! Lists in pages.

use actix_web::HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::jobs::Refusal;
use crate::store::{PAGE_ROWS_MAX, Page, PageCursor};

/// Rows of a page when the request does not say.
const PAGE_ROWS_DEFAULT: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageJson<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

/// A page as the answer, with the last sequence that it contains.
pub(super) fn respond<T, J: Serialize>(page: Page<T>, json: impl Fn(T) -> J) -> HttpResponse {
    HttpResponse::Ok().insert_header(("X-Event-Sequence", page.sequence.to_string())).json(
        PageJson {
            items: page.items.into_iter().map(json).collect(),
            next_cursor: page.next.as_ref().map(write_cursor),
        },
    )
}

/// How many rows are asked for.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Refusal> {
    match asked {
        None => Ok(PAGE_ROWS_DEFAULT),
        Some(rows) if (1..=PAGE_ROWS_MAX).contains(&rows) => Ok(rows),
        Some(rows) => {
            Err(Refusal::field("limit", format!("is {rows}, not within 1 to {PAGE_ROWS_MAX}")))
        }
    }
}

/// A cursor's text says nothing to clients.
fn write_cursor(cursor: &PageCursor) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::json!([cursor.key, cursor.id]).to_string())
}

/// The row that a page continues after.
pub(super) fn read_cursor(text: Option<&str>) -> Result<Option<PageCursor>, Refusal> {
    let Some(text) = text else {
        return Ok(None);
    };
    let parts = URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<(String, String)>(&bytes).ok());
    match parts {
        Some((key, id)) => Ok(Some(PageCursor { key, id })),
        None => Err(Refusal::field("cursor", "is not one that this server wrote")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_and_a_made_up_one_is_refused() {
        let cursor = PageCursor { key: "2026-03-01 \"x\"".to_owned(), id: "é".to_owned() };
        assert_eq!(read_cursor(Some(&write_cursor(&cursor))), Ok(Some(cursor)));
        assert!(read_cursor(Some("nonsense")).is_err());
        assert!(read_cursor(Some("")).is_err());
    }
}
