//! Requests that two readers could take for different ones: of what is hidden in them
//! nothing is answered and nothing is done.

use futures_util::future::join_all;

use super::draft;
use crate::support::http_client::Api;
use crate::support::raw_http::RawHttp;
use crate::support::site::{Site, token};

/// A request that would make a job, were it taken for one.
fn hidden() -> String {
    let body = draft(0).to_string();
    let token = token("admin", &[], None);
    format!(
        "POST /api/jobs HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The statuses of all that is answered until the server closes the connection.
async fn statuses(site: &Site, request: &[u8]) -> Vec<u16> {
    let mut connection = RawHttp::connect(site).await;
    connection.try_send(request).await;
    let answers = String::from_utf8(connection.rest().await).expect("text");
    let lines = answers.split("HTTP/1.1 ").skip(1);
    lines.map(|answer| answer[..3].parse().expect("a status")).collect()
}

async fn jobs(site: &Site) -> usize {
    Api::admin(site).get("/api/jobs").send().await.items("id").len()
}

#[actix_web::test]
async fn a_request_whose_length_is_in_doubt_is_refused_with_all_that_follows() {
    let site = Site::start().await;
    let hidden = hidden();
    let length = hidden.len();
    let chunk = format!("0\r\n\r\n{hidden}");
    let cases = [
        ("two lengths", format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), &hidden),
        ("one length twice", "Content-Length: 4\r\nContent-Length: 4\r\n".to_owned(), &hidden),
        ("a list of lengths", format!("Content-Length: 0, {length}\r\n"), &hidden),
        ("a signed length", "Content-Length: +0\r\n".to_owned(), &hidden),
        ("a negative length", "Content-Length: -1\r\n".to_owned(), &hidden),
        ("a length in hexadecimal", "Content-Length: 0x0\r\n".to_owned(), &hidden),
        ("a length too long", "Content-Length: 99999999999999999999\r\n".to_owned(), &hidden),
        (
            "a length and chunks",
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            &chunk,
        ),
        (
            "chunks and a length",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
            &chunk,
        ),
        ("an unknown coding", "Transfer-Encoding: xchunked\r\n".to_owned(), &chunk),
        ("two codings", "Transfer-Encoding: chunked, identity\r\n".to_owned(), &chunk),
        ("identity", "Transfer-Encoding: identity\r\n".to_owned(), &hidden),
        (
            "two headers of codings",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n".to_owned(),
            &chunk,
        ),
        ("a space before the colon", "Transfer-Encoding : chunked\r\n".to_owned(), &chunk),
        ("a folded header", "X-One: a\r\n Content-Length: 5\r\n".to_owned(), &hidden),
        ("a carriage return alone", "X-One: a\rContent-Length: 5\r\n".to_owned(), &hidden),
        ("a zero byte", "X-One: a\0b\r\n".to_owned(), &hidden),
        ("a header without a colon", "Content-Length 5\r\n".to_owned(), &hidden),
        ("two hosts", "Host: other\r\n".to_owned(), &hidden),
    ];
    let refused = cases.map(|(name, headers, body)| {
        let request = format!("POST /api/jobs HTTP/1.1\r\nHost: test\r\n{headers}\r\n{body}");
        let site = &site;
        async move { assert_eq!(statuses(site, request.as_bytes()).await, [400], "{name}") }
    });
    join_all(refused).await;
    assert_eq!(jobs(&site).await, 0, "nothing that was hidden is done");
}

#[actix_web::test]
async fn a_first_line_that_is_none_is_refused_with_all_that_follows() {
    let site = Site::start().await;
    let hidden = hidden();
    let refused = [
        "GET  /healthz HTTP/1.1",
        "GET /healthz  HTTP/1.1",
        "GET\t/healthz HTTP/1.1",
        "GET /healthz HTTP/1.1 x",
        "GET /healthz HTTP/3.0",
        "GET /healthz",
        "GE\0T /healthz HTTP/1.1",
        "GET /health\rz HTTP/1.1",
        " GET /healthz HTTP/1.1",
    ]
    .map(|line| {
        let request = format!("{line}\r\nHost: test\r\n\r\n{hidden}");
        let site = &site;
        async move { assert_eq!(statuses(site, request.as_bytes()).await, [400], "{line:?}") }
    });
    join_all(refused).await;
    assert_eq!(jobs(&site).await, 0, "nothing that was hidden is done");
}

#[actix_web::test]
async fn chunks_that_are_none_take_all_that_follows_along() {
    let site = Site::start().await;
    let hidden = hidden();
    let refused = [
        ("no number", "x\r\n"),
        ("a negative size", "-1\r\n"),
        ("a size too large for any number", "10000000000000000\r\n"),
        ("more bytes than announced", "1\r\nabc\r\n"),
        ("a size that ends in the middle", "5\rGET"),
    ]
    .map(|(name, chunk)| {
        let request = format!(
            "POST /api/jobs HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{chunk}{hidden}",
            token("admin", &[], None)
        );
        let site = &site;
        async move {
            let statuses = statuses(site, request.as_bytes()).await;
            assert!(statuses.iter().all(|status| *status == 400), "{name}: {statuses:?}");
        }
    });
    join_all(refused).await;
    assert_eq!(jobs(&site).await, 0, "nothing that was hidden is done");
}

#[actix_web::test]
async fn what_stands_in_a_body_is_no_request() {
    let site = Site::start().await;
    let hidden = hidden();
    let length = hidden.len();
    let token = token("admin", &[], None);
    let chunk = format!("{length:x};name=\"value\"\r\n{hidden}\r\n0\r\nX-Trailer: a\r\n\r\n");
    let cases = [
        ("of a GET", "GET", format!("Content-Length: {length}\r\n"), &hidden, 200),
        ("of a chunked GET", "GET", "Transfer-Encoding: chunked\r\n".to_owned(), &chunk, 200),
        ("of a refused POST", "POST", format!("Content-Length: {length}\r\n"), &hidden, 415),
        ("of what asks for a WebSocket", "GET", "Upgrade: websocket\r\n".to_owned(), &hidden, 200),
        (
            "of what asks for a WebSocket with a length",
            "GET",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n".to_owned(),
            &hidden,
            200,
        ),
        (
            "behind what is to be continued",
            "POST",
            "Expect: 100-continue\r\n".to_owned(),
            &hidden,
            0,
        ),
    ];
    let answered = cases.map(|(name, method, headers, body, status)| {
        let request = format!(
            "{method} /api/jobs HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\
             {headers}\r\n{body}"
        );
        let site = &site;
        async move {
            let statuses = statuses(site, request.as_bytes()).await;
            if status > 0 {
                assert_eq!(statuses, [status], "{name}");
            }
        }
    });
    // The last one has no body, and so what follows is a request of its own: one job.
    join_all(answered).await;
    assert_eq!(jobs(&site).await, 1, "what stands in a body is not done");
}

#[actix_web::test]
async fn nothing_that_is_sent_becomes_a_header_of_the_answer() {
    let site = Site::start().await;
    let token = token("admin", &[], None);
    for (target, headers) in [
        ("/api/jobs/a%0d%0aX-Evil:%20yes", ""),
        ("/nowhere?x=a%0d%0aX-Evil:%20yes", ""),
        ("/hub/dispatch?id=a%0d%0aX-Evil:%20yes", ""),
        ("/api/jobs?cursor=%0d%0aX-Evil:%20yes", ""),
        ("/api/jobs", "X-Request-Id: a%0d%0aX-Evil: yes\r\n"),
        ("/api/jobs", "Origin: https://a%0d%0aX-Evil: yes\r\n"),
    ] {
        let mut connection = RawHttp::connect(&site).await;
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\n{headers}\r\n"
        );
        connection.send(request).await;
        let answer = connection.answer().await;
        assert!(!answer.headers.contains_key("x-evil"), "{target} {headers}: {answer:?}");
    }
}
