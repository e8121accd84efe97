//! What an admin of one node has all others do.

use std::time::Duration;

use actix::Message;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::backplane::Backplane;
use super::keeper::Kept;
use crate::signalr::{CloseReason, ClosedConnections, HubHandle, Selection};

/// How long the way to the other nodes may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// Has the connections of a user closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseUser {
    /// Whose, by the subject of their token.
    pub user: String,
    /// The admin, by the subject of theirs; for the log.
    pub by: String,
    /// The request by which the admin asked for it; for the log.
    pub request_id: String,
}

impl CloseUser {
    /// Closes those of one node; their clients do not come back by themselves.
    pub async fn carry_out(&self, hub: &HubHandle) -> ClosedConnections {
        let selection = Selection { user_id: Some(self.user.clone()), ..Selection::default() };
        hub.close_selected(selection, CloseReason::Aborted).await
    }
}

/// An order on its way to all nodes.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Order {
    pub(super) close: CloseUser,
    /// Learns how many nodes took it, this one among them.
    pub(super) told: oneshot::Sender<usize>,
}

/// The nodes on the same database, where there is a backplane to reach them by. Clones
/// are the same.
#[derive(Debug, Clone, Default)]
pub struct OtherNodes {
    backplane: Option<Kept<Backplane>>,
}

impl OtherNodes {
    pub(super) fn new(backplane: Option<Kept<Backplane>>) -> Self {
        Self { backplane }
    }

    /// Passes the order on. Answers how many nodes took it, this one among them: those
    /// whose own way to Redis is cut at that moment did not. None when there is no way to
    /// any of them.
    pub async fn close_user(&self, close: CloseUser) -> Option<usize> {
        let (told, nodes) = oneshot::channel();
        self.backplane.as_ref()?.try_send(Order { close, told }).ok()?;
        timeout(ANSWER_TIME_MAX, nodes).await.ok()?.ok()
    }
}
