//! What went wrong, as the rest of the program needs to know it.

use diesel::result::{DatabaseErrorKind, Error};

use super::StoreError;

impl StoreError {
    /// That nobody waits any more for what was about to be committed.
    pub(super) fn late() -> Self {
        Self::Unavailable("it took too long, and was rolled back".to_owned())
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::DatabaseError(kind, information) => database(&kind, information.message()),
            // A row that is missing or cannot be read was not written by this program.
            Error::NotFound
            | Error::DeserializationError(_)
            | Error::SerializationError(_)
            | Error::QueryBuilderError(_)
            | Error::InvalidCString(_) => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<r2d2::Error> for StoreError {
    fn from(error: r2d2::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Trouble with the database itself (busy, locked, full, read-only, shutting down) has no
/// kind in diesel, or one that may pass. Rows that break a constraint, and tables that
/// are missing or garbled, stay as they are, however often it is tried.
fn database(kind: &DatabaseErrorKind, message: &str) -> StoreError {
    const LASTING: [&str; 5] =
        ["malformed", "not a database", "no such", "has no column", "does not exist"];
    let breaks_a_constraint = matches!(
        kind,
        DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::CheckViolation
    );
    // Two transactions that both were right alone.
    let is_contended = matches!(
        kind,
        DatabaseErrorKind::SerializationFailure | DatabaseErrorKind::ExclusionViolation
    );
    if is_contended {
        StoreError::Contended(message.to_owned())
    } else if breaks_a_constraint || LASTING.iter().any(|text| message.contains(text)) {
        StoreError::Corrupt(message.to_owned())
    } else {
        StoreError::Unavailable(message.to_owned())
    }
}
