//! The HTTP interface: requests become commands and reads, answers become JSON.
//!
//! Nothing is decided here. `problem` is the one place that turns refusals into
//! statuses; `request` reads what surrounds a request (caller, body, conditions);
//! `jobs`, `contractors`, `events`, `admin`, `health` and `metrics` are the handlers; `around`
//! is what every request passes, and `access` what is written and counted of it.

mod access;
mod admin;
mod around;
mod contractors;
mod demo;
mod events;
mod health;
mod jobs;
mod metrics;
mod page;
mod problem;
mod request;
mod static_files;

use std::sync::Arc;

use actix_web::web;
use tokio::sync::Semaphore;

pub use around::{Origins, around, origin_fault};
pub use demo::{DemoAccess, Persona};
pub use problem::Problem;

use crate::auth::Authenticator;
use crate::hub::Connections;
use crate::pipeline::{CommandQueue, MetricsPage, Progress};
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
    /// Knows who is connected.
    pub connections: Connections,
    /// Numbers about the server.
    pub metrics: MetricsPage,
    /// Knows callers.
    pub authenticator: Authenticator,
    /// Bounds reads; see [`READS_MAX`].
    pub reads: Arc<Semaphore>,
    /// Whether each request has a line in the log.
    pub access_log: bool,
    /// Lets anybody in as a persona; only in demo mode.
    pub demo: Option<Arc<DemoAccess>>,
}

/// Mounts the routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            resource("/api/jobs", "GET, POST")
                .route(web::get().to(jobs::list))
                .route(web::post().to(jobs::create)),
        )
        .service(resource("/api/jobs/{id}", "GET").route(web::get().to(jobs::get)))
        .service(resource("/api/jobs/{id}/assign", "POST").route(web::post().to(jobs::assign)))
        .service(
            resource("/api/jobs/{id}/reschedule", "PUT").route(web::put().to(jobs::reschedule)),
        )
        .service(resource("/api/jobs/{id}/cancel", "POST").route(web::post().to(jobs::cancel)))
        .service(
            resource("/api/contractors", "GET, POST")
                .route(web::get().to(contractors::list))
                .route(web::post().to(contractors::create)),
        )
        .service(resource("/api/contractors/{id}", "GET").route(web::get().to(contractors::get)))
        .service(resource("/api/events", "GET").route(web::get().to(events::list)))
        .service(
            resource("/api/admin/connections", "GET, DELETE")
                .route(web::get().to(admin::connections))
                .route(web::delete().to(admin::close_user)),
        )
        .service(
            resource("/api/admin/connections/{id}", "DELETE").route(web::delete().to(admin::close)),
        )
        // A group's name has a slash, which may be written as it is.
        .service(
            resource("/api/admin/groups/{group:.+}", "GET").route(web::get().to(admin::members)),
        )
        .service(resource("/healthz", "GET").route(web::get().to(health::alive)))
        .service(resource("/readyz", "GET").route(web::get().to(health::ready)))
        .service(resource("/metrics", "GET").route(web::get().to(metrics::page)))
        .service(resource("/demo/personas", "GET").route(web::get().to(demo::personas)))
        .default_service(web::to(static_files::serve));
}

/// A path whose other methods are refused, with the ones that it has.
fn resource(path: &str, allow: &'static str) -> actix_web::Resource {
    let refuse = move || async move {
        Err::<actix_web::HttpResponse, Problem>(Problem::method_not_allowed(allow))
    };
    web::resource(path).default_service(web::to(refuse))
}
