//! Pages from elsewhere: a browser sends their requests along with whatever lets its user
//! in, on every transport, and none of them is served.

use serde_json::json;
use signalbox::http::Origins;

use super::{dispatcher, done, join};
use crate::support::http_client::Api;
use crate::support::raw_http::{RawHttp, head};
use crate::support::raw_websocket::{HANDSHAKE, RawSocket};
use crate::support::site::{Site, SiteOptions};

const BOARD: &str = "https://board.example";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
const EVENTS: &str = "Accept: text/event-stream\r\n";

async fn site() -> Site {
    let origins = Origins::new(vec![BOARD.to_owned()]);
    Site::start_with(SiteOptions { origins, ..SiteOptions::default() }).await
}

async fn reserve(site: &Site) -> String {
    let path = "/hub/dispatch/negotiate?negotiateVersion=1";
    let reserved = Api::dispatcher(site).call("POST", path).send().await;
    reserved.body["connectionToken"].as_str().expect("a token").to_owned()
}

/// The status of a request from a page of this origin; from no page without one.
async fn asked(site: &Site, method: &str, target: &str, more: &str, origin: Option<&str>) -> u16 {
    let origin = origin.map_or_else(String::new, |origin| format!("Origin: {origin}\r\n"));
    let mut connection = RawHttp::connect(site).await;
    connection.send(head(method, target, &dispatcher(), &format!("{more}{origin}"))).await;
    connection.status().await
}

/// Every request of a connection: its method, what is behind the path, and more headers.
fn requests(id: &str) -> Vec<(&'static str, String, &'static str)> {
    let live = format!("?id={id}");
    vec![
        ("POST", "/negotiate?negotiateVersion=1".to_owned(), ""),
        ("GET", String::new(), UPGRADE),
        ("GET", live.clone(), UPGRADE),
        ("GET", live.clone(), EVENTS),
        ("GET", live.clone(), ""),
        ("POST", live.clone(), "Content-Length: 0\r\n"),
        ("DELETE", live, ""),
        ("OPTIONS", "/negotiate".to_owned(), "Access-Control-Request-Method: POST\r\n"),
    ]
}

#[actix_web::test]
async fn a_page_from_elsewhere_gets_nowhere_on_any_transport() {
    let site = site().await;
    let own_host_elsewhere = "http://test.evil.example";
    let id = reserve(&site).await;
    for hub in ["/hub/dispatch", "/hub/recommendations"] {
        for (method, behind, more) in requests(&id) {
            for foreign in
                ["https://evil.example", "null", "", own_host_elsewhere, "https://board.example:1"]
            {
                let target = format!("{hub}{behind}");
                let status = asked(&site, method, &target, more, Some(foreign)).await;
                assert_eq!(status, 403, "{foreign:?}: {method} {target} {more}");
            }
        }
    }
    assert_eq!(site.server.connections(), 0, "nothing was opened");

    // Nor was what the page tried to use touched: its owner goes on with it.
    let socket = RawSocket::open(&site, &format!("/hub/dispatch?id={id}"), &dispatcher()).await;
    let mut socket = socket.expect("the reservation is as it was");
    socket.send_text(HANDSHAKE).await;
    assert_eq!(socket.message().await, json!({}));
    for (method, behind, more) in requests(&id) {
        let target = format!("/hub/dispatch{behind}");
        let status = asked(&site, method, &target, more, Some("https://evil.example")).await;
        assert_eq!(status, 403, "{method} {target} {more}");
    }
    socket.send_text(&join("1")).await;
    assert_eq!(socket.message().await, done("1"), "the connection goes on");
}

#[actix_web::test]
async fn pages_of_the_own_and_configured_origins_and_programs_are_served_on_every_transport() {
    let site = site().await;
    for origin in [None, Some("http://test"), Some("https://test"), Some(BOARD)] {
        for (method, behind, more, status) in [
            ("POST", "/negotiate?negotiateVersion=1", "", 200),
            ("GET", "", UPGRADE, 101),
            ("GET", "?id=ID", UPGRADE, 101),
            ("GET", "?id=ID", EVENTS, 200),
            ("GET", "?id=ID", "", 200),
            ("POST", "?id=ID", "Content-Length: 0\r\n", 200),
        ] {
            let id = if behind.contains("ID") { reserve(&site).await } else { String::new() };
            let target = format!("/hub/dispatch{}", behind.replace("ID", &id));
            let found = asked(&site, method, &target, more, origin).await;
            assert_eq!(found, status, "{origin:?}: {method} {target} {more}");
        }
    }
}
