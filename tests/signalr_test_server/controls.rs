//! Plain HTTP for tests: what the server knows, and what it shall do.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use signalbox::signalr::{Audience, CloseReason, HubError};

use crate::endpoints::Servers;
use crate::state::TestState;

pub fn configure(config: &mut web::ServiceConfig) {
    config
        .route("/counts", web::get().to(counts))
        .route("/hooks/{id}", web::get().to(hooks))
        .route("/release/{gate}", web::post().to(release))
        .route("/broadcast", web::post().to(broadcast))
        .route("/numbers/{id}", web::post().to(numbers))
        .route("/send/{id}", web::post().to(send))
        .route("/close/{id}", web::post().to(close))
        .route("/clientresult/{id}", web::get().to(client_result))
        .route("/generatejwttoken", web::get().to(token));
}

/// Numbers of what is alive: all of it is gone when nobody is connected.
async fn counts(servers: web::Data<Servers>) -> HttpResponse {
    let hub = servers.hub.handle().counts();
    HttpResponse::Ok().json(json!({
        "connections": hub.connections,
        "groups": hub.groups,
        "users": hub.users,
        "transports": hub.transports + servers.echo.connections(),
        "reservations": servers.hub.reservations(),
        "tasks": hub.tasks + servers.echo.tasks(),
    }))
}

async fn hooks(id: web::Path<String>, state: web::Data<TestState>) -> HttpResponse {
    HttpResponse::Ok().json(state.hooks(&id))
}

async fn release(gate: web::Path<String>, state: web::Data<TestState>) -> HttpResponse {
    state.release(&gate);
    HttpResponse::NoContent().finish()
}

fn sent(outcome: Result<(), HubError>) {
    outcome.expect("only groups without names are refused");
}

#[derive(Deserialize)]
struct Broadcast {
    count: u64,
    bytes: usize,
}

async fn broadcast(asked: web::Query<Broadcast>, servers: web::Data<Servers>) -> HttpResponse {
    let (hub, text) = (servers.hub.handle(), "x".repeat(asked.bytes));
    for number in 0..asked.count {
        sent(hub.send(Audience::All, "Broadcast", (number, text.clone())));
        if number % 64 == 63 {
            // The connections' thread is this one as well: it has to get a turn.
            actix_web::rt::task::yield_now().await;
        }
    }
    HttpResponse::Ok().finish()
}

#[derive(Deserialize)]
struct Range {
    from: u64,
    to: u64,
}

async fn numbers(
    id: web::Path<String>,
    range: web::Query<Range>,
    servers: web::Data<Servers>,
) -> HttpResponse {
    let hub = servers.hub.handle();
    for number in range.from..=range.to {
        sent(hub.send(Audience::connection(id.as_str()), "Number", (number,)));
    }
    HttpResponse::NoContent().finish()
}

async fn send(id: web::Path<String>, text: String, servers: web::Data<Servers>) -> HttpResponse {
    sent(servers.hub.handle().send(Audience::connection(id.as_str()), "Send", (text,)));
    HttpResponse::NoContent().finish()
}

async fn close(id: web::Path<String>, servers: web::Data<Servers>) -> HttpResponse {
    servers.hub.handle().close(&id, CloseReason::Aborted);
    HttpResponse::NoContent().finish()
}

async fn client_result(id: web::Path<String>, servers: web::Data<Servers>) -> HttpResponse {
    let answer = servers.hub.handle().invoke::<i64>(&id, "Result", ()).await;
    HttpResponse::Ok().body(match answer {
        Ok(number) => number.to_string(),
        Err(error) => error.text().to_owned(),
    })
}

#[derive(Deserialize)]
struct TokenQuery {
    user: Option<String>,
    seconds: Option<u64>,
}

async fn token(asked: web::Query<TokenQuery>, state: web::Data<TestState>) -> HttpResponse {
    let user = asked.user.as_deref().unwrap_or("testuser");
    let lifetime = Duration::from_secs(asked.seconds.unwrap_or(5));
    HttpResponse::Ok().body(state.tokens.issue(user, lifetime))
}
