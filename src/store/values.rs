//! Values on their way between columns and domain types, the same on every database.

use std::fmt::Display;
use std::str::FromStr;

use crate::jobs::{Region, Sequence};

use super::StoreError;

/// A sequence as a database holds it. One that is past what it can count to is past
/// every row, and so is the highest that it can.
pub(super) fn stored_sequence(sequence: Sequence) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// How many rows, as a statement takes it.
pub(super) fn stored_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A number of a column, in the range of its domain type.
pub(super) fn number<T: TryFrom<i64>>(column: &str, value: i64) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| garbled(column, value))
}

/// A value as the JSON text that a column holds or a statement takes.
pub(super) fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A value from the JSON text that a column holds.
pub(super) fn from_json<'a, T: serde::Deserialize<'a>>(
    column: &str,
    text: &'a str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| garbled(column, error))
}

/// A value from its text.
pub(super) fn parsed<T: FromStr>(column: &str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| garbled(column, text))
}

/// A region's name.
pub(super) fn region(column: &str, text: &str) -> Result<Region, StoreError> {
    Region::parse(text).ok_or_else(|| garbled(column, text))
}

/// That a column holds what this program would not have written.
pub(super) fn garbled(column: &str, value: impl Display) -> StoreError {
    StoreError::Corrupt(format!("{column}: {value}"))
}

/// A part of a page's cursor, which whoever reads cursors has checked.
pub(super) fn cursor_part<T>(part: Option<T>) -> Result<T, StoreError> {
    part.ok_or_else(|| StoreError::Corrupt("a cursor is not one that was written here".to_owned()))
}
