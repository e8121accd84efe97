//! What SignalR clients see of the hub, down to the bytes.

mod commands;
mod invocations;
mod lifetime;
mod limits;
mod negotiation;
mod origins;
mod presence;
mod renewal;
mod stream;
mod subscriptions;

use serde_json::{Value, json};

use crate::support::raw_websocket::{RawSocket, Received, invocation};
use crate::support::site::{REGION, Site, token};

fn dispatcher() -> String {
    token("dispatcher", &[REGION], None)
}

/// A dispatcher's connection, after its handshake.
async fn connect(site: &Site) -> RawSocket {
    RawSocket::connect(site, &dispatcher()).await
}

/// An invocation that succeeds.
fn join(id: &str) -> String {
    invocation(id, "JoinDispatchGroup", json!([REGION]))
}

/// The answer to an invocation that succeeds.
fn done(id: &str) -> Value {
    json!({ "type": 3, "invocationId": id, "result": null })
}

/// The answer to an invocation that fails.
fn failed(id: &str, error: &str) -> Value {
    json!({ "type": 3, "invocationId": id, "error": error })
}

/// How a connection ends after the client broke a rule.
fn broken_off(close_code: u16) -> Vec<Received> {
    let close = json!({
        "type": 7, "error": "Connection closed with an error.", "allowReconnect": true,
    });
    vec![Received::Message(close), Received::Close(close_code)]
}
