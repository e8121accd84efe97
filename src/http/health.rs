//! Whether the process lives, and whether it can serve.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::HttpState;
use crate::pipeline::{PartState, blocking};

/// Answers whenever the process can answer at all.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "up" }))
}

/// 200 when commands can be served, which needs the job store alone; 503 otherwise.
pub(super) async fn ready(state: web::Data<HttpState>) -> HttpResponse {
    let (jobs, log) = (state.store.jobs.clone(), state.store.log.clone());
    let job_store = state_of(blocking(move || jobs.ping()).await.is_ok());
    let event_log = match state_of(blocking(move || log.ping()).await.is_ok()) {
        PartState::Up => state.progress.log_state(),
        other => other,
    };
    let can_serve = job_store == PartState::Up;
    let body = json!({
        "ready": can_serve,
        "jobStore": job_store,
        "eventLog": event_log,
        // A single node needs none.
        "backplane": PartState::Up,
    });
    if can_serve {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().insert_header(("Retry-After", "1")).json(body)
    }
}

fn state_of(is_up: bool) -> PartState {
    if is_up { PartState::Up } else { PartState::Down }
}
