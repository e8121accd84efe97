//! Who is connected, for admins, and the end of connections.

use std::sync::Arc;

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use super::request::{Authenticated, RequestId, query};
use super::{Answer, HttpState, State, page};
use crate::hub::{Closed, ConnectionFilter, ConnectionList, Connections, TooManyQuestions};
use crate::jobs::{Caller, Refusal};
use crate::pipeline::CloseUser;

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only connections of this subject of a token.
    user: Option<String>,
    /// Only connections in this group.
    group: Option<String>,
    /// Only connections on this transport, by negotiation's name for it.
    #[param(pattern = "^(WebSockets|ServerSentEvents|LongPolling)$")]
    transport: Option<String>,
    #[param(schema_with = page::limit_schema, required = false)]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    #[param(schema_with = page::limit_schema, required = false)]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CloseQuery {
    /// Whose connections: the subject of a token.
    #[param(required, min_length = 1)]
    user: Option<String>,
}

/// A page of this node's connections, those that began earlier first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConnectionPage)]
pub(super) struct ListJson {
    #[serde(flatten)]
    list: ConnectionList,
    /// The `cursor` that continues after them; null when there is no more.
    #[schema(required)]
    next_cursor: Option<String>,
}

pub(super) async fn connections(
    state: State,
    caller: Authenticated,
    request: HttpRequest,
) -> Answer {
    admin(caller)?;
    let ListQuery { user, group, transport, limit, cursor } = query(&request)?;
    let filter = ConnectionFilter::new(user, group, transport.as_deref())?;
    list(&state, filter, &PageQuery { limit, cursor }).await
}

pub(super) async fn members(
    state: State,
    caller: Authenticated,
    request: HttpRequest,
    group: web::Path<String>,
) -> Answer {
    admin(caller)?;
    let asked = query::<PageQuery>(&request)?;
    let filter = ConnectionFilter::members(group.into_inner());
    list(&state, filter.ok_or_else(|| Problem::not_found("there is no such group"))?, &asked).await
}

async fn list(state: &HttpState, filter: ConnectionFilter, asked: &PageQuery) -> Answer {
    let after = page::read_cursor_of(asked.cursor.as_deref(), Connections::is_place)?;
    let list = state.connections.list(filter, after, page::limit(asked.limit)?).await?;
    let next_cursor = list.next.as_ref().map(page::write_cursor);
    Ok(HttpResponse::Ok().json(ListJson { list, next_cursor }))
}

pub(super) async fn close(
    state: State,
    caller: Authenticated,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    let admin = admin(caller)?;
    let closed = state.connections.close(&id).await?;
    match (closed.closed, closed.silent_workers) {
        (0, 0) => return Err(Problem::not_found("this node has no such connection")),
        (0, _) => return Err(Problem::unavailable("not every worker thread answered in time")),
        (_, _) => {}
    }
    log::info!(
        connection = id.as_str(), by = admin.actor.id.as_str(),
        request_id = request_id(&request)?.as_str();
        "an admin closed a connection"
    );
    Ok(HttpResponse::Ok().json(closed))
}

pub(super) async fn close_user(
    state: State,
    caller: Authenticated,
    request: HttpRequest,
) -> Answer {
    let admin = admin(caller)?;
    let user = query::<CloseQuery>(&request)?.user.filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| Refusal::field("user", "is needed: whose connections"))?;
    let order = CloseUser {
        user: user.clone(),
        by: admin.actor.id.clone(),
        request_id: request_id(&request)?.as_str().to_owned(),
    };
    let closed = state.connections.close_user(order.clone()).await?;
    let Closed { closed: count, nodes, silent_workers, .. } = closed;
    log::info!(
        user = order.user.as_str(), by = order.by.as_str(),
        request_id = order.request_id.as_str(), closed = count, nodes = nodes,
        silent_workers = silent_workers;
        "an admin closed a user's connections"
    );
    Ok(HttpResponse::Ok().json(closed))
}

/// The caller, who has to be one.
fn admin(Authenticated(caller): Authenticated) -> Result<Arc<Caller>, Problem> {
    if caller.is_admin { Ok(caller) } else { Err(Problem::forbidden("connections are for admins")) }
}

fn request_id(request: &HttpRequest) -> Result<RequestId, Problem> {
    request.extensions().get::<RequestId>().cloned().ok_or_else(Problem::internal)
}

impl From<TooManyQuestions> for Problem {
    fn from(TooManyQuestions: TooManyQuestions) -> Self {
        Self::unavailable("too many questions about connections wait; nothing was changed")
    }
}
