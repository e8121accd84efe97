//! Who is connected to this node, and how an admin ends that.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::groups;
use crate::jobs::{Actor, Caller, Refusal, Timestamp};
use crate::pipeline::{CloseUser, OtherNodes};
use crate::signalr::{
    CloseReason, ClosedConnections, ConnectionDetails, ConnectionPlace, HubHandle, Selection,
    TransportKind,
};
use crate::store::PageCursor;

/// Questions that are put to the worker threads at the same time: each goes through all of
/// a thread's connections, and deliveries wait for it.
const QUESTIONS_MAX: usize = 4;

/// Asks the hub's worker threads about their connections. Clones share it.
#[derive(Debug, Clone)]
pub struct Connections {
    hub: HubHandle,
    other_nodes: OtherNodes,
    node_id: Arc<str>,
    places: Arc<Semaphore>,
}

/// Which connections are listed; all, where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionFilter(Selection);

/// Too many questions wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyQuestions;

/// A page of this node's connections, those that began earlier first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionList {
    /// The connections.
    pub items: Vec<Connection>,
    /// Where the next page begins, if there is one.
    #[serde(skip)]
    pub next: Option<PageCursor>,
    /// How many there are, on this page and on others.
    pub total: usize,
    /// Whose connections they are.
    #[schema(value_type = String)]
    pub node_id: Arc<str>,
    /// Worker threads that did not answer in time: their connections are missing.
    pub silent_workers: usize,
}

/// A connection, as it was when the node was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Its public name.
    pub id: String,
    /// Whose it is.
    pub user: Actor,
    /// Since when.
    pub since: Timestamp,
    /// As negotiation names it.
    pub transport: &'static str,
    /// `json` or `messagepack`; null before the handshake.
    #[schema(required)]
    pub protocol: Option<&'static str>,
    /// The groups whose events it gets, sorted.
    pub groups: Vec<String>,
    /// What waits for its client to read it.
    pub queue: Queue,
    /// When its client last sent something, or, where it polls, had a poll open.
    pub last_heard_at: Timestamp,
    /// When its token ends, to the second.
    #[schema(required)]
    pub token_expires_at: Option<Timestamp>,
}

/// What waits for a client to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Messages that wait.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
    /// With more bytes waiting the connection is cut.
    pub bytes_max: usize,
}

/// Which nodes were told to close connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reach {
    /// This one alone.
    ThisNode,
    /// All that have a way to the backplane.
    AllNodes,
}

/// What became of a request to close connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Closed {
    /// How many this node had, and closes.
    pub closed: usize,
    /// Who was told.
    pub reach: Reach,
    /// How many nodes took it, this one among them.
    pub nodes: usize,
    /// Which node this is.
    #[schema(value_type = String)]
    pub node_id: Arc<str>,
    /// Worker threads of this node that did not answer in time: what they have may stay
    /// open.
    pub silent_workers: usize,
}

impl ConnectionFilter {
    /// The connections that all of these are true of: of a user, by the subject of its
    /// token; in a group, by its name; on a transport, by the name that negotiation has for
    /// it.
    pub fn new(
        user: Option<String>,
        group: Option<String>,
        transport: Option<&str>,
    ) -> Result<Self, Refusal> {
        let transport = match transport.map(TransportKind::from_name) {
            Some(None) => {
                let message = "is none of WebSockets, ServerSentEvents and LongPolling";
                return Err(Refusal::field("transport", message));
            }
            Some(transport) => transport,
            None => None,
        };
        Ok(Self(Selection { id: None, user_id: user, group, transport }))
    }

    /// The members of a group; none when it is no group's name, in the one spelling that it
    /// has.
    #[must_use]
    pub fn members(group: String) -> Option<Self> {
        groups::is_group(&group)
            .then(|| Self(Selection { group: Some(group), ..Selection::default() }))
    }
}

impl Connections {
    /// Of this hub, on this node.
    #[must_use]
    pub fn new(hub: HubHandle, other_nodes: OtherNodes, node_id: &str) -> Self {
        let places = Arc::new(Semaphore::new(QUESTIONS_MAX));
        Self { hub, other_nodes, node_id: node_id.into(), places }
    }

    /// At most `limit` of this node's connections, those behind the cursor, which
    /// [`is_place`](Self::is_place) knows.
    pub async fn list(
        &self,
        ConnectionFilter(selection): ConnectionFilter,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<ConnectionList, TooManyQuestions> {
        let _place = self.places.try_acquire().map_err(|_| TooManyQuestions)?;
        let after = after.map(|PageCursor { key, id }| ConnectionPlace {
            nanos: key.parse().unwrap_or_default(),
            id,
        });
        let describe = |caller: &Arc<Caller>| caller.actor.clone();
        let page = self.hub.survey(selection, after, limit, describe).await;
        Ok(ConnectionList {
            items: page.items.into_iter().map(Connection::from).collect(),
            next: page
                .next
                .map(|ConnectionPlace { nanos, id }| PageCursor { key: nanos.to_string(), id }),
            total: page.total,
            node_id: Arc::clone(&self.node_id),
            silent_workers: page.silent_workers,
        })
    }

    /// Whether a cursor is one that a list could have ended with.
    #[must_use]
    pub fn is_place(cursor: &PageCursor) -> bool {
        let is_id_char = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        cursor.key.parse::<u64>().is_ok_and(|nanos| nanos.to_string() == cursor.key)
            && cursor.id.bytes().all(is_id_char)
    }

    /// Closes one connection of this node; its client does not come back by itself.
    pub async fn close(&self, id: &str) -> Result<Closed, TooManyQuestions> {
        let _place = self.places.try_acquire().map_err(|_| TooManyQuestions)?;
        let selection = Selection { id: Some(id.to_owned()), ..Selection::default() };
        let here = self.hub.close_selected(selection, CloseReason::Aborted).await;
        Ok(self.closed(here, None))
    }

    /// Closes all connections of a user, on all nodes that can be told. Their clients do
    /// not come back by themselves; the user's token stays good.
    pub async fn close_user(&self, order: CloseUser) -> Result<Closed, TooManyQuestions> {
        let _place = self.places.try_acquire().map_err(|_| TooManyQuestions)?;
        let here = order.carry_out(&self.hub);
        let (here, nodes) = futures_util::join!(here, self.other_nodes.close_user(order.clone()));
        Ok(self.closed(here, nodes))
    }

    fn closed(&self, here: ClosedConnections, nodes: Option<usize>) -> Closed {
        Closed {
            closed: here.count,
            reach: if nodes.is_some() { Reach::AllNodes } else { Reach::ThisNode },
            nodes: nodes.unwrap_or(1),
            node_id: Arc::clone(&self.node_id),
            silent_workers: here.silent_workers,
        }
    }
}

impl From<ConnectionDetails<Actor>> for Connection {
    fn from(details: ConnectionDetails<Actor>) -> Self {
        Self {
            id: details.id,
            user: details.user,
            since: timestamp(details.since),
            transport: details.transport.name(),
            protocol: details.protocol.map(|protocol| protocol.name()),
            groups: details.groups,
            queue: Queue {
                messages: details.waiting_messages,
                bytes: details.waiting_bytes,
                bytes_max: details.waiting_bytes_max,
            },
            last_heard_at: timestamp(details.heard_at),
            token_expires_at: details.expires_at.map(|at| whole_second(timestamp(at))),
        }
    }
}

pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let epoch = Timestamp::from_millis(0).unwrap_or_else(Timestamp::now);
    epoch.saturating_add_millis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// The nearest one: claims have no parts of seconds, and two clocks lie between.
fn whole_second(time: Timestamp) -> Timestamp {
    let rest = (time.millis() + 500).rem_euclid(1_000) - 500;
    time.saturating_add_millis(-rest)
}

#[cfg(test)]
mod tests {
    use super::super::DispatchHub;
    use super::*;
    use crate::signalr::{HubOptions, HubServer};

    #[test]
    fn an_expiry_is_shown_to_the_second_that_the_token_names() {
        for (millis, shown) in [(1_999, 2_000), (2_000, 2_000), (2_001, 2_000), (2_600, 3_000)] {
            let time = Timestamp::from_millis(millis).expect("a time");
            assert_eq!(whole_second(time).millis(), shown, "{millis}");
        }
    }

    #[test]
    fn a_cursor_is_a_time_and_a_public_name() {
        let cursor = |key: &str, id: &str| PageCursor { key: key.to_owned(), id: id.to_owned() };
        assert!(Connections::is_place(&cursor("17", "aZ0-_aZ0-_aZ0-_aZ0-_aZ")));
        for (key, id) in [("-1", "a"), ("017", "a"), ("", "a"), ("1.5", "a"), ("1", "a/b")] {
            assert!(!Connections::is_place(&cursor(key, id)), "{key} {id}");
        }
    }

    #[test]
    fn members_are_asked_for_by_the_groups_one_spelling() {
        let id = "0198c5e0-0000-7000-8000-00000000000a";
        assert!(ConnectionFilter::members("dispatch/north".to_owned()).is_some());
        assert!(ConnectionFilter::members(format!("contractor/{id}")).is_some());
        for name in ["dispatch", "dispatch/", "dispatch/North", "other/north", ""] {
            assert!(ConnectionFilter::members(name.to_owned()).is_none(), "{name}");
        }
        let shouted = format!("contractor/{}", id.to_uppercase());
        assert!(ConnectionFilter::members(shouted).is_none());
    }

    #[actix_web::test]
    async fn so_many_questions_wait_and_a_further_one_is_refused() {
        let authenticate = |_: &actix_web::HttpRequest| {
            std::future::ready(Err(actix_web::http::StatusCode::FORBIDDEN))
        };
        let unmounted: HubServer<DispatchHub> =
            HubServer::new(HubOptions::default(), authenticate, || unreachable!("not mounted"));
        let connections = Connections::new(unmounted.handle(), OtherNodes::default(), "test");
        let order = || CloseUser {
            user: "nora".to_owned(),
            by: "ann".to_owned(),
            request_id: "request-1".to_owned(),
        };
        let waiting = connections.places.try_acquire_many(4).expect("four may wait");
        let list = || connections.list(ConnectionFilter::default(), None, 10);
        assert_eq!(list().await, Err(TooManyQuestions));
        assert_eq!(connections.close("id").await, Err(TooManyQuestions));
        assert_eq!(connections.close_user(order()).await, Err(TooManyQuestions));
        drop(waiting);
        assert_eq!(list().await.map(|list| list.total), Ok(0));
        assert_eq!(connections.close_user(order()).await.map(|closed| closed.closed), Ok(0));
    }
}
