//! Who requests come from.

use std::time::{Duration, SystemTime};

use super::renewal::Renewal;

/// Who a request comes from.
#[derive(Debug)]
pub struct Identity<U> {
    /// For whoever handles the connection.
    pub user: U,
    /// The user's id; a connection is only for the user who negotiated it.
    pub user_id: Option<String>,
    /// When the connection has to end. Where that has passed, the request is good for a
    /// connection of the user that lives, by newer credentials, and for nothing else.
    pub expires_at: Option<SystemTime>,
}

impl<U> Identity<U> {
    pub(super) fn has_ended(&self) -> bool {
        self.expires_at.is_some_and(|at| SystemTime::now() >= at)
    }

    /// How long it is good for; none where it has no end.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        self.expires_at.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

impl<U: Send + 'static> Identity<U> {
    pub(super) fn into_renewal(self) -> Renewal {
        Renewal::new(self.user, self.expires_at)
    }
}
