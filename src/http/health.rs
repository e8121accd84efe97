//! Whether the process lives, and whether it can serve.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::HttpState;
use crate::auth::KeysState;
use crate::pipeline::{PartState, blocking};

/// How long a database may take to answer until it counts as down.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// That the process lives.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    status: PartState,
}

/// What can be served, and what of the server works.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Readiness {
    /// Whether commands can be served.
    ready: bool,
    /// The database of jobs.
    job_store: PartState,
    /// The event log, and whether it is written.
    event_log: PartState,
    /// The link between nodes.
    backplane: PartState,
    /// The issuer's keys that tokens are checked with; absent where none are configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sign_in_keys: Option<PartState>,
}

/// Answers whenever the process can answer at all.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: PartState::Up })
}

/// 200 when commands can be served, which needs the job store, and something to check
/// callers' tokens with; 503 otherwise.
pub(super) async fn ready(state: web::Data<HttpState>) -> HttpResponse {
    let (jobs, log) = (state.store.jobs.clone(), state.store.log.clone());
    let jobs = timeout(ANSWER_TIME_MAX, blocking(move || jobs.ping()));
    let log = timeout(ANSWER_TIME_MAX, blocking(move || log.ping()));
    let (jobs, log) = tokio::join!(jobs, log);
    let job_store = state_of(matches!(jobs, Ok(Ok(()))));
    let event_log = match state_of(matches!(log, Ok(Ok(())))) {
        PartState::Up => state.progress.log_state(),
        other => other,
    };
    let has_begun = state.progress.has_begun();
    let job_store = if has_begun { job_store } else { PartState::Down };
    let sign_in_keys = state.authenticator.keys().map(|report| keys_state(report.state));
    let knows_callers = state.authenticator.has_secret() || sign_in_keys != Some(PartState::Down);
    let can_serve = job_store == PartState::Up && knows_callers;
    let backplane = state.progress.backplane_state();
    let body = Readiness { ready: can_serve, job_store, event_log, backplane, sign_in_keys };
    if can_serve {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().insert_header(("Retry-After", "1")).json(body)
    }
}

pub(super) fn keys_state(state: KeysState) -> PartState {
    match state {
        KeysState::Current => PartState::Up,
        KeysState::Kept => PartState::Degraded,
        KeysState::Missing => PartState::Down,
    }
}

fn state_of(is_up: bool) -> PartState {
    if is_up { PartState::Up } else { PartState::Down }
}
