//! Keys from a URL: rotation, and a source that does not do its part.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use signalbox::auth::{AuthConfig, Denial, KeysState, Reason};

use super::{authenticator, by_keys, reason, site_by, times, with_keys};
use crate::support::http_client::Api;
use crate::support::issuer::{Key, KeyServer, Manner, claims, key_set};
use crate::support::site::{SECRET, Site, token};
use crate::support::until;

fn jobs(site: &Site, token: &str) -> crate::support::http_client::Call {
    Api::new(site, token).get("/api/jobs?limit=1")
}

#[actix_web::test]
async fn a_rotation_under_load_refuses_no_valid_token() {
    const ROTATIONS: usize = 12;
    const CALLERS: usize = 8;
    let keys: Vec<Key> = (0..=ROTATIONS).map(|n| Key::p256(&format!("key-{n}"))).collect();
    let server = KeyServer::start(Manner::keys(&[&keys[0]]));
    let site = site_by(by_keys(&server.url())).await;
    until("the keys are there", || async {
        jobs(&site, &keys[0].token()).send().await.status == 200
    })
    .await;
    let (newest, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let counts: Vec<AtomicUsize> = keys.iter().map(|_| AtomicUsize::new(0)).collect();
    let caller = async || {
        while !is_over.load(Ordering::SeqCst) {
            let at = newest.load(Ordering::SeqCst);
            let token = keys[at].token();
            let answer = jobs(&site, &token).send().await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let hub = Api::new(&site, &token).call("POST", "/hub/dispatch/negotiate").send().await;
            assert_eq!(hub.status, 200, "{hub:?}");
            counts[at].fetch_add(1, Ordering::SeqCst);
        }
    };
    let rotating = async {
        for at in 1..keys.len() {
            // The one before stays for a while, as its tokens are under way still.
            server.set(Manner::keys(&[&keys[at], &keys[at - 1]]));
            newest.store(at, Ordering::SeqCst);
            until("tokens of the new key were taken", || async {
                counts[at].load(Ordering::SeqCst) >= 3 * CALLERS
            })
            .await;
        }
        is_over.store(true, Ordering::SeqCst);
    };
    let callers = join_all((0..CALLERS).map(|_| caller()));
    futures_util::future::join(rotating, callers).await;
    // One read for each key, another one for those who came while it ran, and the first.
    assert!(server.asked() <= 2 * ROTATIONS + 1, "asked {} times", server.asked());
    let gone = jobs(&site, &keys[0].token()).send().await;
    assert_eq!(gone.status, 401, "its key is no longer published");
}

#[actix_web::test]
async fn made_up_keys_do_not_hammer_the_source() {
    const FORGERS: usize = 200;
    let known = Key::p256("known");
    let server = KeyServer::start(Manner::keys(&[&known]));
    let checks = with_keys(&server, AuthConfig::default()).await;
    let (asked, since) = (server.asked(), Instant::now());
    let stranger = Key::p256("x");
    let forged = |round: usize, n: usize| {
        stranger.sign(&json!({ "alg": "ES256", "kid": format!("{round}-{n}") }), &claims())
    };
    for round in 0..3 {
        let tokens: Vec<String> = (0..FORGERS).map(|n| forged(round, n)).collect();
        let answers = join_all(tokens.iter().map(|token| checks.authenticate(token))).await;
        assert!(answers.into_iter().all(|checked| reason(checked) == Some(Reason::UnknownKey)));
    }
    let reads = server.asked() - asked;
    let permitted = since.elapsed().as_millis() / times().ask_interval.as_millis() + 1;
    assert!(reads >= 3 && reads as u128 <= permitted, "{reads} reads in {:?}", since.elapsed());
}

#[actix_web::test]
async fn more_than_may_wait_for_a_key_are_told_to_try_again() {
    let known = Key::p256("known");
    let server = KeyServer::start(Manner::keys(&[&known]));
    let checks = with_keys(&server, AuthConfig::default()).await;
    server.set(Manner::Silent);
    let fresh = Key::p256("fresh").token();
    let answers = join_all((0..400).map(|_| checks.authenticate(&fresh))).await;
    assert!(answers.iter().all(|checked| matches!(checked, Err(Denial::KeysUnavailable))));
    server.set(Manner::keys(&[&known]));
    assert!(checks.authenticate(&known.token()).await.is_ok());
}

/// What a source may do instead of its part.
fn troubles() -> Vec<(&'static str, Manner)> {
    let mut huge = key_set(&[&Key::p256("new")]).to_string().into_bytes();
    huge.extend(vec![b' '; 300_000]);
    let private = |mut jwk: Value| {
        jwk["d"] = json!("AAAA");
        json!({ "keys": [jwk] }).to_string()
    };
    vec![
        ("an error", Manner::Answer(500, String::new(), b"{}".to_vec())),
        ("nothing there", Manner::Answer(404, String::new(), Vec::new())),
        ("garbage", Manner::body("<html>it works</html>")),
        ("half a document", Manner::body("{\"keys\":[{\"kty\":\"EC\"")),
        ("no keys", Manner::body("{\"keys\":[]}")),
        ("a private key alone", Manner::body(private(Key::p256("new").jwk()))),
        ("too large a body", Manner::body(huge)),
        (
            "too long a head",
            Manner::Answer(200, format!("X: {}\r\n", "x".repeat(100_000)), Vec::new()),
        ),
        ("no answer", Manner::Silent),
        ("a drip", Manner::Dripping),
        ("a closed connection", Manner::HangUp),
        ("a redirect to itself", Manner::redirect("/keys")),
        ("a redirect to nowhere", Manner::redirect("http://127.0.0.1:1/keys")),
        ("a redirect to a file", Manner::redirect("file:///etc/passwd")),
    ]
}

#[actix_web::test]
async fn the_last_good_keys_stay_while_the_source_fails_whichever_way() {
    let (old, new) = (Key::p256("old"), Key::p256("new"));
    let server = KeyServer::start(Manner::keys(&[&old]));
    let checks = Arc::new(with_keys(&server, AuthConfig::default()).await);
    for (trouble, manner) in troubles() {
        server.set(manner);
        let (fresh, asking) = (new.token(), Arc::clone(&checks));
        let asking = actix_web::rt::spawn(async move { asking.authenticate(&fresh).await.err() });
        while !asking.is_finished() {
            let before = Instant::now();
            let known = checks.authenticate(&old.token()).await;
            assert!(known.is_ok() && before.elapsed() < times().timeout, "{trouble}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let unknown = asking.await.expect("nobody panics");
        assert_eq!(unknown, Some(Denial::KeysUnavailable), "{trouble}");
        let report = checks.keys().expect("there are keys");
        assert_eq!((report.state, report.keys), (KeysState::Kept, 1), "{trouble}");
        // By itself: nobody asks.
        server.set(Manner::keys(&[&old]));
        until("the keys are confirmed", || async {
            checks.keys().expect("there are keys").state == KeysState::Current
        })
        .await;
    }
    server.set(Manner::keys(&[&new]));
    assert!(checks.authenticate(&new.token()).await.is_ok());
}

#[actix_web::test]
async fn a_redirect_that_leads_to_keys_is_followed() {
    let key = Key::p256("moved");
    let home = KeyServer::start(Manner::keys(&[&key]));
    let old = KeyServer::start(Manner::redirect(&home.url()));
    let checks = with_keys(&old, AuthConfig::default()).await;
    assert!(checks.authenticate(&key.token()).await.is_ok());
}

#[actix_web::test]
async fn keys_are_read_again_when_they_grow_old() {
    let (old, new) = (Key::p256("old"), Key::p256("new"));
    let answer = |keys: &[&Key], age: &str| {
        Manner::Answer(200, format!("Cache-Control: {age}\r\n"), key_set(keys).to_string().into())
    };
    let server = KeyServer::start(answer(&[&old], "no-cache"));
    let checks = with_keys(&server, AuthConfig::default()).await;
    // The server's own bounds count: neither at once, nor never.
    let asked = server.asked();
    until("it is read again", || async { server.asked() > asked + 1 }).await;
    server.set(answer(&[&new], "max-age=3600"));
    until("the new key is there", || async {
        reason(checks.authenticate(&old.token()).await) == Some(Reason::UnknownKey)
    })
    .await;
    assert!(checks.authenticate(&new.token()).await.is_ok());
}

#[actix_web::test]
async fn a_server_starts_without_its_keys_and_says_so_until_they_are_there() {
    let key = Key::rsa("r", 0);
    let source = KeyServer::start(Manner::HangUp);
    let site = site_by(by_keys(&source.url())).await;
    let api = Api::new(&site, &key.token());
    let refused = api.get("/api/jobs").send().await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{refused:?}");
    assert_eq!(refused.body["code"], "store_unavailable");
    let refused = api.call("POST", "/hub/dispatch/negotiate").send().await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{refused:?}");
    let forged = Api::new(&site, &token("admin", &[], None)).get("/api/jobs").send().await;
    assert_eq!(forged.status, 401, "no secret is configured");
    let ready = Api::nobody(&site).get("/readyz").send().await;
    assert_eq!((ready.status, &ready.body["signInKeys"]), (503, &json!("down")), "{ready:?}");

    source.set(Manner::keys(&[&key]));
    until("the keys are there", || async { api.get("/api/jobs").send().await.status == 200 }).await;
    let ready = Api::nobody(&site).get("/readyz").send().await;
    assert_eq!((ready.status, &ready.body["signInKeys"]), (200, &json!("up")), "{ready:?}");
    source.set(Manner::HangUp);
    let fresh = Api::new(&site, &Key::rsa("new", 1).token()).get("/api/jobs").send().await;
    assert_eq!(fresh.status, 503, "{fresh:?}");
    let ready = Api::nobody(&site).get("/readyz").send().await;
    assert_eq!((ready.status, &ready.body["signInKeys"]), (200, &json!("degraded")), "{ready:?}");
    assert_eq!(api.get("/api/jobs").send().await.status, 200);
}

#[actix_web::test]
async fn tokens_of_the_secret_do_not_wait_for_keys() {
    let source = KeyServer::start(Manner::Silent);
    let config = AuthConfig { secret: Some(SECRET.to_owned()), ..by_keys(&source.url()) };
    let site = site_by(config).await;
    let answer = jobs(&site, &token("admin", &[], None)).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let ready = Api::nobody(&site).get("/readyz").send().await;
    assert_eq!((ready.status, &ready.body["signInKeys"]), (200, &json!("down")), "{ready:?}");
    assert!(
        Api::nobody(&Site::start().await).get("/readyz").send().await.body["signInKeys"].is_null()
    );
}

#[actix_web::test]
async fn a_request_waits_for_the_first_keys_and_not_for_ever() {
    let key = Key::p256("slow");
    let source = KeyServer::start(Manner::Silent);
    let checks = authenticator(&by_keys(&source.url()));
    until("the source is asked", || async { source.asked() > 0 }).await;
    let since = Instant::now();
    let denied = checks.authenticate(&key.token()).await;
    assert_eq!(denied.err(), Some(Denial::KeysUnavailable));
    assert!(since.elapsed() < times().wait_max + Duration::from_secs(1), "{:?}", since.elapsed());
}
