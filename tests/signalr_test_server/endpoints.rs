//! What is mounted where, and who may enter.

use std::future::ready;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, LOCATION, SET_COOKIE};
use actix_web::http::uri::Uri;
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, web};
use signalbox::signalr::{
    ConnectionOptions, ConnectionServer, HubOptions, HubServer, Identity, RawConnection, Redirect,
    RedirectTarget, TransferFormat, Transports, WebSocket,
};

use crate::hub::{TestHub, Visitor};
use crate::state::TestState;

/// Everything that has connections.
#[derive(Clone)]
pub struct Servers {
    pub hub: HubServer<TestHub>,
    pub echo: ConnectionServer<()>,
    endpoints: Vec<(&'static str, ConnectionOptions)>,
}

/// The longest message that the plain echo takes.
const ECHO_BYTES_MAX: usize = 16 * 1024 * 1024;

const NO_TRANSPORT: Transports =
    Transports { web_sockets: false, server_sent_events: false, long_polling: false };

impl Servers {
    pub fn new(options: &HubOptions, state: &Arc<TestState>) -> Self {
        let all = &options.connection;
        let only = |transports| ConnectionOptions { transports, ..all.clone() };
        let leading = |path: &'static str, with_token| ConnectionOptions {
            redirect: Some(redirect(path, with_token, Arc::clone(state))),
            ..all.clone()
        };
        let endpoints = vec![
            ("/testhub", all.clone()),
            (
                "/testhub-nowebsockets",
                only(Transports { web_sockets: false, ..Transports::default() }),
            ),
            ("/testhub-websockets", only(Transports { web_sockets: true, ..NO_TRANSPORT })),
            ("/testhub-sse", only(Transports { server_sent_events: true, ..NO_TRANSPORT })),
            ("/testhub-longpolling", only(Transports { long_polling: true, ..NO_TRANSPORT })),
            ("/testhub-nostateful", ConnectionOptions { stateful_reconnect: false, ..all.clone() }),
            (
                "/testhub-norefresh",
                ConnectionOptions { authentication_refresh: false, ..all.clone() },
            ),
            ("/authorizedhub", all.clone()),
            ("/uncreatable", all.clone()),
            ("/redirect", leading("/testHub?numRedirects=", false)),
            ("/redirect-with-token", leading("/authorizedhub?redirected=yes", true)),
        ];
        let (keys, shared) = (Arc::clone(state), Arc::clone(state));
        let hub = HubServer::new(
            options.clone(),
            move |request| ready(authenticate(request, &keys)),
            move || TestHub::new(Arc::clone(&shared)),
        );
        let nobody =
            |_: &HttpRequest| ready(Ok(Identity { user: (), user_id: None, expires_at: None }));
        let echo = ConnectionServer::new(all.clone(), TransferFormat::Text, nobody, send_back);
        Self { hub, echo, endpoints }
    }

    pub fn configure(&self, config: &mut web::ServiceConfig) {
        self.hub.configure_endpoints(&self.endpoints, config);
        self.echo.configure("/echo", config);
        config
            .route("/wsecho", web::get().to(plain_echo))
            .route("/echoredirect{rest:.*}", web::to(redirect_to_echo))
            .route("/bad-negotiate{rest:.*}", web::to(bad_negotiate));
    }
}

async fn send_back(mut connection: RawConnection<()>) {
    while let Some(bytes) = connection.receive().await {
        connection.send(&bytes).await;
    }
}

async fn plain_echo(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let (response, mut socket) = match WebSocket::upgrade(&request, payload, ECHO_BYTES_MAX) {
        Ok(upgraded) => upgraded,
        Err(status) => return HttpResponse::new(status),
    };
    actix_web::rt::spawn(async move {
        while let Some(message) = socket.receive().await {
            socket.send(&message).await;
        }
    });
    response
}

/// Negotiation leads to a path at the `baseUrl` of its own query.
fn redirect(path: &'static str, with_token: bool, state: Arc<TestState>) -> Redirect {
    Redirect::new(move |request| {
        let base = query_value(request, "baseUrl")?;
        let number = if with_token { String::new() } else { state.next_redirect().to_string() };
        let lifetime = std::time::Duration::from_secs(60);
        let access_token = with_token.then(|| state.tokens.issue("testuser", lifetime));
        Some(RedirectTarget { url: format!("{base}{path}{number}"), access_token })
    })
}

/// A token is optional but at one endpoint; a bad one is refused everywhere.
fn authenticate(request: &HttpRequest, state: &TestState) -> Result<Identity<Visitor>, StatusCode> {
    let header = request.headers().get("authorization").map(|value| value.to_str());
    let token = match header {
        // Another scheme, and a bare token, are as good as a bad one.
        Some(Ok(text)) => Some(bearer(text).unwrap_or_default().to_owned()),
        Some(Err(_)) => return Err(StatusCode::UNAUTHORIZED),
        None => query_value(request, "access_token"),
    };
    let known = match token {
        Some(token) => Some(state.tokens.check(&token).ok_or(StatusCode::UNAUTHORIZED)?),
        None if request.path().starts_with("/authorizedhub") => {
            return Err(StatusCode::UNAUTHORIZED);
        }
        None => None,
    };
    let (user_id, expires_at) = known.unzip();
    let user = Visitor::of(request, user_id.as_deref());
    Ok(Identity { user, user_id, expires_at })
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

pub fn query_value(request: &HttpRequest, name: &str) -> Option<String> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).ok()?;
    pairs.into_inner().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

async fn redirect_to_echo(request: HttpRequest) -> HttpResponse {
    let path = request.path().replacen("echoredirect", "echo", 1);
    let query = request.query_string();
    let target = if query.is_empty() { path } else { format!("{path}?{query}") };
    HttpResponse::TemporaryRedirect().insert_header((LOCATION, target)).finish()
}

async fn bad_negotiate() -> HttpResponse {
    HttpResponse::BadRequest().body("Some response from server")
}

/// Cookies for clients that are to bring them back, and one that they are not to.
const COOKIES: [&str; 3] = [
    "testCookie=testValue; Path=/",
    "testCookie2=testValue2; Path=/",
    "expiredCookie=doesntmatter; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
];

/// Paths are matched in any case, as the reference server does; and negotiation
/// hands out cookies.
pub async fn around(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    ignore_case(&mut request);
    let is_negotiation = request.path().contains("/negotiate");
    let mut response = next.call(request).await?;
    if is_negotiation {
        for cookie in COOKIES {
            response.headers_mut().append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
    }
    Ok(response)
}

/// Only the first part of the path, and `negotiate`: else what follows may be an id.
fn ignore_case(request: &mut ServiceRequest) {
    let path_and_query = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let end = path_and_query[1..].find(['/', '?']).map_or(path_and_query.len(), |at| at + 1);
    let (first, rest) = path_and_query.split_at(end);
    let negotiate = "/negotiate";
    let rest = match rest.get(..negotiate.len()) {
        Some(part) if part.eq_ignore_ascii_case(negotiate) => {
            format!("{negotiate}{}", &rest[negotiate.len()..])
        }
        Some(_) | None => rest.to_owned(),
    };
    if let Ok(uri) = format!("{}{rest}", first.to_ascii_lowercase()).parse::<Uri>() {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}
