//! How much may be asked for, and what whoever asks for more is told. Nothing changes then.

use std::num::NonZeroU32;

use serde_json::json;
use signalbox::http::TrustedProxies;
use signalbox::http::{HEADER_BYTES_MAX, HEADERS_MAX, Limits, Origins, TARGET_BYTES_MAX};

use super::draft;
use crate::support::http_client::{Answer, Api};
use crate::support::raw_http::{RawHttp, head, raw_answer};
use crate::support::raw_websocket::RawSocket;
use crate::support::site::{REGION, Site, SiteOptions, lasting_token, token};
use crate::support::{PATIENCE, until};

const BOARD: &str = "https://board.example";

/// One request per second, and so five at once.
fn slow_rate() -> Option<NonZeroU32> {
    NonZeroU32::new(1)
}

async fn site_with(limits: Limits) -> Site {
    let origins = Origins::new(vec![BOARD.to_owned()]);
    Site::start_with(SiteOptions { limits, origins, ..SiteOptions::default() }).await
}

fn dispatcher() -> String {
    token("dispatcher", &[REGION], None)
}

/// Asks until it is refused; the refusal, and how many were served before.
async fn until_refused(mut ask: impl AsyncFnMut() -> Answer) -> (Answer, usize) {
    for served in 0..1000 {
        let answer = ask().await;
        if answer.status == 429 {
            return (answer, served);
        }
        assert!(answer.status < 300, "{answer:?}");
    }
    panic!("nothing was refused");
}

fn assert_rate_limited(refused: &Answer) {
    assert_eq!((refused.status, &refused.body["code"]), (429, &json!("rate_limited")));
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.body["requestId"], refused.header("x-request-id"));
}

#[actix_web::test]
async fn an_address_that_asks_too_fast_is_refused_and_others_are_served() {
    let limits = Limits { requests_per_second_per_address: slow_rate(), ..Limits::default() };
    let site = site_with(limits).await;
    let mut made = 0;
    let api = Api::admin(&site);
    let (refused, served) = until_refused(async || {
        made += 1;
        api.post("/api/jobs", &draft(made)).send().await
    })
    .await;
    assert_rate_limited(&refused);
    assert!(served >= 5, "five at once: {served}");

    let mut elsewhere = RawHttp::connect_from(&site, "127.0.0.2").await;
    elsewhere.send(head("GET", "/api/jobs", &dispatcher(), "")).await;
    let jobs = elsewhere.answer().await;
    assert_eq!((jobs.status, jobs.items("id").len()), (200, served), "nothing was made");

    assert_eq!(api.get("/healthz").send().await.status, 200, "is not counted");
    let waited = async || api.get("/api/jobs").send().await.status == 200;
    until("the address may ask again", waited).await;
}

#[actix_web::test]
async fn pages_of_another_origin_can_read_that_they_ask_too_fast() {
    let limits = Limits { requests_per_second_per_address: slow_rate(), ..Limits::default() };
    let site = site_with(limits).await;
    let api = Api::admin(&site);
    let ask = async || api.get("/api/jobs").header("origin", BOARD).send().await;
    let (refused, _) = until_refused(ask).await;
    assert_eq!(refused.header("access-control-allow-origin"), BOARD);
    assert!(refused.header("access-control-expose-headers").contains("retry-after"));
}

#[actix_web::test]
async fn a_caller_that_asks_too_fast_is_refused_from_wherever_and_others_are_served() {
    let limits = Limits { requests_per_second_per_caller: slow_rate(), ..Limits::default() };
    let site = site_with(limits).await;
    let api = Api::dispatcher(&site);
    let (refused, served) = until_refused(async || api.get("/api/jobs").send().await).await;
    assert_rate_limited(&refused);
    assert!(served >= 5, "five at once: {served}");

    let mut elsewhere = RawHttp::connect_from(&site, "127.0.0.2").await;
    // Another token of the same caller.
    let token = lasting_token(2 * PATIENCE, "dispatcher", &[REGION], None);
    elsewhere.send(head("GET", "/api/jobs", &token, "")).await;
    assert_rate_limited(&elsewhere.answer().await);
    assert_eq!(Api::admin(&site).get("/api/jobs").send().await.status, 200);
    assert_eq!(Api::nobody(&site).get("/api/jobs").send().await.status, 401);

    let page = Api::nobody(&site).get("/metrics").send().await.text;
    let refused = page.lines().find(|line| line.contains("{limit=\"caller_requests\"}"));
    assert_eq!(refused, Some("signalbox_refused_total{limit=\"caller_requests\"} 2"));
}

#[actix_web::test]
async fn only_a_trusted_proxy_says_who_asks() {
    let trusted_proxies = TrustedProxies::parse(&["127.0.0.9".to_owned()]).expect("an address");
    let limits = Limits {
        requests_per_second_per_address: slow_rate(),
        trusted_proxies,
        ..Limits::default()
    };
    let site = site_with(limits).await;
    let token = dispatcher();
    let ask = async |socket: &mut RawHttp, client: &str| {
        let forwarded = format!("X-Forwarded-For: {client}\r\n");
        socket.send(head("GET", "/api/jobs", &token, &forwarded)).await;
        socket.answer().await
    };
    let mut proxy = RawHttp::connect_from(&site, "127.0.0.9").await;
    until_refused(async || ask(&mut proxy, "1.1.1.1, 203.0.113.9").await).await;
    assert_eq!(ask(&mut proxy, "203.0.113.10").await.status, 200, "another client");
    let same = ask(&mut proxy, "2.2.2.2, 203.0.113.9").await;
    assert_eq!(same.status, 429, "whatever the client claims besides");

    // Whoever is no proxy is counted by the own address, whatever it says.
    let mut client = RawHttp::connect_from(&site, "127.0.0.8").await;
    let mut number = 0;
    let (_, served) = until_refused(async || {
        number += 1;
        ask(&mut client, &format!("203.0.113.{number}")).await
    })
    .await;
    assert!(served < 100, "{served}");
}

#[actix_web::test]
async fn negotiations_are_counted_and_what_a_connection_does_is_not() {
    let limits = Limits { requests_per_second_per_caller: slow_rate(), ..Limits::default() };
    let site = site_with(limits).await;
    let api = Api::dispatcher(&site);
    let path = "/hub/dispatch/negotiate?negotiateVersion=1";
    let reserved = api.call("POST", path).send().await;
    let id = reserved.body["connectionToken"].as_str().expect("a token").to_owned();
    let (refused, _) = until_refused(async || api.call("POST", path).send().await).await;
    assert_eq!((refused.text.as_str(), refused.header("retry-after")), ("", "1"));
    let opened = RawSocket::open(&site, "/hub/dispatch", &dispatcher()).await;
    assert_eq!(opened.err(), Some(429), "a socket without negotiation is one more");

    let path = format!("/hub/dispatch?id={id}");
    assert_eq!(api.get(&path).send().await.status, 200, "the first poll");
    let handshake = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
    for message in [handshake, "{\"type\":6}\u{1e}", "{\"type\":6}\u{1e}"].repeat(4) {
        let posted = api.call("POST", &path).raw_body(message).send().await;
        assert_eq!(posted.status, 200, "{posted:?}");
    }
}

#[actix_web::test]
async fn who_guesses_connections_is_refused_before_the_token_is_looked_at() {
    let limits = Limits { requests_per_second_per_address: slow_rate(), ..Limits::default() };
    let site = site_with(limits).await;
    for method in ["GET", "POST", "DELETE"] {
        let api = Api::nobody(&site);
        let guess = format!("/hub/dispatch?id={}", "x".repeat(22));
        let is_refused = async || api.call(method, &guess).send().await.status == 429;
        until("guesses are refused", is_refused).await;
    }
}

fn with_headers(count: usize, value: &str) -> String {
    (0..count).map(|number| format!("X-Filler-{number}: {value}\r\n")).collect()
}

#[actix_web::test]
async fn a_long_target_and_long_headers_are_refused_by_their_names() {
    let site = Site::start().await;
    let token = dispatcher();
    let ask = async |target: &str, headers: &str| {
        raw_answer(&site, head("GET", target, &token, headers).as_bytes()).await
    };
    let query = |bytes: usize| format!("/api/jobs?status={}", "x".repeat(bytes));
    assert_eq!(ask(&query(TARGET_BYTES_MAX - 100), "").await.status, 400, "no such status");
    let long = ask(&query(TARGET_BYTES_MAX), "").await;
    assert_eq!((long.status, &long.body["code"]), (414, &json!("target_too_long")));

    let few = with_headers(4, &"x".repeat(HEADER_BYTES_MAX / 5));
    assert_eq!(ask("/api/jobs", &few).await.status, 200);
    for (name, headers) in [
        ("too many bytes", with_headers(4, &"x".repeat(HEADER_BYTES_MAX / 4))),
        ("too many headers", with_headers(HEADERS_MAX, "x")),
    ] {
        let refused = ask("/api/jobs", &headers).await;
        let found = (refused.status, &refused.body["code"]);
        assert_eq!(found, (431, &json!("headers_too_large")), "{name}");
    }
    let hub = ask(&format!("/hub/dispatch?id={}", "x".repeat(TARGET_BYTES_MAX)), "").await;
    assert_eq!((hub.status, hub.text.as_str()), (414, ""), "the hub says it in its own manner");
}

#[actix_web::test]
async fn what_is_too_long_to_be_read_at_all_is_refused_without_a_word_and_the_end() {
    let site = Site::start().await;
    let token = dispatcher();
    for (name, headers, status) in [
        ("more headers than are read", with_headers(97, "x"), "431"),
        ("more bytes than are read", with_headers(1, &"x".repeat(128 * 1024)), "431"),
    ] {
        let mut connection = RawHttp::connect(&site).await;
        connection.try_send(head("GET", "/api/jobs", &token, &headers)).await;
        let answer = String::from_utf8(connection.rest().await).expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer:?}");
        assert!(answer.ends_with("\r\n\r\n"), "{name} has no body: {answer:?}");
    }
    let mut connection = RawHttp::connect(&site).await;
    let target = format!("/{}", "x".repeat(70_000));
    connection.try_send(head("GET", &target, &token, "")).await;
    let answer = String::from_utf8(connection.rest().await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 400 "), "no URI is that long: {answer:?}");
}

#[actix_web::test]
async fn json_that_is_nested_too_deeply_is_malformed() {
    let site = Site::start().await;
    let api = Api::admin(&site);
    for body in ["[".repeat(64 * 1024), "{\"a\":".repeat(12 * 1024), "[{\"a\":".repeat(9 * 1024)] {
        let call = api.call("POST", "/api/jobs").header("content-type", "application/json");
        let refused = call.raw_body(body).send().await;
        assert_eq!((refused.status, &refused.body["code"]), (400, &json!("malformed_request")));
    }
}

#[actix_web::test]
async fn a_path_is_found_in_one_spelling_only() {
    let site = Site::start().await;
    let token = dispatcher();
    for target in [
        "/%61pi/jobs",
        "/api/%6aobs",
        "/api/jobs/../jobs",
        "/api/%2e%2e/api/jobs",
        "/./api/jobs",
        "/api/jobs%00",
        "/api/jobs%0d%0aX-Evil:%20yes",
        "/api\\jobs",
        "/%68ub/dispatch/negotiate",
        "/%6detrics",
        "http://evil.example/api/jobs",
    ] {
        let refused = raw_answer(&site, head("GET", target, &token, "").as_bytes()).await;
        let found = (refused.status, &refused.body["code"]);
        assert_eq!(found, (400, &json!("malformed_request")), "{target}");
    }
    for target in
        ["//api/jobs", "/api//jobs", "/api%2Fjobs", "/API/jobs", "/api/jobs/", "/api/jobs;x"]
    {
        let missed = raw_answer(&site, head("GET", target, &token, "").as_bytes()).await;
        assert_eq!((missed.status, &missed.body["code"]), (404, &json!("not_found")), "{target}");
    }
    // A client of a proxy sends the whole address, and names the same host.
    let whole = raw_answer(&site, head("GET", "http://test/api/jobs", &token, "").as_bytes()).await;
    assert_eq!(whole.status, 200);
}
