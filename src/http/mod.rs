//! The HTTP interface: requests become commands and reads, answers become JSON.
//!
//! Nothing is decided here. `problem` is the one place that turns refusals into
//! statuses; `request` reads what surrounds a request (caller, body, conditions);
//! `jobs`, `contractors`, `events`, `admin`, `health` and `metrics` are the handlers; `around`
//! is what every request passes, `access` what is written and counted of it, and `limits`
//! what not every request passes; `description` says what each operation takes and answers,
//! and `endpoint` keeps the two together.

mod access;
mod address;
mod admin;
mod around;
mod code;
mod contractors;
mod demo;
mod description;
mod documents;
mod endpoint;
mod events;
mod health;
mod jobs;
mod limits;
mod metrics;
mod page;
mod problem;
mod rate_limiter;
mod request;
mod sign_in;
mod spelling;
mod static_files;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use tokio::sync::Semaphore;

pub use address::TrustedProxies;
pub use around::{Origins, around, origin_fault};
pub use code::Code;
pub use demo::{DemoAccess, Persona};
pub use limits::{HEADER_BYTES_MAX, HEADERS_MAX, Limits, RequestRates, TARGET_BYTES_MAX, limited};
pub use problem::Problem;
pub use sign_in::{SignIn, SignInPages, page_url_fault};
pub use static_files::Content;
pub use watch::{ConnectionWatch, KEEP_ALIVE};

use endpoint::Endpoint;

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
    /// Counts requests against their limits.
    pub rates: Arc<RequestRates>,
    /// How long a request's body may be waited for.
    pub body_timeout: Duration,
    /// The hub, described for programs.
    pub asyncapi: Arc<Content>,
    /// Lets anybody in as a persona; only in demo mode.
    pub demo: Option<Arc<DemoAccess>>,
    /// Where the page's users sign in.
    pub sign_in: Arc<SignIn>,
}

/// What a handler works with.
type State = web::Data<HttpState>;

/// What it answers.
type Answer = Result<actix_web::HttpResponse, Problem>;

/// Mounts the routes.
pub fn configure(config: &mut web::ServiceConfig) {
    for endpoint in endpoints() {
        endpoint.mount(config);
    }
    config.default_service(web::to(static_files::serve));
}

/// Every path but the page's files, each method with its description.
fn endpoints() -> Vec<Endpoint> {
    use description::{
        about, admin as of_admin, contractors as of_contractors, events as of_events,
        jobs as of_jobs,
    };
    vec![
        Endpoint::at("/api/jobs")
            .get(jobs::list, of_jobs::list)
            .post(jobs::create, of_jobs::create),
        Endpoint::at("/api/jobs/{id}").get(jobs::get, of_jobs::get),
        Endpoint::at("/api/jobs/{id}/assign").post(jobs::assign, of_jobs::assign),
        Endpoint::at("/api/jobs/{id}/reschedule").put(jobs::reschedule, of_jobs::reschedule),
        Endpoint::at("/api/jobs/{id}/cancel").post(jobs::cancel, of_jobs::cancel),
        Endpoint::at("/api/contractors")
            .get(contractors::list, of_contractors::list)
            .post(contractors::create, of_contractors::create),
        Endpoint::at("/api/contractors/{id}").get(contractors::get, of_contractors::get),
        Endpoint::at("/api/events").get(events::list, of_events::list),
        Endpoint::at("/api/admin/connections")
            .get(admin::connections, of_admin::connections)
            .delete(admin::close_user, of_admin::close_user),
        Endpoint::at("/api/admin/connections/{id}").delete(admin::close, of_admin::close),
        // A group's name has a slash, which may be written as it is.
        Endpoint::at("/api/admin/groups/{group:.+}").get(admin::members, of_admin::members),
        Endpoint::at("/healthz").get(health::alive, about::alive),
        Endpoint::at("/readyz").get(health::ready, about::ready),
        Endpoint::at("/metrics").get(metrics::page, about::metrics),
        Endpoint::at("/sign-in.json").get(sign_in::pages, about::sign_in),
        Endpoint::at("/demo/personas").get(demo::personas, about::personas),
        Endpoint::at("/openapi.json").get(documents::openapi, about::openapi),
        Endpoint::at("/asyncapi.json").get(documents::asyncapi, about::asyncapi),
        Endpoint::at("/schemas/{name}.json").get(documents::schema, about::schema),
    ]
}
