//! The HTTP interface: requests become commands and reads, answers become JSON.
//!
//! Nothing is decided here. `problem` is the one place that turns refusals into
//! statuses; `request` reads what surrounds a request (caller, body, conditions);
//! `jobs`, `contractors`, `events` and `health` are the handlers; `around` is what
//! every request passes.

mod around;
mod contractors;
mod demo;
mod events;
mod health;
mod jobs;
mod page;
mod problem;
mod request;
mod static_files;

use std::sync::Arc;

use actix_web::web;
use tokio::sync::Semaphore;

pub use around::{Origins, around};
pub use demo::{DemoAccess, Persona};
pub use problem::Problem;

use crate::auth::Authenticator;
use crate::pipeline::{CommandQueue, Progress};
use crate::store::Store;

/// Bytes of a request's body; a longer one is refused.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Reads of the database that run or wait at the same time; the next one is refused
/// with 503 at once.
pub const READS_MAX: usize = 256;

/// What the handlers work with. Clones share it.
#[derive(Clone)]
pub struct HttpState {
    /// Takes changes.
    pub commands: CommandQueue,
    /// Answers reads.
    pub store: Store,
    /// Knows how far events have come.
    pub progress: Arc<Progress>,
    /// Knows callers.
    pub authenticator: Authenticator,
    /// Bounds reads; see [`READS_MAX`].
    pub reads: Arc<Semaphore>,
    /// Lets anybody in as a persona; only in demo mode.
    pub demo: Option<Arc<DemoAccess>>,
}

/// Mounts the routes.
pub fn configure(config: &mut web::ServiceConfig) {
    let resource = |path: &str| web::resource(path).default_service(web::to(method_not_allowed));
    config
        .service(
            resource("/api/jobs")
                .route(web::get().to(jobs::list))
                .route(web::post().to(jobs::create)),
        )
        .service(resource("/api/jobs/{id}").route(web::get().to(jobs::get)))
        .service(resource("/api/jobs/{id}/assign").route(web::post().to(jobs::assign)))
        .service(resource("/api/jobs/{id}/reschedule").route(web::put().to(jobs::reschedule)))
        .service(resource("/api/jobs/{id}/cancel").route(web::post().to(jobs::cancel)))
        .service(
            resource("/api/contractors")
                .route(web::get().to(contractors::list))
                .route(web::post().to(contractors::create)),
        )
        .service(resource("/api/contractors/{id}").route(web::get().to(contractors::get)))
        .service(resource("/api/events").route(web::get().to(events::list)))
        .service(resource("/healthz").route(web::get().to(health::alive)))
        .service(resource("/readyz").route(web::get().to(health::ready)))
        .service(resource("/demo/personas").route(web::get().to(demo::personas)))
        .default_service(web::to(static_files::serve));
}

async fn method_not_allowed() -> Result<actix_web::HttpResponse, Problem> {
    Err(Problem::method_not_allowed())
}
