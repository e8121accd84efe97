//! `POST {path}/refresh`: newer credentials for a connection that lives, as the reference
//! server's later versions take them (`HttpConnectionDispatcher.cs`, `ProcessRefresh`).

use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, guard, web};
use serde_json::json;

use super::endpoint::{Endpoint, Query, json as json_answer, method_not_allowed};
use super::host::HostMessage;
use super::refusal::{RETRY_AFTER, Refusal};
use super::registry::{Found, TokenError};
use super::renewal::RenewalError;

/// How long newer credentials may wait for the connection to take them: for a call that
/// runs, and for what the hub has to look up.
const RENEWAL_TIME_MAX: Duration = Duration::from_secs(10);

/// Why newer credentials do not count, in the reference server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefreshRefusal {
    /// The caller asks too often.
    TooFast(Refusal),
    /// The caller is not let in, or this cannot be told for now.
    Status(StatusCode),
    /// The request names no connection.
    NoId,
    /// It names one that is not there, or is gone.
    Unknown,
    /// It names one by its public id.
    PublicId,
    /// The connection belongs to somebody else.
    OtherUser,
    /// The hub does not want them.
    Rejected,
}

/// Mounts it beside the endpoint.
pub(super) fn mount_refresh<U: Send + 'static>(
    endpoint: &Rc<Endpoint<U>>,
    path: &str,
    config: &mut web::ServiceConfig,
) {
    let endpoint = Rc::clone(endpoint);
    let refresh = move |request: HttpRequest| {
        let endpoint = Rc::clone(&endpoint);
        async move { endpoint.refresh(&request).await.unwrap_or_else(RefreshRefusal::into_response) }
    };
    config.service(
        web::resource([format!("{path}/refresh"), format!("{path}/refresh/")])
            .route(web::route().guard(guard::Post()).to(refresh))
            .default_service(web::to(method_not_allowed)),
    );
}

impl<U: Send + 'static> Endpoint<U> {
    async fn refresh(&self, request: &HttpRequest) -> Result<HttpResponse, RefreshRefusal> {
        self.setup.admit(request, None)?;
        let identity = self.identify(request).await.map_err(RefreshRefusal::Status)?;
        if let Some(user_id) = &identity.user_id {
            self.setup.admit(request, Some(user_id))?;
        }
        let query = Query::of(request);
        let token = query.get("id").ok_or(RefreshRefusal::NoId)?;
        let lifetime = identity.lifetime();
        let registry = &self.setup.registry;
        let found = registry.find(token, identity.user_id.as_deref(), Instant::now())?;
        if registry.is_public(token) {
            return Err(RefreshRefusal::PublicId);
        }
        // A reserved one begins with those that its transport's request brings.
        if let Found::Live(live) = found {
            let (renewal, done) = identity.into_renewal().awaited();
            let message = HostMessage::Renew { token: token.to_owned(), renewal };
            live.host.send(message).await.map_err(|_| RefreshRefusal::Unknown)?;
            match tokio::time::timeout(RENEWAL_TIME_MAX, done).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(RenewalError::Rejected))) => return Err(RefreshRefusal::Rejected),
                Ok(Ok(Err(RenewalError::Unavailable))) | Err(_) => {
                    return Err(RefreshRefusal::Status(StatusCode::SERVICE_UNAVAILABLE));
                }
                // It ended meanwhile.
                Ok(Err(_)) => return Err(RefreshRefusal::Unknown),
            }
        }
        let answer = match lifetime {
            Some(lifetime) => json!({ "tokenLifetimeSeconds": lifetime.as_secs() }),
            None => json!({}),
        };
        Ok(json_answer(answer.to_string()))
    }
}

impl RefreshRefusal {
    fn into_response(self) -> HttpResponse {
        let (status, code) = match self {
            Self::TooFast(refusal) => return refusal.into_response(),
            Self::Status(StatusCode::UNAUTHORIZED) => (StatusCode::UNAUTHORIZED, "invalid_token"),
            Self::Status(status) => (status, "refresh_unavailable"),
            Self::NoId => (StatusCode::BAD_REQUEST, "missing_connection_token"),
            Self::Unknown => (StatusCode::NOT_FOUND, "connection_not_found"),
            Self::PublicId => (StatusCode::BAD_REQUEST, "unsupported_negotiate_version"),
            Self::OtherUser => (StatusCode::FORBIDDEN, "user_changed"),
            Self::Rejected => (StatusCode::FORBIDDEN, "permission_change_rejected"),
        };
        let mut response = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header(RETRY_AFTER);
        }
        response.json(json!({ "error": code }))
    }
}

impl From<Refusal> for RefreshRefusal {
    fn from(refusal: Refusal) -> Self {
        Self::TooFast(refusal)
    }
}

impl From<TokenError> for RefreshRefusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Unknown => Self::Unknown,
            TokenError::OtherUser => Self::OtherUser,
        }
    }
}
