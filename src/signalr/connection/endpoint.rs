//! The HTTP surface of a connection: negotiation, and the requests of each transport.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, guard, web};
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use tokio::sync::oneshot;

use super::host::{Bound, HostMessage, LinkCounts, LinkHost};
use super::identity::Identity;
use super::inbound::{LinkInput, Source};
use super::link::{Link, LinkStart};
use super::negotiate::{NegotiateVersion, negotiate_json, redirect_json, version_error_json};
use super::pipe::PipeError;
use super::refresh::mount_refresh;
use super::refusal::{PLAIN_TEXT, Refusal};
use super::registry::{Claimed, Found, Full, Live, Reconnect, Registry, random_id};
use super::socket::socket_of;
use super::transport_kind::TransportKind;
use crate::signalr::options::ConnectionOptions;
use crate::signalr::transport::websocket::{
    OutboundBody, RemoteSocket, SocketReader, accept, is_upgrade,
};
use crate::signalr::transport::{long_polling, server_sent_events};

/// Whether a request may open a connection, or names one that is not there: `None` before
/// the caller is known, the user's id afterwards. A refusal is how long to wait.
type Admit = dyn Fn(&HttpRequest, Option<&str>) -> Result<(), Duration> + Send + Sync;

type Authenticate<U> =
    dyn Fn(&HttpRequest) -> LocalBoxFuture<'static, Result<Identity<U>, StatusCode>> + Send + Sync;

/// What the endpoints of all worker threads share.
pub(in crate::signalr) struct EndpointSetup<U> {
    authenticate: Box<Authenticate<U>>,
    pub(super) registry: Arc<Registry>,
    counts: Arc<LinkCounts>,
    admit: OnceLock<Box<Admit>>,
}

/// A connection whose transport has just started, for whoever handles it.
pub(in crate::signalr) struct Accepted<U> {
    pub(in crate::signalr) link: Rc<Link>,
    pub(in crate::signalr) input: LinkInput,
    pub(in crate::signalr) user: U,
}

impl<U: 'static> EndpointSetup<U> {
    /// `authenticate` sees every request, and refuses by status. The bounds of all
    /// endpoints together are those of `options`.
    pub(in crate::signalr) fn new<F>(
        options: &ConnectionOptions,
        authenticate: impl Fn(&HttpRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Identity<U>, StatusCode>> + 'static,
    {
        Self {
            authenticate: Box::new(move |request| authenticate(request).boxed_local()),
            registry: Arc::new(Registry::new(options)),
            counts: Arc::default(),
            admit: OnceLock::new(),
        }
    }

    /// Has requests that would open a connection pass this; the first to be set counts.
    pub(in crate::signalr) fn admit_by(
        &self,
        admit: impl Fn(&HttpRequest, Option<&str>) -> Result<(), Duration> + Send + Sync + 'static,
    ) {
        // A second one means nothing.
        let _ = self.admit.set(Box::new(admit));
    }

    pub(super) fn admit(
        &self,
        request: &HttpRequest,
        user_id: Option<&str>,
    ) -> Result<(), Refusal> {
        let admitted = self.admit.get().map_or(Ok(()), |admit| admit(request, user_id));
        admitted.map_err(Refusal::TooFast)
    }

    fn full(&self, full: Full) -> Refusal {
        self.counts.refuse(match full {
            Full::Server => Bound::Connections,
            Full::User => Bound::UserConnections,
        });
        full.into()
    }

    /// What there is of connections.
    pub(in crate::signalr) fn counts(&self) -> &Arc<LinkCounts> {
        &self.counts
    }

    /// Negotiated connections that wait for their transport.
    pub(in crate::signalr) fn reservations(&self) -> usize {
        self.registry.reservations(Instant::now())
    }

    /// Starts what holds the connections of the current worker thread.
    pub(in crate::signalr) fn start_host(&self) -> Rc<LinkHost> {
        LinkHost::start(Arc::clone(&self.registry), Arc::clone(&self.counts))
    }
}

/// Answers the requests of one path, on one worker thread.
pub(in crate::signalr) struct Endpoint<U> {
    pub(in crate::signalr) setup: Arc<EndpointSetup<U>>,
    pub(in crate::signalr) options: Rc<ConnectionOptions>,
    pub(in crate::signalr) host: Rc<LinkHost>,
    /// Takes a new connection over.
    pub(in crate::signalr) handler: Rc<dyn Fn(Accepted<U>)>,
}

impl<U: Send + 'static> Endpoint<U> {
    /// Mounts it. A slash at the path's end means nothing.
    pub(in crate::signalr) fn mount(self, path: &str, config: &mut web::ServiceConfig) {
        let path = path.trim_end_matches('/');
        let endpoint = Rc::new(self);
        let negotiate = Rc::clone(&endpoint);
        config.service(
            web::resource([format!("{path}/negotiate"), format!("{path}/negotiate/")])
                .route(web::route().guard(guard::Post()).to(move |request: HttpRequest| {
                    let endpoint = Rc::clone(&negotiate);
                    async move { endpoint.negotiate(&request).await }
                }))
                .default_service(web::to(method_not_allowed)),
        );
        if endpoint.options.authentication_refresh {
            mount_refresh(&endpoint, path, config);
        }
        config.service(web::resource([path.to_owned(), format!("{path}/")]).route(
            web::route().to(move |request: HttpRequest, payload: web::Payload| {
                let endpoint = Rc::clone(&endpoint);
                async move { endpoint.serve(request, payload).await }
            }),
        ));
    }

    /// Who a request comes from whose credentials have to be good.
    pub(super) async fn identify(&self, request: &HttpRequest) -> Result<Identity<U>, StatusCode> {
        let identity = (self.setup.authenticate)(request).await?;
        if identity.has_ended() { Err(StatusCode::UNAUTHORIZED) } else { Ok(identity) }
    }

    /// Whether the token names a connection of this user that lives, and whose requests come
    /// one by one. Its clients may not know yet that it got newer credentials: the official
    /// one in JavaScript brings those that it began with to the end.
    fn is_live(&self, identity: &Identity<U>, token: Option<&str>) -> bool {
        let found = token.and_then(|token| self.find(identity, token).ok());
        matches!(found, Some(Found::Live(live)) if live.transport != TransportKind::WebSockets)
    }

    async fn negotiate(&self, request: &HttpRequest) -> HttpResponse {
        self.try_negotiate(request).await.unwrap_or_else(Refusal::into_response)
    }

    async fn try_negotiate(&self, request: &HttpRequest) -> Result<HttpResponse, Refusal> {
        self.setup.admit(request, None)?;
        let identity = self.identify(request).await?;
        if let Some(user_id) = &identity.user_id {
            self.setup.admit(request, Some(user_id))?;
        }
        let target = self.options.redirect.as_ref().and_then(|redirect| redirect.target(request));
        if let Some(target) = target {
            return Ok(json(redirect_json(&target)));
        }
        let query = Query::of(request);
        let asked = query.get("negotiateversion");
        let version = match NegotiateVersion::parse(asked, self.options.negotiate_version_min) {
            Ok(version) => version,
            Err(error) => return Ok(json(version_error_json(error))),
        };
        let is_stateful = self.options.stateful_reconnect
            && self.options.transports.web_sockets
            && query.get("usestatefulreconnect").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let may_refresh = self.options.authentication_refresh && version != NegotiateVersion::Zero;
        let lifetime = identity.lifetime().filter(|_| may_refresh);
        let registry = &self.setup.registry;
        match registry.reserve(version, identity.user_id, is_stateful, Instant::now()) {
            Ok(made) => {
                let transports = self.options.transports;
                Ok(json(negotiate_json(version, transports, &made, lifetime)))
            }
            Err(full) => Err(self.setup.full(full)),
        }
    }

    async fn serve(&self, request: HttpRequest, payload: web::Payload) -> HttpResponse {
        let query = Query::of(&request);
        let token = query.get("id");
        // What a live connection's client asks for has bounds of its own.
        let is_known = token.is_some_and(|token| self.setup.registry.knows(token, Instant::now()));
        if !is_known && let Err(refusal) = self.setup.admit(&request, None) {
            return refusal.into_response();
        }
        let identity = match (self.setup.authenticate)(&request).await {
            Ok(identity) if !identity.has_ended() || self.is_live(&identity, token) => identity,
            Ok(_) => return Refusal::Status(StatusCode::UNAUTHORIZED).into_response(),
            Err(status) => return Refusal::Status(status).into_response(),
        };
        let answer = match request.method().as_str() {
            "GET" if server_sent_events::is_asked_for(&request) => {
                self.start_events(&request, identity, token)
            }
            "GET" if is_upgrade(&request) => {
                self.start_socket(&request, payload, identity, token).await
            }
            "GET" => {
                let answer = self.poll(&request, identity, token).await;
                return answer.unwrap_or_else(|refusal| {
                    long_polling::not_to_be_kept(refusal.into_response())
                });
            }
            "POST" => self.post(payload, &identity, token).await,
            "DELETE" => self.terminate(&identity, token).await,
            _ => return HttpResponse::MethodNotAllowed().finish(),
        };
        answer.unwrap_or_else(Refusal::into_response)
    }

    fn requires(&self, transport: TransportKind) -> Result<(), Refusal> {
        if transport.is_among(self.options.transports) {
            return Ok(());
        }
        Err(Refusal::Unsupported(transport))
    }

    /// What a token leads to; every refusal that does not depend on the transport.
    fn find(&self, identity: &Identity<U>, token: &str) -> Result<Found, Refusal> {
        let user_id = identity.user_id.as_deref();
        Ok(self.setup.registry.find(token, user_id, Instant::now())?)
    }

    fn claim(
        &self,
        identity: &Identity<U>,
        token: &str,
        transport: TransportKind,
    ) -> Result<Claimed, Refusal> {
        let (user_id, now) = (identity.user_id.as_deref(), Instant::now());
        let inbox = self.host.inbox();
        let claimed = self.setup.registry.claim(token, user_id, transport, inbox, now);
        // None: another request has taken it since it was looked up.
        claimed?.ok_or(Refusal::Taken)
    }

    /// Makes the connection of a claim, and has its handler start.
    fn open(
        &self,
        request: &HttpRequest,
        identity: Identity<U>,
        claimed: Claimed,
        token: String,
        transport: TransportKind,
        source: Source,
    ) -> Rc<Link> {
        let now = Instant::now();
        let start = LinkStart {
            id: claimed.connection_id,
            token,
            user_id: identity.user_id,
            peer: request.peer_addr(),
            transport,
            source,
            // A poll's socket is not the connection's.
            socket: match transport {
                TransportKind::LongPolling => Weak::new(),
                TransportKind::WebSockets | TransportKind::ServerSentEvents => socket_of(request),
            },
            expires_at: identity.expires_at,
            reconnect: claimed.reconnect,
            place: claimed.place,
        };
        let link = Link::new(start, &self.options, &self.host, now);
        self.host.add(&link);
        let (input, user) = (link.input(), identity.user);
        (self.handler)(Accepted { link: Rc::clone(&link), input, user });
        link
    }

    fn start_events(
        &self,
        request: &HttpRequest,
        identity: Identity<U>,
        token: Option<&str>,
    ) -> Result<HttpResponse, Refusal> {
        const KIND: TransportKind = TransportKind::ServerSentEvents;
        self.requires(KIND)?;
        let token = token.ok_or(Refusal::NoId)?;
        if let Found::Live(live) = self.find(&identity, token)? {
            return Err(other_transport_or_taken(&live, KIND));
        }
        let mut claimed = self.claim(&identity, token, KIND)?;
        let source = self.posts(&mut claimed);
        let link = self.open(request, identity, claimed, token.to_owned(), KIND, source);
        Ok(server_sent_events::response(link))
    }

    fn posts(&self, claimed: &mut Claimed) -> Source {
        claimed.input.take().map_or(Source::None, |input| {
            input.widen(self.options.input_bytes_max);
            Source::Pipe(input)
        })
    }

    async fn start_socket(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        identity: Identity<U>,
        token: Option<&str>,
    ) -> Result<HttpResponse, Refusal> {
        const KIND: TransportKind = TransportKind::WebSockets;
        self.requires(KIND)?;
        if let Some(token) = token
            && let Found::Live(live) = self.find(&identity, token)?
        {
            return self.reconnect_socket(request, payload, identity, token, &live).await;
        }
        // Before anything is claimed: a refusal leaves the reservation alone.
        let mut response = accept(request)?;
        let (claimed, token) = match token {
            Some(token) => (self.claim(&identity, token, KIND)?, token.to_owned()),
            None => self.unnegotiated(request, &identity)?,
        };
        let source = Source::Socket(self.socket_reader(payload));
        let link = self.open(request, identity, claimed, token, KIND, source);
        Ok(response.body(OutboundBody::new(link)))
    }

    fn socket_reader(&self, payload: web::Payload) -> SocketReader {
        SocketReader::new(payload, self.options.frame_bytes_max)
    }

    /// A connection for a client that did not negotiate; it is nobody's to name.
    fn unnegotiated(
        &self,
        request: &HttpRequest,
        identity: &Identity<U>,
    ) -> Result<(Claimed, String), Refusal> {
        let user_id = identity.user_id.as_deref();
        if user_id.is_some() {
            self.setup.admit(request, user_id)?;
        }
        let place = self.setup.registry.admit(user_id, Instant::now());
        let claimed = Claimed {
            connection_id: random_id(),
            place: place.map_err(|full| self.setup.full(full))?,
            input: None,
            reconnect: Arc::new(Reconnect::default()),
        };
        Ok((claimed, random_id()))
    }

    /// A second socket for a connection: it takes the first one's place where that is
    /// agreed on.
    async fn reconnect_socket(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        identity: Identity<U>,
        token: &str,
        live: &Live,
    ) -> Result<HttpResponse, Refusal> {
        if live.transport != TransportKind::WebSockets || !live.reconnect.is_possible() {
            return Err(other_transport_or_taken(live, TransportKind::WebSockets));
        }
        let mut response = accept(request)?;
        let (socket, body) =
            RemoteSocket::lend(self.socket_reader(payload), socket_of(request), &self.host);
        let (is_taken, taken) = oneshot::channel();
        let (token, renewal) = (token.to_owned(), identity.into_renewal());
        let attach = HostMessage::Attach { token, socket, renewal, is_taken };
        // A worker that is gone took its connections along.
        live.host.send(attach).await.map_err(|_| Refusal::UnknownConnection)?;
        match taken.await {
            Ok(true) => Ok(response.body(body)),
            Ok(false) | Err(_) => Err(Refusal::Taken),
        }
    }

    async fn poll(
        &self,
        request: &HttpRequest,
        identity: Identity<U>,
        token: Option<&str>,
    ) -> Result<HttpResponse, Refusal> {
        const KIND: TransportKind = TransportKind::LongPolling;
        self.requires(KIND)?;
        let token = token.ok_or(Refusal::NoId)?;
        let live = match self.find(&identity, token)? {
            Found::Live(live) if live.transport == KIND => live,
            Found::Live(live) => return Err(other_transport_or_taken(&live, KIND)),
            Found::Reserved => {
                let mut claimed = self.claim(&identity, token, KIND)?;
                let source = self.posts(&mut claimed);
                let link = self.open(request, identity, claimed, token.to_owned(), KIND, source);
                link.set_polled(false, Instant::now());
                return Ok(long_polling::first_response());
            }
        };
        let (reply, answer) = oneshot::channel();
        let poll = long_polling::Poll { reply, socket: socket_of(request) };
        let renewal = identity.into_renewal();
        let message = HostMessage::Poll { token: token.to_owned(), poll, renewal };
        live.host.send(message).await.map_err(|_| Refusal::UnknownConnection)?;
        // No answer: it was gone when the message came.
        answer
            .await
            .map(long_polling::PollAnswer::into_response)
            .map_err(|_| Refusal::UnknownConnection)
    }

    async fn post(
        &self,
        payload: web::Payload,
        identity: &Identity<U>,
        token: Option<&str>,
    ) -> Result<HttpResponse, Refusal> {
        let token = token.ok_or(Refusal::NoId)?;
        let input = match self.find(identity, token)? {
            Found::Live(live) => live.input,
            Found::Reserved => self.setup.registry.early_input(token),
        };
        let Some(input) = input else {
            return Err(Refusal::PostOnWebSocket);
        };
        match input.write(payload, self.options.body_timeout).await {
            Ok(()) => Ok(text(StatusCode::OK, "")),
            Err(PipeError::Closed) => Err(Refusal::UnknownConnection),
            Err(PipeError::Body) => Err(Refusal::BrokenBody),
            Err(PipeError::Late) => Err(Refusal::LateBody),
        }
    }

    async fn terminate(
        &self,
        identity: &Identity<U>,
        token: Option<&str>,
    ) -> Result<HttpResponse, Refusal> {
        let token = token.ok_or(Refusal::NoId)?;
        let found = self.find(identity, token)?;
        let Found::Live(live @ Live { transport: TransportKind::LongPolling, .. }) = found else {
            return Err(Refusal::NotPolling);
        };
        let message = HostMessage::Terminate { token: token.to_owned() };
        live.host.send(message).await.map_err(|_| Refusal::UnknownConnection)?;
        Ok(text(StatusCode::ACCEPTED, ""))
    }
}

pub(super) async fn method_not_allowed() -> HttpResponse {
    HttpResponse::MethodNotAllowed().finish()
}

pub(super) fn json(body: String) -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::json()).body(body)
}

fn text(status: StatusCode, body: &'static str) -> HttpResponse {
    HttpResponse::build(status).insert_header(PLAIN_TEXT).body(body)
}

fn other_transport_or_taken(live: &Live, asked: TransportKind) -> Refusal {
    if live.transport == asked { Refusal::Taken } else { Refusal::OtherTransport }
}

/// A query's parameters, by lower-case name.
pub(super) struct Query(HashMap<String, String>);

impl Query {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        let pairs = pairs.map(web::Query::into_inner).unwrap_or_default();
        Self(pairs.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}
