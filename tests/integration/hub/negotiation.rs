//! What comes before a connection: negotiation, and whom an id lets in.

use serde_json::{Value, json};

use super::{dispatcher, done, join};
use crate::support::http_client::{Answer, Api};
use crate::support::raw_http::raw_answer;
use crate::support::raw_websocket::{HANDSHAKE, RawSocket};
use crate::support::site::{Site, token};
use crate::support::until;

const HUB: &str = "/hub/dispatch";

async fn negotiate(site: &Site, query: &str) -> Answer {
    let path = format!("{HUB}/negotiate{query}");
    Api::dispatcher(site).call("POST", &path).send().await
}

/// A reserved connection's id and token.
async fn reserve(site: &Site) -> (String, String) {
    let answer = negotiate(site, "?negotiateVersion=1").await;
    let text = |member: &str| answer.body[member].as_str().expect("text").to_owned();
    (text("connectionId"), text("connectionToken"))
}

fn is_id(value: &Value) -> bool {
    let url_safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    value.as_str().is_some_and(|text| text.len() == 22 && text.bytes().all(url_safe))
}

#[actix_web::test]
async fn negotiation_hands_out_an_id_and_another_token_and_lists_the_transports() {
    let site = Site::start().await;
    for hub in ["/hub/dispatch", "/hub/recommendations"] {
        for version in ["negotiateVersion=1", "negotiateVersion=5", "NEGOTIATEVERSION=1"] {
            let path = format!("{hub}/negotiate?{version}");
            let mut answer = Api::dispatcher(&site).call("POST", &path).send().await;
            let lifetime =
                answer.body.as_object_mut().and_then(|it| it.remove("tokenLifetimeSeconds"));
            let lifetime = lifetime.and_then(|seconds| seconds.as_u64());
            assert!(lifetime.is_some_and(|seconds| (590..=600).contains(&seconds)), "{lifetime:?}");
            let (id, token) = (&answer.body["connectionId"], &answer.body["connectionToken"]);
            assert!(is_id(id) && is_id(token) && id != token, "{answer:?}");
            let expected = json!({
                "negotiateVersion": 1, "connectionId": id, "connectionToken": token,
                "availableTransports": [
                    { "transport": "WebSockets", "transferFormats": ["Text", "Binary"] },
                    { "transport": "ServerSentEvents", "transferFormats": ["Text"] },
                    { "transport": "LongPolling", "transferFormats": ["Text", "Binary"] },
                ],
            });
            assert_eq!((answer.status, &answer.body), (200, &expected), "{path}");
            assert_eq!(answer.header("content-type"), "application/json");
        }
    }
}

#[actix_web::test]
async fn without_a_version_the_id_alone_is_the_key() {
    let site = Site::start().await;
    for query in ["", "?negotiateVersion=0"] {
        let answer = negotiate(&site, query).await;
        assert!(is_id(&answer.body["connectionId"]), "{answer:?}");
        let token = answer.body.get("connectionToken");
        assert_eq!((&answer.body["negotiateVersion"], token), (&json!(0), None));
        let id = answer.body["connectionId"].as_str().expect("text");
        let path = format!("{HUB}?id={id}");
        assert!(RawSocket::open(&site, &path, &dispatcher()).await.is_ok(), "{query}");
    }
}

#[actix_web::test]
async fn a_version_that_is_no_number_is_refused_in_words() {
    let site = Site::start().await;
    let answer = negotiate(&site, "?negotiateVersion=abc").await;
    let error = "The client requested a non-integer protocol version.";
    assert_eq!((answer.status, answer.body), (200, json!({ "error": error })));
}

#[actix_web::test]
async fn requests_that_fit_no_connection_are_refused_as_the_reference_server_does() {
    let site = Site::start().await;
    let (id, reserved) = reserve(&site).await;
    let api = Api::dispatcher(&site);
    let unknown = "No Connection with that ID";
    let delete = "Cannot terminate this connection using the DELETE endpoint.";
    for (method, path, status, text) in [
        ("GET", format!("{HUB}/negotiate"), 405, ""),
        ("PUT", format!("{HUB}/negotiate"), 405, ""),
        ("PUT", HUB.to_owned(), 405, ""),
        ("GET", HUB.to_owned(), 400, "Connection ID required"),
        ("POST", HUB.to_owned(), 400, "Connection ID required"),
        ("DELETE", HUB.to_owned(), 400, "Connection ID required"),
        ("GET", format!("{HUB}?id=unknown"), 404, unknown),
        ("POST", format!("{HUB}?id=unknown"), 404, unknown),
        ("DELETE", format!("{HUB}?id=unknown"), 404, unknown),
        ("POST", format!("{HUB}?id={id}"), 404, unknown),
        ("POST", format!("{HUB}?id={reserved}"), 200, ""),
        ("DELETE", format!("{HUB}?id={reserved}"), 400, delete),
    ] {
        let answer = api.call(method, &path).send().await;
        assert_eq!((answer.status, answer.text.as_str()), (status, text), "{method} {path}");
    }
}

#[actix_web::test]
async fn a_socket_without_a_right_to_its_id_is_refused_before_the_upgrade() {
    let site = Site::start().await;
    let (id, reserved) = reserve(&site).await;
    let open = async |id: &str, token: &str| {
        RawSocket::open(&site, &format!("{HUB}?id={id}"), token).await.err()
    };
    assert_eq!(open("unknown", &dispatcher()).await, Some(404));
    assert_eq!(open(&id, &dispatcher()).await, Some(404), "the public id is no key");
    assert_eq!(open(&reserved, &token("admin", &[], None)).await, Some(403), "another user");
    assert_eq!(open(&reserved, "nonsense").await, Some(401));
    assert_eq!(open(&reserved, &dispatcher()).await, None, "it still waits for its user");
}

#[actix_web::test]
async fn a_second_socket_on_a_connection_is_refused_and_the_first_one_unharmed() {
    let site = Site::start().await;
    let path = format!("{HUB}?id={}", reserve(&site).await.1);
    let mut first = RawSocket::open(&site, &path, &dispatcher()).await.expect("the upgrade");
    first.send_text(HANDSHAKE).await;
    assert_eq!(first.message().await, json!({}));
    assert_eq!(RawSocket::open(&site, &path, &dispatcher()).await.err(), Some(409));
    first.send_text(&join("1")).await;
    assert_eq!(first.message().await, done("1"));
}

#[actix_web::test]
async fn a_connection_that_has_ended_is_gone() {
    let site = Site::start().await;
    let path = format!("{HUB}?id={}", reserve(&site).await.1);
    let mut socket = RawSocket::open(&site, &path, &dispatcher()).await.expect("the upgrade");
    socket.send_text(&format!("{HANDSHAKE}{{\"type\":7}}\u{1e}")).await;
    socket.rest().await;
    until("its id is unknown", async || {
        match RawSocket::open(&site, &path, &dispatcher()).await.err() {
            // It still ends: the socket is closed before the connection is forgotten.
            Some(409) => false,
            status => {
                assert_eq!(status, Some(404));
                true
            }
        }
    })
    .await;
}

#[actix_web::test]
async fn nobody_gets_in_without_a_token() {
    let site = Site::start().await;
    let nobody = Api::nobody(&site);
    for (method, path) in [
        ("POST", format!("{HUB}/negotiate?negotiateVersion=1")),
        ("POST", format!("{HUB}?id=x")),
        ("GET", HUB.to_owned()),
        ("POST", format!("{HUB}/negotiate?access_token=nonsense")),
    ] {
        let answer = nobody.call(method, &path).send().await;
        assert_eq!((answer.status, answer.text.as_str()), (401, ""), "{method} {path}");
    }
    let path = format!("{HUB}/negotiate?access_token={}", dispatcher());
    assert_eq!(nobody.call("POST", &path).send().await.status, 200, "the URL may carry it");
    let both = nobody.call("POST", &path).header("authorization", "Bearer nonsense");
    assert_eq!(both.send().await.status, 401, "the header wins");
}

#[actix_web::test]
async fn an_upgrade_that_is_none_or_comes_from_elsewhere_is_refused() {
    let site = Site::start().await;
    let upgrade = |lines: &str| {
        format!(
            "GET {HUB} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Authorization: Bearer {}\r\n{lines}\r\n",
            site.server.address,
            dispatcher()
        )
    };
    let key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n";
    for (name, lines, status) in [
        ("no key", "Sec-WebSocket-Version: 13\r\n", 400),
        ("a short key", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n", 400),
        ("an unknown version", &key.replace("13", "12"), 400),
        ("a foreign page", &format!("{key}Origin: https://evil.example\r\n"), 403),
        ("the own page", &format!("{key}Origin: http://{}\r\n", site.server.address), 101),
    ] {
        let answer = raw_answer(&site, upgrade(lines).as_bytes()).await;
        assert_eq!((answer.status, answer.text.as_str()), (status, ""), "{name}");
    }
}
