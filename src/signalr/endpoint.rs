//! Mounts a hub on paths of an actix-web app.

use std::any::Any;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix::Actor as _;
use actix_web::dev::Extensions;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, guard, web};
use socket2::{SockRef, Socket};

use super::connection::{Connection, Timers};
use super::hub::Hub;
use super::negotiate::{
    ConnectionTokens, NegotiateVersion, TokenError, bad_version_json, negotiate_json,
};
use super::options::HubOptions;
use super::outbound::Outbound;
use super::session::{Session, SessionInput};
use super::shard::HubHandle;
use super::transport::{TransportKind, websocket};
use super::worker::HubWorker;

/// Who a request comes from.
#[derive(Debug)]
pub struct Identity<U> {
    /// For the hub's methods.
    pub user: U,
    /// The user's id; a connection is only for the user who negotiated it.
    pub user_id: Option<String>,
    /// When the connection has to end.
    pub expires_at: Option<SystemTime>,
}

type Authenticate<U> = dyn Fn(&HttpRequest) -> Result<Identity<U>, StatusCode> + Send + Sync;

/// A hub that can be mounted in every worker of a server. Clones are the same hub.
pub struct HubServer<H: Hub> {
    inner: Arc<Inner<H>>,
}

struct Inner<H: Hub> {
    options: HubOptions,
    authenticate: Box<Authenticate<H::User>>,
    make_hub: Box<dyn Fn() -> H + Send + Sync>,
    tokens: Arc<ConnectionTokens>,
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
    pub fn new(
        options: HubOptions,
        authenticate: impl Fn(&HttpRequest) -> Result<Identity<H::User>, StatusCode>
        + Send
        + Sync
        + 'static,
        make_hub: impl Fn() -> H + Send + Sync + 'static,
    ) -> Self {
        let tokens = ConnectionTokens::new(options.reservation_timeout, options.reservations_max);
        let tokens = Arc::new(tokens);
        let handle = HubHandle::new(&options);
        let (authenticate, make_hub) = (Box::new(authenticate), Box::new(make_hub));
        Self { inner: Arc::new(Inner { options, authenticate, make_hub, tokens, handle }) }
    }

    /// Reaches every connection of the hub.
    #[must_use]
    pub fn handle(&self) -> HubHandle {
        self.inner.handle.clone()
    }

    /// Mounts the hub on these paths of one worker's app. Connections of all paths
    /// share groups. Must run on the worker's thread, as an app's `configure` does.
    pub fn configure(&self, paths: &[&str], config: &mut web::ServiceConfig) {
        let worker = Rc::new(HubWorker {
            options: self.inner.options.clone(),
            hub: Rc::new((self.inner.make_hub)()),
            methods: H::methods(),
            shard: self.inner.handle.start_shard(self.inner.options.clone()),
            tokens: Arc::clone(&self.inner.tokens),
        });
        let endpoint = Rc::new(Endpoint { worker, server: self.clone() });
        for path in paths {
            let negotiate = Rc::clone(&endpoint);
            let connect = Rc::clone(&endpoint);
            config.service(
                web::resource(format!("{path}/negotiate"))
                    .route(web::route().guard(guard::Post()).to(move |request: HttpRequest| {
                        let answer = negotiate.negotiate(&request);
                        async move { answer }
                    }))
                    .default_service(web::to(method_not_allowed)),
            );
            config.service(web::resource(*path).route(web::route().to(
                move |request: HttpRequest, payload: web::Payload| {
                    let answer = connect.serve(&request, payload);
                    async move { answer }
                },
            )));
        }
    }
}

async fn method_not_allowed() -> HttpResponse {
    HttpResponse::MethodNotAllowed().finish()
}

/// Answers the requests of one worker thread.
struct Endpoint<H: Hub> {
    worker: Rc<HubWorker<H>>,
    server: HubServer<H>,
}

impl<H: Hub> Endpoint<H> {
    fn authenticate(&self, request: &HttpRequest) -> Result<Identity<H::User>, StatusCode> {
        (self.server.inner.authenticate)(request)
    }

    fn negotiate(&self, request: &HttpRequest) -> HttpResponse {
        let identity = match self.authenticate(request) {
            Ok(identity) => identity,
            Err(status) => return HttpResponse::new(status),
        };
        let query = Query::of(request);
        let Some(version) = NegotiateVersion::parse(query.get("negotiateversion")) else {
            return json(bad_version_json());
        };
        let tokens = &self.worker.tokens;
        match tokens.reserve(version, identity.user_id, Instant::now()) {
            Some(reservation) => json(negotiate_json(version, &reservation)),
            None => HttpResponse::ServiceUnavailable().insert_header(("Retry-After", "1")).finish(),
        }
    }

    fn serve(&self, request: &HttpRequest, payload: web::Payload) -> HttpResponse {
        let identity = match self.authenticate(request) {
            Ok(identity) => identity,
            Err(status) => return HttpResponse::new(status),
        };
        let query = Query::of(request);
        let token = query.get("id");
        let method = request.method().as_str();
        let accepts_events = request.headers().get("accept").is_some_and(|accept| {
            accept.to_str().is_ok_and(|text| text.contains("text/event-stream"))
        });
        match method {
            "GET" if !accepts_events && websocket::is_upgrade(request) => {
                self.connect_websocket(request, payload, identity, token)
            }
            "GET" if accepts_events => self.refuse(token, unsupported("ServerSentEvents")),
            "GET" => self.refuse(token, unsupported("LongPolling")),
            "POST" => self.refuse(
                token,
                text(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "POST requests are not allowed for WebSocket connections.",
                ),
            ),
            "DELETE" => self.refuse(
                token,
                text(
                    StatusCode::BAD_REQUEST,
                    "Cannot terminate this connection using the DELETE endpoint.",
                ),
            ),
            _ => HttpResponse::MethodNotAllowed().finish(),
        }
    }

    /// The answer to a request that names a connection which is not for it.
    fn refuse(&self, token: Option<&str>, answer: HttpResponse) -> HttpResponse {
        let Some(token) = token else {
            return text(StatusCode::BAD_REQUEST, "Connection ID required");
        };
        match self.worker.tokens.is_active(token, Instant::now()) {
            None => unknown_connection(),
            Some(_) => answer,
        }
    }

    fn connect_websocket(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        identity: Identity<H::User>,
        token: Option<&str>,
    ) -> HttpResponse {
        let now = Instant::now();
        let tokens = &self.worker.tokens;
        let id = match token {
            None => tokens.unnegotiated(),
            Some(token) => match tokens.claim(token, identity.user_id.as_deref(), now) {
                Ok(id) => id,
                Err(TokenError::Unknown) => return unknown_connection(),
                Err(TokenError::Taken) => return HttpResponse::Conflict().finish(),
                Err(TokenError::OtherUser) => {
                    return text(
                        StatusCode::FORBIDDEN,
                        "The user associated with this connection changed.",
                    );
                }
            },
        };
        let connection = Rc::new(Connection::new(
            id.into(),
            TransportKind::WebSockets,
            Outbound::new(self.worker.options.output_bytes_max, now),
            Timers::new(now, identity.expires_at.map(|at| now + until(at))),
            socket_of(request),
        ));
        match websocket::accept(request, Rc::clone(&connection)) {
            Ok(response) => {
                let input = SessionInput { payload, token: token.map(str::to_owned) };
                Session::new(Rc::clone(&self.worker), connection, identity.user, input).start();
                response
            }
            Err(status) => {
                self.worker.release(token);
                HttpResponse::new(status)
            }
        }
    }
}

/// How long it is until then; nothing if it has passed.
fn until(at: SystemTime) -> Duration {
    at.duration_since(SystemTime::now()).unwrap_or_default()
}

fn json(body: String) -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::json()).body(body)
}

fn text(status: StatusCode, body: &'static str) -> HttpResponse {
    HttpResponse::build(status).insert_header(("Content-Type", "text/plain")).body(body)
}

fn unsupported(transport: &str) -> HttpResponse {
    HttpResponse::NotFound()
        .insert_header(("Content-Type", "text/plain"))
        .body(format!("{transport} transport not supported by this end point type"))
}

fn unknown_connection() -> HttpResponse {
    text(StatusCode::NOT_FOUND, "No Connection with that ID")
}

/// A query's parameters, by lower-case name.
struct Query(HashMap<String, String>);

impl Query {
    fn of(request: &HttpRequest) -> Self {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        let pairs = pairs.map(web::Query::into_inner).unwrap_or_default();
        Self(pairs.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Bytes that the kernel may hold for one connection. Without it Linux keeps up to
/// 4 MB for a client that does not read.
const SOCKET_SEND_BUFFER_BYTES: usize = 128 * 1024;

/// How long sent bytes may stay unacknowledged before the kernel gives the
/// connection up: the last resort for a peer that has vanished.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Prepares an accepted socket, and keeps a second handle of it beside the
/// connection so that a client which does not read can be cut off. For
/// `HttpServer::on_connect`, before `bind`; without it such a client is cut off
/// by the kernel only.
pub fn remember_socket(io: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = io.downcast_ref::<actix_web::rt::net::TcpStream>() else {
        return;
    };
    let socket = SockRef::from(stream);
    let prepared = socket
        .set_send_buffer_size(SOCKET_SEND_BUFFER_BYTES)
        .and_then(|()| socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT)))
        .and_then(|()| socket.set_keepalive(true));
    if let Err(error) = prepared {
        // The peer may be gone by now; if not, the defaults serve it.
        log::debug!("a socket's options could not be set: {error}");
    }
    match socket.try_clone() {
        Ok(handle) => {
            extensions.insert(Rc::new(handle));
        }
        Err(error) => log::warn!("no second handle for a socket: {error}"),
    }
}

/// The handle lives as long as the connection; a session only borrows it, since a
/// handle of its own would keep the socket open.
fn socket_of(request: &HttpRequest) -> Weak<Socket> {
    request.conn_data::<Rc<Socket>>().map_or_else(Weak::new, Rc::downgrade)
}
