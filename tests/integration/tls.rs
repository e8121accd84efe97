//! What a server with a certificate does, and what it does when that changes.

use std::time::Duration;

use serde_json::json;
use signalbox::http::Limits;
use signalbox::signalr::{ConnectionOptions, HubOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::database::TestDatabase;
use crate::support::program::{self, Serve};
use crate::support::raw_http::{RawHttp, head, raw_answer};
use crate::support::raw_websocket::{HANDSHAKE, TEXT, frame, invocation};
use crate::support::site::{REGION, SECRET, Site, SiteOptions, token};
use crate::support::tls::TestCertificate;
use crate::support::{PATIENCE, until};

/// A server with a certificate of its own; its files are there for as long as the folder.
async fn encrypted_site(options: SiteOptions) -> (Site, TestCertificate, tempfile::TempDir) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let certificate = TestCertificate::new();
    let tls = Some(certificate.write_to(folder.path()));
    (Site::start_with(SiteOptions { tls, ..options }).await, certificate, folder)
}

fn dispatcher() -> String {
    token("dispatcher", &[REGION], None)
}

async fn connect(site: &Site, certificate: &TestCertificate) -> RawHttp {
    RawHttp::over(certificate.connect(site).await.expect("the certificate is the server's"))
}

/// What the metrics say of the certificate's end, asked over a connection of its own.
async fn expires(site: &Site, certificate: &TestCertificate) -> f64 {
    metric(site, certificate, "signalbox_tls_certificate_expires_timestamp_seconds").await
}

async fn metric(site: &Site, certificate: &TestCertificate, name: &str) -> f64 {
    let mut connection = connect(site, certificate).await;
    connection.send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let page = connection.answer().await.text;
    let value = page.lines().find_map(|line| line.strip_prefix(name)).expect("the metric");
    value.trim().parse().expect("a number")
}

#[actix_web::test]
async fn requests_are_served_by_tls_1_2_and_later() {
    let (site, certificate, _folder) = encrypted_site(SiteOptions::default()).await;
    assert!(site.server.origin().starts_with("https://127.0.0.1:"));
    for version in rustls::ALL_VERSIONS {
        let stream = certificate.connect_with(&site, &[*version]).await.expect("a connection");
        let mut connection = RawHttp::over(stream);
        connection.send(head("GET", "/api/jobs", &dispatcher(), "")).await;
        let answer = connection.answer().await;
        assert_eq!(answer.status, 200, "{version:?}");
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
    }
    let stranger = TestCertificate::new().connect(&site).await;
    assert!(stranger.is_err(), "a client that trusts another certificate");
    let plain = Site::start().await;
    let answer = raw_answer(&plain, head("GET", "/api/jobs", &dispatcher(), "").as_bytes()).await;
    assert_eq!(answer.header("strict-transport-security"), "", "there is no TLS to insist on");
}

#[actix_web::test]
async fn a_page_that_came_without_tls_is_of_another_origin() {
    let (site, certificate, _folder) = encrypted_site(SiteOptions::default()).await;
    for (scheme, status) in [("https", 200), ("http", 403)] {
        let mut connection = connect(&site, &certificate).await;
        let origin = format!("Origin: {scheme}://test\r\n");
        connection.send(head("GET", "/api/jobs", &dispatcher(), &origin)).await;
        assert_eq!(connection.answer().await.status, status, "{scheme}");
    }
}

#[actix_web::test]
async fn a_new_certificate_is_used_for_new_connections_and_a_broken_one_is_not() {
    let (site, old, folder) = encrypted_site(SiteOptions::default()).await;
    let mut former = connect(&site, &old).await;
    let ask = head("GET", "/api/jobs", &dispatcher(), "");
    former.send(&ask).await;
    assert_eq!(former.answer().await.status, 200);
    assert_eq!(expires(&site, &old).await, 4_102_444_800.0, "the year 2100");

    // The certificate comes, and its key does not yet: they do not belong together.
    let new = TestCertificate::until(2101);
    std::fs::write(folder.path().join("server.pem"), &new.certificate).expect("written");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(expires(&site, &old).await, 4_102_444_800.0, "the old one stays");
    std::fs::write(folder.path().join("server.key"), "garbage").expect("written");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(expires(&site, &old).await, 4_102_444_800.0, "the old one stays");

    new.write_to(folder.path());
    until("the new one is in use", async || new.connect(&site).await.is_ok()).await;
    assert!(old.connect(&site).await.is_err());
    assert_eq!(expires(&site, &new).await, 4_133_980_800.0, "the year 2101");
    former.send(&ask).await;
    assert_eq!(former.answer().await.status, 200, "a connection goes on with what it began with");
}

#[test]
fn a_certificate_that_cannot_be_used_is_said_before_the_start() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let (one, other) = (TestCertificate::new(), TestCertificate::new());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (good, key) = (file("good.pem", &one.certificate), file("good.key", &one.key));
    let (stranger, garbage) = (file("stranger.key", &other.key), file("garbage.pem", "garbage"));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    let (broken, absent) = (file("broken.pem", &broken), format!("{good}.absent"));
    for (certificate, key, named) in [
        (&good, Some(&stranger), Some("stranger.key: ")),
        (&good, Some(&garbage), Some("garbage.pem: ")),
        (&garbage, Some(&key), Some("garbage.pem: has no certificate in PEM")),
        (&broken, Some(&key), Some("broken.pem: ")),
        (&absent, Some(&key), Some("good.pem.absent: No such file")),
        (&good, None, Some("tls_key: is missing beside tls_certificate")),
        (&good, Some(&key), None),
    ] {
        let mut given = vec!["config", "check", "--jwt-secret", SECRET];
        given.extend(["--tls-certificate", certificate]);
        given.extend(key.into_iter().flat_map(|key| ["--tls-key", key.as_str()]));
        let (code, _, said) = program::run(given);
        match named {
            None => assert_eq!(code, Some(0), "{said}"),
            Some(named) => assert!(code == Some(1) && said.contains(named), "{named}: {said}"),
        }
        assert!(!said.contains("PRIVATE") && !said.contains(&other.key[40..80]), "{said}");
    }
}

#[test]
fn the_program_says_that_it_is_served_by_tls() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let tls = TestCertificate::new().write_to(folder.path());
    let database = TestDatabase::new();
    let serve = Serve::on(&database)
        .flag("--listen", "127.0.0.1:0")
        .flag("--tls-certificate", &tls.certificate.display().to_string())
        .flag("--tls-key", &tls.key.display().to_string());
    let program = serve.start();
    assert!(program.origin.starts_with("https://127.0.0.1:"));
    for (path, code) in [("/healthz", 0), ("/nowhere", 1)] {
        let (ended, _, said) =
            program::run(["health", "--url", &format!("{}{path}", program.origin)]);
        assert_eq!(ended, Some(code), "{said}");
    }
    assert!(program.stop());
}

fn impatient() -> SiteOptions {
    let head_timeout = Duration::from_secs(1);
    SiteOptions { limits: Limits { head_timeout, ..Limits::default() }, ..SiteOptions::default() }
}

/// The begin of a ClientHello.
const HALF_A_HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00];

#[actix_web::test]
async fn a_handshake_that_stalls_is_given_up() {
    let (site, certificate, _folder) = encrypted_site(impatient()).await;
    for sent in [&b""[..], HALF_A_HELLO, b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stalled = TcpStream::connect(site.server.address).await.expect("a listener");
        stalled.write_all(sent).await.expect("sent");
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stalled.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the server ends it");
        assert!(!rest.starts_with(b"HTTP"), "nothing is answered without TLS");
    }
    assert!(certificate.connect(&site).await.is_ok());
}

#[actix_web::test]
async fn many_handshakes_that_stall_keep_nobody_out() {
    // More than actix allows at a time if nobody says otherwise, 256 for each worker thread.
    let stalling = 256 * std::thread::available_parallelism().map_or(1, usize::from) + 50;
    rlimit::increase_nofile_limit(u64::MAX).expect("enough descriptors");
    let limits = Limits { head_timeout: 4 * PATIENCE, ..Limits::default() };
    let options = SiteOptions { limits, ..SiteOptions::default() };
    let (site, certificate, _folder) = encrypted_site(options).await;
    let mut stalled = Vec::new();
    for _ in 0..stalling {
        let mut stream = TcpStream::connect(site.server.address).await.expect("a listener");
        stream.write_all(HALF_A_HELLO).await.expect("sent");
        stalled.push(stream);
    }
    let served = tokio::time::timeout(PATIENCE, certificate.connect(&site)).await;
    assert!(served.is_ok_and(|connected| connected.is_ok()), "others are served meanwhile");
}

#[actix_web::test]
async fn a_client_that_does_not_read_is_cut_through_tls() {
    let connection = ConnectionOptions {
        output_bytes_max: 16 * 1024,
        send_timeout: Duration::from_secs(1),
        ..ConnectionOptions::default()
    };
    let hub = HubOptions { connection, ..HubOptions::default() };
    let (site, certificate, _folder) = encrypted_site(SiteOptions { hub, ..impatient() }).await;
    let mut socket = connect(&site, &certificate).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    socket.send(head("GET", "/hub/dispatch", &dispatcher(), upgrade)).await;
    assert_eq!(socket.answer().await.status, 101);
    socket.send(frame(TEXT, HANDSHAKE.as_bytes())).await;
    let join = invocation("1", "JoinDispatchGroup", json!([REGION]));
    socket.send(frame(TEXT, join.as_bytes())).await;
    // It never reads on.
    let mut day = 0;
    let is_cut = async || metric(&site, &certificate, "signalbox_slow_connections_cut_total").await;
    while is_cut().await == 0.0 {
        for _ in 0..200 {
            site.job(day, None).await;
            day += 1;
        }
        assert!(day < 20_000, "what a client does not read is bounded");
    }
    until("nothing is left of it", async || site.server.connections() == 0).await;
    // What the system has is still read, and then the end.
    socket.rest().await;
}
