//! What the metrics tell of sign-in.

use serde_json::json;

use super::{by_keys, site_by};
use crate::support::http_client::Api;
use crate::support::issuer::{Key, KeyServer, Manner, claims, seconds_from_now};
use crate::support::site::{Site, token};
use crate::support::until;

/// The value of a series of the page.
async fn number(site: &Site, series: &str) -> f64 {
    let page = Api::nobody(site).get("/metrics").send().await.text;
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in {page}"))
}

async fn refused(site: &Site, reason: &str) -> f64 {
    number(site, &format!("signalbox_tokens_refused_total{{reason=\"{reason}\"}}")).await
}

#[actix_web::test]
async fn refused_tokens_are_counted_by_reason_wherever_they_come_in() {
    let key = Key::p256("known");
    let source = KeyServer::start(Manner::keys(&[&key]));
    let site = site_by(by_keys(&source.url())).await;
    until("the keys are there", || async { number(&site, "signalbox_sign_in_keys").await == 1.0 })
        .await;
    let mut expired = claims();
    expired["exp"] = json!(seconds_from_now(-1));
    let bring = async |token: &str, path: &str| {
        let method = if path.starts_with("/hub") { "POST" } else { "GET" };
        Api::new(&site, token).call(method, path).send().await.status
    };
    for path in ["/api/jobs", "/hub/dispatch/negotiate"] {
        assert_eq!(bring("nonsense", path).await, 401);
        assert_eq!(bring(&key.sign(&key.header(), &expired), path).await, 401);
        assert_eq!(bring(&token("admin", &[], None), path).await, 401);
        assert_eq!(bring(&Key::p256("unknown").token(), path).await, 401);
        assert_eq!(bring(&key.token(), path).await, 200);
    }
    for reason in ["malformed", "expired", "algorithm", "unknown_key"] {
        assert_eq!(refused(&site, reason).await, 2.0, "{reason}");
    }
    for reason in ["signature", "not_yet_valid", "issuer", "audience", "claims", "keys_unavailable"]
    {
        assert_eq!(refused(&site, reason).await, 0.0, "{reason}");
    }
}

#[actix_web::test]
async fn the_state_and_the_age_of_the_keys_are_told() {
    let key = Key::p256("known");
    let source = KeyServer::start(Manner::HangUp);
    let site = site_by(by_keys(&source.url())).await;
    let part = "signalbox_part_up{part=\"sign_in_keys\"}";
    let failed = "signalbox_sign_in_key_reads_total{result=\"failed\"}";
    until("a read has failed", || async { number(&site, failed).await > 0.0 }).await;
    assert_eq!(number(&site, part).await, 0.0);
    source.set(Manner::keys(&[&key]));
    until("the keys are there", || async { number(&site, part).await == 1.0 }).await;
    assert_eq!(number(&site, "signalbox_sign_in_key_reads_total{result=\"ok\"}").await, 1.0);
    assert_eq!(number(&site, "signalbox_sign_in_keys").await, 1.0);
    source.set(Manner::HangUp);
    let age = "signalbox_sign_in_keys_age_seconds";
    let before = number(&site, age).await;
    assert_eq!(
        Api::new(&site, &Key::p256("new").token()).get("/api/jobs").send().await.status,
        503
    );
    assert_eq!((number(&site, part).await, refused(&site, "keys_unavailable").await), (0.5, 1.0));
    assert!(number(&site, age).await > before, "nobody has confirmed them since");
    assert_eq!(number(&Site::start().await, part).await, 1.0, "where none are configured");
}
