//! Who is connected.

use actix_web::http::StatusCode;
use serde_json::{Value, json};

use super::examples;
use super::operation::{Body, Description};
use crate::http::admin::{CloseQuery, ListJson, ListQuery, PageQuery};
use crate::hub::Closed;

pub(super) const TAG: &str = "admin";

const ADMINS: &str = "For admins.";
const GROUP: &str = "^[a-z0-9/-]+$";

pub(in crate::http) fn connections() -> Description {
    Description::of(TAG, "listConnections", "List this node's connections, the oldest first")
        .for_callers(ADMINS)
        .query::<ListQuery>()
        .answers(StatusCode::OK, "A page of connections.", Body::json::<ListJson>(page()), &[])
}

pub(in crate::http) fn members() -> Description {
    Description::of(TAG, "listMembers", "List this node's connections in a group")
        .for_callers(ADMINS)
        .path_text("group", "`dispatch/{region}` or `contractor/{contractorId}`.", GROUP)
        .query::<PageQuery>()
        .answers(StatusCode::OK, "A page of connections.", Body::json::<ListJson>(page()), &[])
}

pub(in crate::http) fn close() -> Description {
    Description::of(TAG, "closeConnection", "Close one connection of this node")
        .for_callers(ADMINS)
        .path_text("id", "The connection's public name.", "^[A-Za-z0-9_-]+$")
        .answers(StatusCode::OK, "It is closed.", Body::json::<Closed>(closed("thisNode")), &[])
}

pub(in crate::http) fn close_user() -> Description {
    let text = "They are closed, as far as the answer says.";
    Description::of(TAG, "closeConnections", "Close all connections of a user, on every node")
        .for_callers(ADMINS)
        .query::<CloseQuery>()
        .answers(StatusCode::OK, text, Body::json::<Closed>(closed("allNodes")), &[])
}

fn page() -> Value {
    json!({
        "items": [{
            "id": "s3Jx0rN1kQ2mY8vT7bWc4A",
            "user": examples::event()["actor"],
            "since": "2026-03-01T08:59:12.400Z",
            "transport": "WebSockets",
            "protocol": "json",
            "groups": ["dispatch/north"],
            "queue": { "messages": 0, "bytes": 0, "bytesMax": 1_048_576 },
            "lastHeardAt": "2026-03-01T09:14:58.020Z",
            "tokenExpiresAt": "2026-03-01T17:00:00.000Z",
        }],
        "total": 1,
        "nodeId": "dispatch-1-5f0c",
        "silentWorkers": 0,
        "nextCursor": null,
    })
}

fn closed(reach: &str) -> Value {
    json!({
        "closed": 1, "reach": reach, "nodes": 1, "nodeId": "dispatch-1-5f0c", "silentWorkers": 0,
    })
}
