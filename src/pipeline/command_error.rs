//! Why a command was not carried out, whichever way it came.

use crate::jobs::Refusal;

/// Why a command was not carried out. Nothing was changed, unless it says otherwise.
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
    /// The database was lost while it was about to commit. The command may have been
    /// carried out, and then its event is on its way; the same request under the same
    /// idempotency key finds out.
    #[error("whether it was carried out is not known: {0}")]
    OutcomeUnknown(String),
    /// The program is wrong; the detail is for the log.
    #[error("internal error: {0}")]
    Internal(String),
}
