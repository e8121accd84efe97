//! Builds the parts, wires them, and owns the order of start and of stop.
//!
//! The builder here is the one that tests use too: what is tested is what runs.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix_cors::Cors;
use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::{Condition, from_fn};
use actix_web::{App, HttpMessage as _, HttpRequest, HttpServer, web};
use tokio::sync::Semaphore;

use crate::auth::{AuthConfig, AuthFault, Authenticator, Denial, bearer_token};
use crate::http::{
    self, ConnectionWatch, DemoAccess, HttpState, Limits, Origins, RequestRates, SignIn,
    SignInPages,
};
use crate::hub::{Connections, DispatchHub, HUB_PATHS, HubParts, Presence, PresenceTask, asyncapi};
use crate::jobs::Caller;
use crate::pipeline::{self, Metrics, MetricsPage, Pipeline, PipelineConfig};
use crate::signalr::{CloseReason, HubHandle, HubOptions, HubServer, Identity, remember_socket};
use crate::store::{self, Store, StoreConfig, StoreError};
use crate::telemetry;
use crate::tls::{ServerCertificate, TlsFault, TlsFiles};

/// What a server is made of.
#[derive(Clone)]
pub struct ServerConfig {
    /// Address and port; port 0 picks a free one.
    pub listen: String,
    /// The databases.
    pub store: StoreConfig,
    /// Who may call.
    pub auth: AuthConfig,
    /// From which pages.
    pub origins: Origins,
    /// Lets everybody in as a persona.
    pub demo: Option<Arc<DemoAccess>>,
    /// Where the page's users sign in.
    pub sign_in: SignInPages,
    /// Bounds and intervals of the pipeline.
    pub pipeline: PipelineConfig,
    /// Timers and bounds of the hub.
    pub hub: HubOptions,
    /// Whether each request and each connection has its lines in the log.
    pub access_log: bool,
    /// Bounds of requests.
    pub limits: Limits,
    /// What TLS is served with; without it, whoever is on the way can read along.
    pub tls: Option<TlsFiles>,
    /// How long a stop may take.
    pub stop_timeout: Duration,
}

impl ServerConfig {
    /// What of it could not be used, a line each. Asks nobody, and opens nothing but a file
    /// of keys.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut look = |name: &str, fault: Option<String>| {
            faults.extend(fault.map(|fault| format!("{name}: {fault}")));
        };
        let address = self.listen.to_socket_addrs();
        look("listen", address.err().map(|error| format!("'{}': {error}", self.listen)));
        look("database", store::check(&self.store).err().map(|error| error.to_string()));
        for (name, fault) in self.auth.faults() {
            look(name, Some(fault.to_string()));
        }
        let is_wide = self.auth.clock_skew > CLOCK_SKEW_MAX;
        look("jwt_clock_skew_seconds", is_wide.then(|| "is more than 300".to_owned()));
        for origin in self.origins.allowed() {
            look("allowed_origins", http::origin_fault(origin));
        }
        let SignInPages { sign_in_url, token_renewal_url } = &self.sign_in;
        look("sign_in_url", sign_in_url.as_deref().and_then(http::page_url_fault));
        look("token_renewal_url", token_renewal_url.as_deref().and_then(http::page_url_fault));
        let redis = self.pipeline.redis_url.as_deref().and_then(pipeline::redis_url_fault);
        look("redis_url", redis);
        let tls = self.tls.as_ref().and_then(TlsFiles::fault);
        look("tls_certificate", tls.map(|fault| fault.to_string()));
        for (name, fault) in self.limits.faults() {
            look(name, Some(fault));
        }
        for (name, fault) in hub_faults(&self.hub) {
            look(name, Some(fault));
        }
        let is_short = self.stop_timeout < STOP_TIMEOUT_MIN;
        look("stop_timeout_seconds", is_short.then(|| "is less than 1".to_owned()));
        faults
    }
}

/// What of the hub's bounds could not be used, by the names of their settings.
fn hub_faults(hub: &HubOptions) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    if hub.connection.connections_max == 0 {
        faults.push(("connections_max", "is 0: nobody could connect".to_owned()));
    }
    if hub.groups_per_connection_max == 0 {
        faults.push(("groups_per_connection_max", "is 0: nobody could follow anything".to_owned()));
    }
    let pace = hub.invocations_per_second_max.map_or(0, NonZeroU32::get);
    if pace > INVOCATIONS_PER_SECOND_MAX {
        let fault = format!("is more than {INVOCATIONS_PER_SECOND_MAX}; 0 is no limit");
        faults.push(("invocations_per_second_per_connection", fault));
    }
    faults
}

/// No connection makes more; a higher bound is none.
const INVOCATIONS_PER_SECOND_MAX: u32 = 1_000_000;

/// A shorter stop could not even say goodbye.
const STOP_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Clocks that are further apart are wrong, and not to be tolerated.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Tokens cannot be checked, or could be forged.
    #[error(transparent)]
    Auth(#[from] AuthFault),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which address.
        address: String,
        /// Why.
        error: io::Error,
    },
}

/// A server that takes requests.
pub struct RunningServer {
    /// Where.
    pub address: SocketAddr,
    is_tls: bool,
    /// Takes commands, and knows how far events have come.
    pub pipeline: Pipeline,
    /// The databases.
    pub store: Store,
    hub: HubHandle,
    http: ServerHandle,
    stop_timeout: Duration,
    _presence: PresenceTask,
}

/// Sockets of one worker thread beside those of the hub's connections; whoever comes then
/// waits in the system's queue. More than enough for the hub to say that it is full.
const HTTP_SOCKETS_MAX: usize = 10_000;

/// How long a closed connection is given to take what was sent last.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts a server. Must run within an actix system.
pub fn start(config: ServerConfig) -> Result<RunningServer, StartError> {
    let authenticator = Authenticator::new(&config.auth)?;
    let store = store::open(&config.store)?;
    let parts = Arc::new(OnceLock::new());
    let options = HubOptions {
        log_connections: config.access_log.then_some(telemetry::ACCESS),
        ..config.hub.clone()
    };
    let hub = hub_server(options, authenticator.clone(), Arc::clone(&parts));
    let metrics = Arc::new(Metrics::new(&config.store.node_id));
    let rates = Arc::new(RequestRates::new(&config.limits, Arc::clone(&metrics)));
    let admission = Arc::clone(&rates);
    hub.admit_by(move |request, user_id| match user_id {
        None => admission.admit_address(request),
        Some(id) => admission.admit_caller(id),
    });
    let pipeline =
        Pipeline::start(store.clone(), hub.handle(), &config.pipeline, Arc::clone(&metrics));
    let (commands, feed) = (pipeline.commands.clone(), pipeline.feed.clone());
    let (presence, presence_task) = Presence::start(hub.handle(), pipeline.neighbours.clone());
    parts.get_or_init(|| HubParts {
        authenticator: authenticator.clone(),
        store: store.clone(),
        commands,
        feed,
        presence,
    });
    let state = HttpState {
        commands: pipeline.commands.clone(),
        store: store.clone(),
        progress: Arc::clone(&pipeline.progress),
        connections: Connections::new(
            hub.handle(),
            pipeline.other_nodes.clone(),
            &config.store.node_id,
        ),
        metrics: MetricsPage::new(Arc::clone(&metrics), &pipeline, store.clone(), hub.handle()),
        authenticator,
        rates,
        body_timeout: config.limits.body_timeout,
        reads: Arc::new(Semaphore::new(http::READS_MAX)),
        access_log: config.access_log,
        asyncapi: Arc::new(http::Content::new("application/json", asyncapi().to_string().into())),
        demo: config.demo.clone(),
        sign_in: Arc::new(SignIn::new(config.sign_in.clone())),
    };
    let handle = hub.handle();
    let (address, http) = listen(&config, state, hub, metrics)?;
    let stop_timeout = config.stop_timeout;
    Ok(RunningServer {
        address,
        is_tls: config.tls.is_some(),
        pipeline,
        store,
        hub: handle,
        http,
        stop_timeout,
        _presence: presence_task,
    })
}

fn hub_server(
    options: HubOptions,
    authenticator: Authenticator,
    parts: Arc<OnceLock<HubParts>>,
) -> HubServer<DispatchHub> {
    let authenticate =
        move |request: &HttpRequest| identify(request.clone(), authenticator.clone());
    // The pipeline needs the hub's handle, and the hub's methods need the pipeline; they
    // are made when the first worker starts, and by then it runs.
    let make_hub = move || DispatchHub::new(parts.get().expect("the pipeline runs").clone());
    HubServer::new(options, authenticate, make_hub)
}

/// The caller of a hub request. Browsers cannot set headers on every kind of it, so the
/// token may stand in the query instead; the header wins. Whether one that has expired will
/// do is the hub's to say where the request names a connection.
async fn identify(
    request: HttpRequest,
    authenticator: Authenticator,
) -> Result<Identity<Arc<Caller>>, StatusCode> {
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    let parameter = |name: &str| {
        let mut pairs = query.iter().flat_map(|pairs| pairs.iter());
        pairs.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    let token = match request.headers().get(AUTHORIZATION) {
        Some(header) => header.to_str().ok().and_then(bearer_token),
        None => parameter("access_token"),
    };
    let token = token.ok_or(StatusCode::UNAUTHORIZED)?;
    let proved = match parameter("id") {
        Some(_) => authenticator.authenticate_expired(token).await,
        None => authenticator.authenticate(token).await,
    };
    let proved = proved.map_err(|denial| {
        log::debug!(error:% = denial; "a token was refused");
        match denial {
            Denial::Refused(_) => StatusCode::UNAUTHORIZED,
            Denial::KeysUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    })?;
    // Whoever writes down the request wants to know.
    request.extensions_mut().insert(Arc::clone(&proved.caller));
    let user_id = Some(proved.caller.actor.id.clone());
    Ok(Identity { user: proved.caller, user_id, expires_at: Some(proved.expires_at) })
}

fn listen(
    config: &ServerConfig,
    state: HttpState,
    hub: HubServer<DispatchHub>,
    metrics: Arc<Metrics>,
) -> Result<(SocketAddr, ServerHandle), StartError> {
    let certificate = config.tls.clone().map(|files| {
        let metrics = Arc::clone(&metrics);
        ServerCertificate::load(files, move |at| metrics.certificate_expires(at))
    });
    let certificate = certificate.transpose()?;
    let watch = ConnectionWatch::new(&config.limits, metrics);
    actix_web::rt::spawn(Arc::clone(&watch).sweep_forever());
    let is_tls = certificate.is_some();
    let sockets_max = config.hub.connection.connections_max + HTTP_SOCKETS_MAX;
    let state = web::Data::new(state);
    let origins = web::Data::new(config.origins.clone());
    let failed = |error| StartError::Listen { address: config.listen.clone(), error };
    let server = HttpServer::new(move || {
        let hub = hub.clone();
        App::new()
            .app_data(state.clone())
            .app_data(origins.clone())
            .wrap(from_fn(http::limited))
            .wrap(Condition::new(!origins.allowed().is_empty(), cors(&origins, is_tls)))
            .wrap(from_fn(http::around))
            .configure(move |config| hub.configure(&HUB_PATHS, config))
            .configure(http::configure)
    })
    .on_connect(move |io, connection| {
        remember_socket(io, connection);
        watch.add(connection);
    })
    .keep_alive(http::KEEP_ALIVE)
    // Small messages must not wait for an acknowledgement of those before them.
    .tcp_nodelay(true)
    // A client that shuts its half is gone; otherwise nobody would notice.
    .h1_allow_half_closed(false)
    .client_request_timeout(config.limits.head_timeout)
    .client_disconnect_timeout(DISCONNECT_TIMEOUT)
    // The rest is the log's.
    .shutdown_timeout((config.stop_timeout * 3 / 4).as_secs().max(1))
    .backlog(4096)
    .max_connections(sockets_max)
    // As many at the same time: with fewer, some that stall keep all others out.
    .max_connection_rate(sockets_max)
    .tls_handshake_timeout(config.limits.head_timeout)
    .disable_signals();
    let server = match &certificate {
        None => server.bind(&config.listen),
        Some(certificate) => {
            actix_web::rt::spawn(Arc::clone(certificate).reload_forever());
            server.bind_rustls_0_23(&config.listen, certificate.server_config())
        }
    };
    let server = server.map_err(failed)?;
    let address = *server.addrs().first().ok_or_else(|| failed(io::ErrorKind::Other.into()))?;
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok((address, handle))
}

/// Lets configured origins read answers, as SignalR's browser client asks for it:
/// with credentials, and so by name.
fn cors(origins: &Origins, is_tls: bool) -> Cors {
    let origins = origins.clone();
    Cors::default()
        .allowed_origin_fn(move |origin, request| {
            let host = request.headers.get("host").and_then(|host| host.to_str().ok());
            origin.to_str().is_ok_and(|origin| origins.is_allowed(origin, host, is_tls))
        })
        .allow_any_method()
        .allow_any_header()
        .expose_headers([
            "etag",
            "location",
            "retry-after",
            "x-event-id",
            "x-event-sequence",
            "x-request-id",
        ])
        .supports_credentials()
        .max_age(600)
}

/// How far apart connections are told to come back, as long as the stop has the time.
const DRAIN_TIME_PER_CONNECTION: Duration = Duration::from_millis(2);

/// So few come back at once.
const DRAINED_AT_ONCE_MAX: usize = 50;

impl RunningServer {
    /// Over what time connections are told to come back: half of what the stop may take.
    fn drain_time(&self) -> Duration {
        match u32::try_from(self.connections()).unwrap_or(u32::MAX) {
            few if few as usize <= DRAINED_AT_ONCE_MAX => Duration::ZERO,
            many => DRAIN_TIME_PER_CONNECTION.saturating_mul(many).min(self.stop_timeout / 2),
        }
    }

    /// Its address as clients begin theirs.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// How many hub connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.hub.connections()
    }

    /// Stops in order: no new connections; connections are told to come back, spread over
    /// a time if they are many; what is in flight is finished; the log is written; threads
    /// end.
    pub async fn stop(self) {
        let until = Instant::now() + self.stop_timeout;
        let stopping = self.http.stop(true);
        let spread = self.drain_time();
        if !spread.is_zero() {
            self.hub.drain(&CloseReason::ServerShutdown, spread);
            actix_web::rt::time::sleep(spread).await;
        }
        self.hub.close_all(&CloseReason::ServerShutdown);
        stopping.await;
        if !self.pipeline.flush(until.saturating_duration_since(Instant::now())).await {
            log::warn!("not every event is in the log; the next start brings the rest");
        }
        self.pipeline.stop();
    }
}
