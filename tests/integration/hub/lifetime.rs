//! How long a connection lives, and how it is told that it ends. The server looks at
//! its timers once a second, so each of these takes one or a few.

use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use signalbox::auth::{Claims, issue};
use signalbox::signalr::HubOptions;

use super::{broken_off, connect, dispatcher, done, join};
use crate::support::raw_websocket::{RawSocket, Received};
use crate::support::site::{REGION, SECRET, Site, SiteOptions};
use crate::support::until;

const SHORT: Duration = Duration::from_millis(200);

async fn site_with(hub: HubOptions) -> Site {
    Site::start_with(SiteOptions { hub, ..SiteOptions::default() }).await
}

/// How a connection ends that may come back.
fn sent_to_return() -> Vec<Received> {
    let close = json!({ "type": 7, "allowReconnect": true });
    vec![Received::Message(close), Received::Close(1000)]
}

#[actix_web::test]
async fn a_connection_is_pinged_again_and_again() {
    let site = site_with(HubOptions { keep_alive_interval: SHORT, ..HubOptions::default() }).await;
    let mut socket = connect(&site).await;
    for _ in 0..2 {
        assert_eq!(socket.message().await, json!({ "type": 6 }));
    }
}

#[actix_web::test]
async fn a_client_that_pinged_and_fell_silent_is_closed_and_one_that_never_did_is_not() {
    let hub = HubOptions {
        keep_alive_interval: SHORT,
        client_timeout: Duration::from_millis(1100),
        ..HubOptions::default()
    };
    let site = site_with(hub).await;
    let mut silent = connect(&site).await;
    let mut pinging = connect(&site).await;
    pinging.send_text("{\"type\":6}\u{1e}").await;

    let ping = Received::Message(json!({ "type": 6 }));
    let mut rest = pinging.rest().await;
    rest.retain(|received| *received != ping);
    assert_eq!(rest, broken_off(1000));
    // The third look at the timers comes after both were silent for too long.
    for _ in 0..3 {
        assert_eq!(silent.next().await, ping);
    }
    silent.send_text(&join("1")).await;
    while silent.message().await != done("1") {}
}

#[actix_web::test]
async fn a_client_that_does_not_shake_hands_is_closed() {
    let site = site_with(HubOptions { handshake_timeout: SHORT, ..HubOptions::default() }).await;
    let mut in_time = connect(&site).await;
    let mut mute = RawSocket::open(&site, "/hub/dispatch", &dispatcher()).await.expect("upgrade");
    let mut slow = RawSocket::open(&site, "/hub/dispatch", &dispatcher()).await.expect("upgrade");
    slow.send_text("{\"protocol\":").await;
    let error = json!({ "error": "Handshake was canceled." });
    for socket in [&mut mute, &mut slow] {
        let expected = [Received::Message(error.clone()), Received::Close(1000)];
        assert_eq!(socket.rest().await, expected);
    }
    in_time.send_text(&join("1")).await;
    assert_eq!(in_time.message().await, done("1"));
}

#[actix_web::test]
async fn a_connection_ends_with_its_token_and_may_return() {
    let site = Site::start().await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let claims = Claims {
        sub: "dispatcher-1".to_owned(),
        exp: now.as_secs() + 3,
        name: None,
        roles: vec!["dispatcher".to_owned()],
        regions: vec![REGION.to_owned()],
        contractor_id: None,
        iss: None,
        aud: None,
    };
    let token = issue(SECRET, &claims).expect("the secret is long enough");
    let mut socket = RawSocket::connect(&site, &token).await;
    assert_eq!(socket.rest().await, sent_to_return());
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(claims.exp);
    assert!(SystemTime::now() >= at, "not before its time");
    let path = "/hub/dispatch";
    assert_eq!(
        RawSocket::open(&site, path, &token).await.err(),
        Some(401),
        "but not with that one"
    );
}

#[actix_web::test]
async fn a_server_that_stops_sends_its_clients_to_another_one() {
    let site = Site::start().await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(connect(&site).await);
    }
    let reading = async {
        for socket in &mut sockets {
            assert_eq!(socket.rest().await, sent_to_return());
        }
    };
    futures_util::future::join(site.server.stop(), reading).await;
}

#[actix_web::test]
async fn many_clients_of_a_server_that_stops_are_sent_away_one_after_the_other() {
    const CLIENTS: usize = 400;
    let site = Site::start().await;
    let mut sockets = Vec::new();
    for _ in 0..CLIENTS {
        sockets.push(connect(&site).await);
    }
    let mut left: FuturesUnordered<_> = sockets.iter_mut().map(|socket| socket.rest()).collect();
    let reading = async {
        let mut at = Vec::new();
        while let Some(received) = left.next().await {
            assert_eq!(received, sent_to_return());
            at.push(Instant::now());
        }
        at
    };
    let (_, at) = futures_util::future::join(site.server.stop(), reading).await;
    assert_eq!(at.len(), CLIENTS);
    // Two milliseconds each, by the server's clock; a quarter of it by a test's that stands
    // still now and then.
    let spread = at[CLIENTS - 1] - at[0];
    assert!(spread > Duration::from_millis(200), "all within {spread:?}");
}

#[actix_web::test]
async fn a_client_that_says_goodbye_is_answered_and_forgotten() {
    let site = Site::start().await;
    for goodbye in
        ["{\"type\":7}\u{1e}", "{\"type\":7,\"error\":\"mine\",\"allowReconnect\":false}\u{1e}"]
    {
        let mut socket = connect(&site).await;
        socket.send_text(&format!("{goodbye}{}", join("1"))).await;
        let expected = [Received::Message(json!({ "type": 7 })), Received::Close(1000)];
        assert_eq!(socket.rest().await, expected, "{goodbye}");
    }
    until("nobody is connected", async || site.server.connections() == 0).await;
}

#[actix_web::test]
async fn a_client_that_keeps_its_side_open_after_the_end_is_cut_off() {
    let site = Site::start().await;
    let mut socket = connect(&site).await;
    socket.send_text("{\"type\":7}\u{1e}").await;
    for expected in [Received::Message(json!({ "type": 7 })), Received::Close(1000), Received::End]
    {
        assert_eq!(socket.next().await, expected);
    }
}

#[actix_web::test]
async fn a_client_that_vanishes_is_forgotten() {
    let site = Site::start().await;
    let sockets = [connect(&site).await, connect(&site).await];
    assert_eq!(site.server.connections(), 2);
    drop(sockets);
    until("nobody is connected", async || site.server.connections() == 0).await;
}
