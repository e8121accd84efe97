//! Clients that are slow on purpose, in each phase of a request: they are answered or cut
//! in a bounded time, and others are served meanwhile.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use signalbox::http::Limits;
use signalbox::signalr::{ConnectionOptions, HubOptions};

use super::{draft, path, times};
use crate::support::http_client::Api;
use crate::support::raw_http::{RawHttp, head};
use crate::support::raw_websocket::{RawSocket, TEXT, frame};
use crate::support::site::{REGION, Site, SiteOptions, token};

/// Long enough for a client that is not slow, on a machine that is.
const SHORT: Duration = Duration::from_secs(1);

/// A server with little patience.
async fn impatient_site() -> Site {
    let limits = Limits {
        head_timeout: SHORT,
        body_timeout: SHORT,
        response_timeout: SHORT,
        ..Limits::default()
    };
    let connection = ConnectionOptions { body_timeout: SHORT, ..ConnectionOptions::default() };
    let hub = HubOptions {
        connection,
        handshake_timeout: SHORT,
        keep_alive_interval: Duration::from_secs(60),
        ..HubOptions::default()
    };
    Site::start_with(SiteOptions { limits, hub, ..SiteOptions::default() }).await
}

fn dispatcher() -> String {
    token("dispatcher", &[REGION], None)
}

/// Runs the slow client beside one that is served at once, again and again.
async fn while_others_are_served<T>(site: &Site, slow: impl Future<Output = T>) -> T {
    let api = Api::dispatcher(site);
    let served = async {
        loop {
            assert_eq!(api.get("/api/jobs").send().await.status, 200);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        done = slow => done,
        () = served => unreachable!("it goes on"),
    }
}

#[actix_web::test]
async fn a_first_head_that_trickles_in_is_given_up() {
    let site = impatient_site().await;
    let give_up = async |begun: &str| {
        let mut slow = RawHttp::connect(&site).await;
        slow.send(begun).await;
        let answer = slow.trickle_until_closed(b"a").await;
        let answer = String::from_utf8(answer).expect("text");
        let is_told = answer.starts_with("HTTP/1.1 408 ") || answer.is_empty();
        assert!(is_told, "after {begun:?}: {answer:?}");
    };
    let begun = ["", "G", "GET /api/jobs?status=", "GET /api/jobs HTTP/1.1\r\nHost: test\r\n"];
    while_others_are_served(&site, join_all(begun.map(give_up))).await;
}

#[actix_web::test]
async fn a_later_head_that_trickles_in_is_cut() {
    let site = impatient_site().await;
    let mut slow = RawHttp::connect(&site).await;
    slow.send(head("GET", "/api/jobs", &dispatcher(), "")).await;
    assert_eq!(slow.answer().await.status, 200);
    let since = Instant::now();
    slow.send("GET /api/jobs HTTP/1.1\r\nHost: test\r\n").await;
    let answer = while_others_are_served(&site, slow.trickle_until_closed(b"X: y\r\n")).await;
    assert_eq!(answer, b"", "it is cut");
    let keep_alive = signalbox::http::KEEP_ALIVE;
    assert!(since.elapsed() < keep_alive + SHORT + Duration::from_secs(5));
    let page = Api::nobody(&site).get("/metrics").send().await.text;
    assert!(page.contains("signalbox_refused_total{limit=\"slow_clients\"} 1"), "{page}");
}

#[actix_web::test]
async fn a_body_that_trickles_in_is_refused_and_changes_nothing() {
    let site = impatient_site().await;
    let api = Api::dispatcher(&site);
    let job = api.created_job(&draft(0)).await;
    let refused = async |method: &str, target: &str, framing: &str, body: String| {
        let mut slow = RawHttp::connect(&site).await;
        let headers = format!("Content-Type: application/json\r\n{framing}\r\n");
        slow.send(head(method, target, &dispatcher(), &headers) + &body).await;
        let answer = slow.trickle_until_closed(b" ").await;
        let answer = String::from_utf8(answer).expect("text");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{method} {framing}: {answer:?}");
        assert!(answer.contains("\"code\":\"request_timeout\""), "{answer:?}");
    };
    let (create, whole) = (draft(1).to_string(), "Content-Length: 60000");
    let (target, move_it) = (path(&job, "/reschedule"), times(2, 0).to_string());
    let in_chunks = "Transfer-Encoding: chunked";
    let all = join_all([
        refused("POST", "/api/jobs", whole, create.clone()),
        refused("POST", "/api/jobs", in_chunks, format!("ea60\r\n{create}")),
        refused("PUT", &target, whole, move_it.clone()),
        refused("PUT", &target, in_chunks, format!("ea60\r\n{move_it}")),
    ]);
    while_others_are_served(&site, all).await;
    let jobs = api.get("/api/jobs").send().await;
    assert_eq!((jobs.items("id").len(), &jobs.items("version")[0]), (1, &json!(1)));
}

#[actix_web::test]
async fn a_post_to_the_hub_that_trickles_in_is_refused() {
    let site = impatient_site().await;
    let api = Api::dispatcher(&site);
    let reserved = api.call("POST", "/hub/dispatch/negotiate?negotiateVersion=1").send().await;
    let id = reserved.body["connectionToken"].as_str().expect("a token").to_owned();
    let target = format!("/hub/dispatch?id={id}");
    let mut slow = RawHttp::connect(&site).await;
    slow.send(head("POST", &target, &dispatcher(), "Content-Length: 4000\r\n")).await;
    slow.send("{\"protocol\":").await;
    let answer = while_others_are_served(&site, slow.trickle_until_closed(b" ")).await;
    let answer = String::from_utf8(answer).expect("text");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
}

#[actix_web::test]
async fn an_answer_that_is_read_too_slowly_is_cut() {
    let site = impatient_site().await;
    for day in 0..500 {
        site.job(day, None).await;
    }
    let mut slow = RawHttp::connect_narrow(&site).await;
    // One list may fit in what the systems keep; many do not, and are answered one by one.
    let ask = head("GET", "/api/jobs?limit=500", &dispatcher(), "");
    slow.send(ask.repeat(12)).await;
    let since = Instant::now();
    while_others_are_served(&site, async {
        while since.elapsed() < Duration::from_secs(20) {
            let page = Api::nobody(&site).get("/metrics").send().await.text;
            if page.contains("signalbox_refused_total{limit=\"slow_clients\"} 1") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it was not cut");
    })
    .await;
}

#[actix_web::test]
async fn a_socket_that_stalls_before_or_in_its_handshake_is_closed() {
    let site = impatient_site().await;
    // Nothing, half of a frame's head, and half of a frame.
    let handshake = frame(TEXT, b"{\"protocol\":\"json\",\"version\":1}\x1e");
    let closed = async |sent: usize| {
        let socket = RawSocket::open(&site, "/hub/dispatch", &dispatcher()).await;
        let mut socket = socket.expect("the upgrade");
        socket.send_bytes(&handshake[..sent]).await;
        assert!(!socket.rest().await.is_empty(), "it is told, and closed");
    };
    while_others_are_served(&site, join_all([0, 1, 5, 20].map(closed))).await;
}
