//! Mounts a hub on paths of an actix-web app.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Actor as _;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};

use super::Hub;
use super::handle::HubHandle;
use super::session::Session;
use super::shard::Shard;
use super::worker::HubWorker;
use crate::signalr::connection::{Accepted, Endpoint, EndpointSetup, Identity};
use crate::signalr::options::{ConnectionOptions, HubOptions};

/// A hub that can be mounted in every worker of a server. Clones are the same hub.
pub struct HubServer<H: Hub> {
    inner: Arc<Inner<H>>,
}

struct Inner<H: Hub> {
    options: HubOptions,
    setup: Arc<EndpointSetup<H::User>>,
    make_hub: Box<dyn Fn() -> H + Send + Sync>,
    handle: HubHandle,
}

impl<H: Hub> Clone for HubServer<H> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<H: Hub> HubServer<H> {
    /// A hub that is mounted nowhere yet. `authenticate` sees every request, and
    /// refuses by status; `make_hub` runs once per worker thread.
    pub fn new<F>(
        options: HubOptions,
        authenticate: impl Fn(&HttpRequest) -> F + Send + Sync + 'static,
        make_hub: impl Fn() -> H + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Identity<H::User>, StatusCode>> + 'static,
    {
        let setup = Arc::new(EndpointSetup::new(&options.connection, authenticate));
        let handle = HubHandle::new(options.publications_max, Arc::clone(setup.counts()));
        let make_hub = Box::new(make_hub);
        Self { inner: Arc::new(Inner { options, setup, make_hub, handle }) }
    }

    /// Has every request pass this that would open a connection, or names none that there
    /// is: before its caller is known (`None`), and with the user's id afterwards. A refusal
    /// is how long to wait, and is answered with 429. The first to be set counts.
    pub fn admit_by(
        &self,
        admit: impl Fn(&HttpRequest, Option<&str>) -> Result<(), Duration> + Send + Sync + 'static,
    ) {
        self.inner.setup.admit_by(admit);
    }

    /// Reaches every connection of the hub.
    #[must_use]
    pub fn handle(&self) -> HubHandle {
        self.inner.handle.clone()
    }

    /// Negotiated connections that wait for their transport.
    #[must_use]
    pub fn reservations(&self) -> usize {
        self.inner.setup.reservations()
    }

    /// Mounts the hub on these paths of one worker's app, all with the hub's own
    /// options. Must run on the worker's thread, as an app's `configure` does.
    pub fn configure(&self, paths: &[&str], config: &mut web::ServiceConfig) {
        let options = &self.inner.options.connection;
        let endpoints: Vec<_> = paths.iter().map(|path| (*path, options.clone())).collect();
        self.configure_endpoints(&endpoints, config);
    }

    /// Mounts the hub on these paths, each with options of its own. Connections of all
    /// paths share groups, and the hub's bounds on their number.
    pub fn configure_endpoints(
        &self,
        endpoints: &[(&str, ConnectionOptions)],
        config: &mut web::ServiceConfig,
    ) {
        let options = Rc::new(self.inner.options.clone());
        let worker = Rc::new(HubWorker {
            hub: Rc::new((self.inner.make_hub)()),
            methods: H::methods(),
            shard: Shard::start(&self.inner.handle, Rc::clone(&options)),
            options,
        });
        let host = self.inner.setup.start_host();
        for (path, options) in endpoints {
            let worker = Rc::clone(&worker);
            let endpoint = Endpoint {
                setup: Arc::clone(&self.inner.setup),
                options: Rc::new(options.clone()),
                host: Rc::clone(&host),
                handler: Rc::new(move |accepted: Accepted<H::User>| {
                    Session::new(Rc::clone(&worker), accepted).start();
                }),
            };
            endpoint.mount(path, config);
        }
    }
}
