//! The end of connections.

use serde_json::{Value, json};

use super::{CONNECTIONS, listed, listed_when, text};
use crate::support::http_client::{Answer, Api};
use crate::support::polling::PollingClient;
use crate::support::raw_websocket::{RawSocket, Received, invocation};
use crate::support::site::{REGION, Site, token, token_of};
use crate::support::until;

async fn delete(site: &Site, path: &str) -> Answer {
    Api::admin(site).call("DELETE", &format!("{CONNECTIONS}{path}")).send().await
}

/// The answer to a request that closed so many of this node's connections.
fn closed(count: usize) -> Value {
    json!({
        "closed": count, "reach": "thisNode", "nodes": 1, "nodeId": "test", "silentWorkers": 0,
    })
}

/// How a connection ends that is not to come back.
fn sent_away() -> Vec<Received> {
    let close = json!({ "type": 7 });
    vec![Received::Message(close), Received::Close(1000)]
}

#[actix_web::test]
async fn one_connection_is_closed_and_not_asked_to_come_back() {
    let site = Site::start().await;
    let nora = token_of("nora", &["dispatcher"], &[REGION], None);
    let mut stays = RawSocket::connect(&site, &nora).await;
    let mut goes = RawSocket::connect(&site, &nora).await;
    let second = listed(&site, "").await.body["items"][1].clone();
    let path = format!("/{}", text(&second, "id"));

    let answer = delete(&site, &path).await;
    assert_eq!((answer.status, answer.body), (200, closed(1)));
    assert_eq!(goes.rest().await, sent_away());
    until("it is gone", || async { delete(&site, &path).await.status == 404 }).await;

    stays.send_text(&invocation("1", "JoinDispatchGroup", json!([REGION]))).await;
    assert_eq!(stays.message().await["result"], Value::Null, "the other one goes on");
}

#[actix_web::test]
async fn a_connection_that_is_not_there_is_not_found() {
    let site = Site::start().await;
    let polling = PollingClient::connect(&site, &token("dispatcher", &[REGION], None)).await;
    let id = &polling.connection_id;
    for path in ["AAAAAAAAAAAAAAAAAAAAAA", &id.to_lowercase(), &id[1..], "a%2Fb"] {
        let answer = delete(&site, &format!("/{path}")).await;
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!("not_found")), "{path}");
    }
    assert_eq!(listed(&site, "").await.items("id"), [json!(id)]);
}

#[actix_web::test]
async fn all_connections_of_a_user_are_closed_and_nobody_elses() {
    let site = Site::start().await;
    let nora = token_of("nora", &["dispatcher"], &[REGION], None);
    let mut shaken = RawSocket::connect(&site, &nora).await;
    let mut mute = RawSocket::open(&site, "/hub/dispatch", &nora).await.expect("the upgrade");
    let polling = PollingClient::connect(&site, &nora).await;
    let sven = token_of("sven", &["admin"], &[], None);
    let _other = RawSocket::connect(&site, &sven).await;
    listed_when(&site, "?user=nora", 3).await;

    let answer = delete(&site, "?user=nora").await;
    assert_eq!((answer.status, answer.body), (200, closed(3)));
    assert_eq!(shaken.rest().await, sent_away());
    assert_eq!(mute.rest().await, [Received::Close(1000)], "it speaks no protocol yet");
    assert_eq!(polling.poll().await, [json!({ "type": 7 })]);
    assert_eq!(polling.get().await.status, 204);
    listed_when(&site, "?user=nora", 0).await;
    assert_eq!(listed(&site, "").await.items("user")[0]["id"], json!("sven"));

    let again = delete(&site, "?user=nora").await;
    assert_eq!((again.status, again.body), (200, closed(0)), "it may be said twice");
    until("nothing is left of them", || async { site.server.connections() == 1 }).await;
}

#[actix_web::test]
async fn nobodys_connections_are_closed_when_no_user_is_named() {
    let site = Site::start().await;
    let _socket = RawSocket::connect(&site, &token("dispatcher", &[REGION], None)).await;
    for (query, code) in [
        ("", "invalid_field"),
        ("?user=", "invalid_field"),
        ("?group=dispatch/north", "malformed_request"),
        ("?user=a&user=b", "malformed_request"),
    ] {
        let answer = delete(&site, query).await;
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!(code)), "{query}");
    }
    assert_eq!(listed(&site, "").await.items("id").len(), 1);
}
