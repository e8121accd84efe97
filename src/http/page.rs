//! Lists in pages.

use actix_web::HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use uuid::Uuid;

use crate::jobs::Refusal;
use crate::store::{PAGE_ROWS_MAX, Page, PageCursor};

/// Rows of a page when the request does not say.
const PAGE_ROWS_DEFAULT: usize = 100;

/// A page of a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageJson<T> {
    /// The page's rows, in the list's order.
    items: Vec<T>,
    /// The `cursor` that continues after them; null when there is no more.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A sequence that is asked for.
pub(super) fn sequence_schema() -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(u64::MAX)).build()
}

/// How many rows may be asked for.
pub(super) fn limit_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some("The most rows of a page."))
        .minimum(Some(1))
        .maximum(Some(PAGE_ROWS_MAX))
        .default(Some(PAGE_ROWS_DEFAULT.into()))
        .build()
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
pub(super) fn write_cursor(cursor: &PageCursor) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::json!([cursor.key, cursor.id]).to_string())
}

/// The row that a page continues after; its key is one that `is_key` knows.
pub(super) fn read_cursor(
    text: Option<&str>,
    is_key: impl Fn(&str) -> bool,
) -> Result<Option<PageCursor>, Refusal> {
    read_cursor_of(text, |row| is_key(&row.key) && Uuid::try_parse(&row.id).is_ok())
}

/// The same for rows of another kind, which `is_row` knows.
pub(super) fn read_cursor_of(
    text: Option<&str>,
    is_row: impl Fn(&PageCursor) -> bool,
) -> Result<Option<PageCursor>, Refusal> {
    let Some(text) = text else {
        return Ok(None);
    };
    let parts = URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<(String, String)>(&bytes).ok());
    match parts.map(|(key, id)| PageCursor { key, id }) {
        Some(row) if is_row(&row) => Ok(Some(row)),
        Some(_) | None => Err(Refusal::field("cursor", "is not one that this server wrote")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_and_a_made_up_one_is_refused() {
        let id = "0190a5e4-7c1b-7d3f-8a52-6f1e2d3c4b5a".to_owned();
        let cursor = PageCursor { key: "2026-03-01 \"x\"".to_owned(), id };
        let read = |text: &str| read_cursor(Some(text), |key| key.starts_with("2026"));
        assert_eq!(read(&write_cursor(&cursor)), Ok(Some(cursor.clone())));
        let other_key = PageCursor { key: "é".to_owned(), ..cursor.clone() };
        let other_id = PageCursor { id: "é".to_owned(), ..cursor };
        for made_up in [write_cursor(&other_key), write_cursor(&other_id), "nonsense".into()] {
            assert!(read(&made_up).is_err(), "{made_up}");
        }
        assert!(read("").is_err());
    }
}
