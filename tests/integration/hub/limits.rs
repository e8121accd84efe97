//! How many calls a connection may make, and how many connections there may be.

use std::num::NonZeroU32;

use serde_json::{Value, json};
use signalbox::signalr::{ConnectionOptions, HubOptions};

use super::{connect, dispatcher, done, failed, join};
use crate::support::http_client::Api;
use crate::support::raw_websocket::{RawSocket, Received, invocation};
use crate::support::site::{REGION, Site, SiteOptions, token};
use crate::support::until;

async fn site_with(hub: HubOptions) -> Site {
    Site::start_with(SiteOptions { hub, ..SiteOptions::default() }).await
}

async fn paced_site() -> Site {
    let invocations_per_second_max = NonZeroU32::new(1);
    site_with(HubOptions { invocations_per_second_max, ..HubOptions::default() }).await
}

async fn refusals(site: &Site, limit: &str) -> String {
    let page = Api::nobody(site).get("/metrics").send().await.text;
    let name = format!("signalbox_refused_total{{limit=\"{limit}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&name)).expect("the metric").to_owned()
}

const TOO_FAST: &str = "rate_limited: a connection may make 1 calls per second";

/// The answers to calls that were sent at once.
async fn answers(socket: &mut RawSocket, count: usize) -> Vec<Value> {
    let mut answers = Vec::new();
    for _ in 0..count {
        answers.push(socket.message().await);
    }
    answers
}

#[actix_web::test]
async fn calls_that_come_too_fast_are_refused_in_their_order_and_the_connection_goes_on() {
    let site = paced_site().await;
    let mut socket = connect(&site).await;
    let mut other = connect(&site).await;
    let calls: String = (0..8).map(|id| join(&id.to_string())).collect();
    socket.send_text(&calls).await;
    let expected: Vec<Value> = (0..8)
        .map(|id: usize| match id.to_string() {
            id if id.as_str() < "5" => done(&id),
            id => failed(&id, TOO_FAST),
        })
        .collect();
    assert_eq!(answers(&mut socket, 8).await, expected);
    assert_eq!(refusals(&site, "invocations").await, "3");
    other.send_text(&join("other")).await;
    assert_eq!(other.message().await, done("other"), "each connection has its own");

    site.job(0, None).await;
    assert_eq!(socket.message().await["target"], "JobCreated", "events come all the same");
}

#[actix_web::test]
async fn a_refused_stream_and_a_call_without_an_answer_are_not_carried_out() {
    let site = paced_site().await;
    let mut socket = connect(&site).await;
    let calls: String = (0..5).map(|id| join(&id.to_string())).collect();
    socket.send_text(&calls).await;
    answers(&mut socket, 5).await;
    let silent = json!({ "type": 1, "target": "LeaveDispatchGroup", "arguments": [REGION] });
    let groups = json!([{ "groups": [format!("dispatch/{REGION}")] }]);
    let stream = json!({
        "type": 4, "invocationId": "s", "target": "StreamEvents", "arguments": groups,
    });
    socket.send_text(&format!("{silent}\u{1e}{stream}\u{1e}")).await;
    assert_eq!(socket.message().await, failed("s", TOO_FAST));
    site.job(0, None).await;
    assert_eq!(socket.message().await["target"], "JobCreated", "it is still in the group");
}

#[actix_web::test]
async fn a_client_that_does_not_heed_refusals_is_closed_for_good() {
    let site = paced_site().await;
    let mut socket = connect(&site).await;
    let calls: String = (0..11).map(|id| join(&id.to_string())).collect();
    socket.send_text(&calls).await;
    answers(&mut socket, 10).await;
    let error = "rate_limited: the connection went on making calls that were refused as too many";
    let close = json!({ "type": 7, "error": error });
    assert_eq!(socket.rest().await, [Received::Message(close), Received::Close(1000)]);
    until("nothing is left", async || site.server.connections() == 0).await;
}

#[actix_web::test]
async fn a_connection_too_many_is_refused_and_counted() {
    let connection = ConnectionOptions {
        connections_max: 3,
        connections_per_user_max: Some(2),
        ..ConnectionOptions::default()
    };
    let site = site_with(HubOptions { connection, ..HubOptions::default() }).await;
    let (first, _second) = (connect(&site).await, connect(&site).await);
    let open = async |token: String| RawSocket::open(&site, "/hub/dispatch", &token).await.err();
    assert_eq!(open(dispatcher()).await, Some(429));
    let _admin = RawSocket::connect(&site, &token("admin", &[], None)).await;
    assert_eq!(open(token("contractor", &[], None)).await, Some(503));
    let negotiation = Api::admin(&site).call("POST", "/hub/dispatch/negotiate").send().await;
    assert_eq!((negotiation.status, negotiation.header("retry-after")), (503, "1"));
    assert_eq!(refusals(&site, "caller_connections").await, "1");
    assert_eq!(refusals(&site, "connections").await, "2");
    drop(first);
    let is_admitted = async || open(dispatcher()).await.is_none();
    until("there is a place again", is_admitted).await;
}

#[actix_web::test]
async fn a_group_too_many_is_counted() {
    let hub = HubOptions { groups_per_connection_max: 1, ..HubOptions::default() };
    let site = site_with(hub).await;
    let mut socket = RawSocket::connect(&site, &token("admin", &[], None)).await;
    for (id, region) in [("1", "a"), ("2", "b")] {
        socket.send_text(&invocation(id, "JoinDispatchGroup", json!([region]))).await;
    }
    let full = "too_many_groups: a connection may be in 1 groups at a time";
    assert_eq!(answers(&mut socket, 2).await, [done("1"), failed("2", full)]);
    assert_eq!(refusals(&site, "groups").await, "1");
}
