//! What a good token is: signature, times, issuer, audience.

use std::time::Duration;

use serde_json::{Value, json};
use signalbox::auth::{AuthConfig, Claims, Reason, issue};

use super::{authenticator, by_secret, reason, with_keys};
use crate::support::issuer::{Key, KeyServer, Manner, claims, seconds_from_now};
use crate::support::site::{SECRET, token};

#[actix_web::test]
async fn tokens_of_a_secret_and_of_each_kind_of_key_are_taken_side_by_side() {
    let keys = [Key::rsa("r", 0), Key::p256("e"), Key::ed25519("d")];
    let server = KeyServer::start(Manner::keys(&[&keys[0], &keys[1], &keys[2]]));
    let checks = with_keys(&server, by_secret()).await;
    for key in &keys {
        let proved = checks.authenticate(&key.token()).await.expect("a good token");
        assert_eq!(proved.caller.actor.id, "nora", "{}", key.algorithm());
    }
    let proved = checks.authenticate(&token("admin", &[], None)).await.expect("a good token");
    assert!(proved.caller.is_admin);
}

#[actix_web::test]
async fn a_token_that_names_no_key_is_checked_with_those_of_its_algorithm() {
    let (first, second, other) = (Key::p256("1"), Key::p256("2"), Key::ed25519("3"));
    let server = KeyServer::start(Manner::keys(&[&other, &first, &second]));
    let checks = with_keys(&server, AuthConfig::default()).await;
    let nameless = |key: &Key| key.sign(&json!({ "alg": key.algorithm() }), &claims());
    for key in [&first, &second, &other] {
        assert!(checks.authenticate(&nameless(key)).await.is_ok(), "{}", key.id);
    }
    let stranger = checks.authenticate(&nameless(&Key::p256("1"))).await;
    assert_eq!(reason(stranger), Some(Reason::UnknownKey));
}

#[actix_web::test]
async fn what_is_not_signed_with_the_secret_and_hs256_is_refused() {
    let checks = authenticator(&by_secret());
    let claims: Claims = serde_json::from_value(claims()).expect("claims");
    let good = issue(SECRET, &claims).expect("signed");
    assert!(checks.authenticate(&good).await.is_ok());
    let other = issue("another secret of at least 32 bytes, also", &claims).expect("signed");
    assert_eq!(reason(checks.authenticate(&other).await), Some(Reason::Signature));
    let key = Key::p256("e").token();
    assert_eq!(reason(checks.authenticate(&key).await), Some(Reason::Algorithm));
}

/// A token of the secret with these claims beside the good ones; null takes one away.
fn token_with(changes: &Value) -> String {
    let mut claims = claims();
    for (name, value) in changes.as_object().expect("claims") {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("claims").remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    crate::support::issuer::signed_with_secret(
        SECRET.as_bytes(),
        &json!({ "alg": "HS256" }),
        &claims,
    )
}

#[actix_web::test]
async fn issuer_and_audience_are_checked_when_configured() {
    let strict = authenticator(&AuthConfig {
        issuer: Some("issuer".to_owned()),
        audience: Some("signalbox".to_owned()),
        ..by_secret()
    });
    let lax = authenticator(&by_secret());
    for (changes, expected) in [
        (json!({ "iss": "issuer", "aud": "signalbox" }), None),
        (json!({ "iss": "issuer", "aud": ["other", "signalbox"] }), None),
        (json!({ "aud": "signalbox" }), Some(Reason::Issuer)),
        (json!({ "iss": "issuer" }), Some(Reason::Audience)),
        (json!({ "iss": "other", "aud": "signalbox" }), Some(Reason::Issuer)),
        (json!({ "iss": "Issuer", "aud": "signalbox" }), Some(Reason::Issuer)),
        (json!({ "iss": 7, "aud": "signalbox" }), Some(Reason::Claims)),
        (json!({ "iss": "issuer", "aud": "other" }), Some(Reason::Audience)),
        (json!({ "iss": "issuer", "aud": [] }), Some(Reason::Audience)),
        (json!({ "iss": "issuer", "aud": { "signalbox": 1 } }), Some(Reason::Audience)),
    ] {
        let token = token_with(&changes);
        assert_eq!(reason(strict.authenticate(&token).await), expected, "{changes}");
        let is_text = !changes["iss"].is_number();
        assert_eq!(lax.authenticate(&token).await.is_ok(), is_text, "{changes}, unchecked");
    }
}

#[actix_web::test]
async fn times_are_exact_but_for_the_skew_of_the_issuers_clock() {
    let skewed = AuthConfig { clock_skew: Duration::from_secs(30), ..by_secret() };
    let (exact, skewed) = (authenticator(&by_secret()), authenticator(&skewed));
    for (changes, in_exact, in_skewed) in [
        (json!({ "exp": seconds_from_now(60) }), None, None),
        (json!({ "exp": seconds_from_now(0) }), Some(Reason::Expired), Some(Reason::Expired)),
        (json!({ "exp": seconds_from_now(-10) }), Some(Reason::Expired), Some(Reason::Expired)),
        (json!({ "exp": seconds_from_now(-4000) }), Some(Reason::Expired), Some(Reason::Expired)),
        (json!({ "exp": null }), Some(Reason::Claims), Some(Reason::Claims)),
        (json!({ "exp": "tomorrow" }), Some(Reason::Claims), Some(Reason::Claims)),
        (json!({ "exp": -1 }), Some(Reason::Claims), Some(Reason::Claims)),
        (json!({ "exp": u64::MAX }), Some(Reason::Claims), Some(Reason::Claims)),
        (json!({ "nbf": seconds_from_now(0) }), None, None),
        (json!({ "nbf": seconds_from_now(20) }), Some(Reason::NotYetValid), None),
        (
            json!({ "nbf": seconds_from_now(60) }),
            Some(Reason::NotYetValid),
            Some(Reason::NotYetValid),
        ),
        (json!({ "nbf": "later" }), Some(Reason::Claims), Some(Reason::Claims)),
        (json!({ "sub": null }), Some(Reason::Claims), Some(Reason::Claims)),
        (json!({ "sub": "" }), Some(Reason::Claims), Some(Reason::Claims)),
        (json!({ "sub": "x".repeat(129) }), Some(Reason::Claims), Some(Reason::Claims)),
        (json!({ "sub": "a\nb" }), Some(Reason::Claims), Some(Reason::Claims)),
        (json!({ "roles": "admin" }), Some(Reason::Claims), Some(Reason::Claims)),
    ] {
        let token = token_with(&changes);
        assert_eq!(reason(exact.authenticate(&token).await), in_exact, "{changes}");
        assert_eq!(reason(skewed.authenticate(&token).await), in_skewed, "{changes}, skewed");
    }
}

#[actix_web::test]
async fn a_role_that_is_missing_takes_its_claims_along() {
    let checks = authenticator(&by_secret());
    let id = "0198c5e0-0000-7000-8000-000000000001";
    let caller = async |roles: Value, regions: Value| {
        let token = token_with(&json!({ "roles": roles, "regions": regions, "contractorId": id }));
        checks.authenticate(&token).await.expect("a good token").caller
    };
    let north = crate::support::site::region();
    let dispatcher = caller(json!(["dispatcher"]), json!(["north"])).await;
    assert!(dispatcher.may_dispatch(&north) && dispatcher.contractor_id.is_none());
    let contractor = caller(json!(["contractor"]), json!(["north"])).await;
    assert!(!contractor.may_dispatch(&north) && contractor.contractor_id.is_some());
    let nobody = caller(json!(["viewer"]), json!(["*"])).await;
    assert!(!nobody.may_dispatch(&north) && nobody.contractor_id.is_none());
}

#[actix_web::test]
async fn a_long_name_is_cut() {
    let token = token_with(&json!({ "name": "ü".repeat(80) }));
    let proved = authenticator(&by_secret()).authenticate(&token).await.expect("a good token");
    assert_eq!(proved.caller.actor.name, Some("ü".repeat(50)));
}
