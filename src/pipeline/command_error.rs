//! Why a command was not carried out, whichever way it came.

use crate::jobs::Refusal;

/// Why a command was not carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// As many commands wait as may.
    #[error("too many commands wait")]
    Busy,
    /// The database did not do its part; later it may.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The program is wrong; the detail is for the log.
    #[error("internal error: {0}")]
    Internal(String),
}
