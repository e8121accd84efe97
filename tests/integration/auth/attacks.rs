//! Forged tokens. None of them may let anybody in, whatever its header says.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use signalbox::auth::{AuthConfig, Authenticator, Reason, TOKEN_BYTES_MAX};

use super::{by_secret, reason, with_keys};
use crate::support::issuer::{
    Key, KeyServer, Manner, claims, key_set, seconds_from_now, signed_with_secret, unsigned,
};
use crate::support::site::SECRET;

/// An issuer of all kinds of keys, and those who check its tokens: by its keys alone, and
/// by a secret as well.
struct Scene {
    rsa: Key,
    p256: Key,
    ed25519: Key,
    server: KeyServer,
    checks: [Authenticator; 2],
}

impl Scene {
    async fn start() -> Self {
        let (rsa, p256, ed25519) = (Key::rsa("r", 0), Key::p256("e"), Key::ed25519("d"));
        let server = KeyServer::start(Manner::keys(&[&rsa, &p256, &ed25519]));
        let checks = [
            with_keys(&server, AuthConfig::default()).await,
            with_keys(&server, by_secret()).await,
        ];
        Self { rsa, p256, ed25519, server, checks }
    }

    async fn is_refused(&self, token: &str, expected: Reason, what: &str) {
        for checks in &self.checks {
            let found = reason(checks.authenticate(token).await);
            assert_eq!(found, Some(expected), "{what}");
        }
    }
}

#[actix_web::test]
async fn a_public_key_is_no_secret() {
    let scene = Scene::start().await;
    let der = scene.rsa.der();
    let body = STANDARD.encode(&der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("text")).collect();
    let pem = |end: &str| {
        format!(
            "-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----{end}",
            lines.join("\n")
        )
    };
    let jwk = scene.rsa.jwk();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().expect("text")).expect("base64");
    for secret in [
        pem("\n").into_bytes(),
        pem("").into_bytes(),
        der,
        jwk.to_string().into_bytes(),
        jwk["n"].as_str().expect("text").into(),
        modulus,
        key_set(&[&scene.rsa]).to_string().into_bytes(),
        Vec::new(),
    ] {
        for header in [json!({ "alg": "HS256", "kid": "r" }), json!({ "alg": "HS256" })] {
            let token = signed_with_secret(&secret, &header, &claims());
            let found: Vec<_> = [
                reason(scene.checks[0].authenticate(&token).await),
                reason(scene.checks[1].authenticate(&token).await),
            ]
            .into();
            assert_eq!(found, [Some(Reason::Algorithm), Some(Reason::Signature)], "{header}");
        }
        // And under the key's own algorithm: a signature that is an HMAC.
        let token = signed_with_secret(&secret, &scene.rsa.header(), &claims());
        scene.is_refused(&token, Reason::Signature, "an HMAC in the place of RS256").await;
    }
}

#[actix_web::test]
async fn a_token_without_a_signature_is_refused_however_it_is_spelt() {
    let scene = Scene::start().await;
    for alg in [
        "none", "None", "NONE", "nOnE", "", "null", "hs256", "rs256", "HS256 ", "RS512", "PS256",
        "ES384",
    ] {
        let signed = unsigned(&json!({ "alg": alg, "kid": "r" }), &claims());
        for token in [
            format!("{signed}."),
            format!("{signed}.AAAA"),
            scene.rsa.sign(&json!({ "alg": alg, "kid": "r" }), &claims()),
        ] {
            scene.is_refused(&token, Reason::Algorithm, alg).await;
        }
    }
    for header in [
        json!({ "alg": null }),
        json!({ "alg": ["RS256"] }),
        json!({ "kid": "r" }),
        json!([]),
        json!("RS256"),
    ] {
        let token = scene.rsa.sign(&header, &claims());
        scene.is_refused(&token, Reason::Malformed, &header.to_string()).await;
    }
    let signed = unsigned(&scene.rsa.header(), &claims());
    scene.is_refused(&format!("{signed}."), Reason::Signature, "an empty signature").await;
    scene.is_refused(&signed, Reason::Malformed, "no signature").await;
}

#[actix_web::test]
async fn a_key_is_not_taken_for_one_of_another_type() {
    let scene = Scene::start().await;
    for (signer, named) in [
        (&scene.p256, &scene.rsa),
        (&scene.rsa, &scene.p256),
        (&scene.ed25519, &scene.p256),
        (&scene.p256, &scene.ed25519),
    ] {
        let own = json!({ "alg": signer.algorithm(), "kid": named.id });
        let token = signer.sign(&own, &claims());
        scene.is_refused(&token, Reason::UnknownKey, "no key of that name and algorithm").await;
        let others = json!({ "alg": named.algorithm(), "kid": named.id });
        let token = signer.sign(&others, &claims());
        scene.is_refused(&token, Reason::Signature, "another key's algorithm and name").await;
    }
    let twin = Key::p256("r");
    scene.server.set(Manner::keys(&[&scene.rsa, &twin]));
    for key in [&scene.rsa, &twin] {
        let proved = scene.checks[0].authenticate(&key.token()).await;
        assert!(proved.is_ok(), "keys of different types may share a name: {}", key.algorithm());
    }
}

#[actix_web::test]
async fn the_name_of_a_key_is_a_name_and_nothing_else() {
    let scene = Scene::start().await;
    let stranger = Key::p256("x");
    for kid in
        ["../../../dev/null", "/etc/passwd", "' OR 1=1 --", "http://127.0.0.1/", "E", " e", "x"]
    {
        let token = stranger.sign(&json!({ "alg": "ES256", "kid": kid }), &claims());
        scene.is_refused(&token, Reason::UnknownKey, kid).await;
    }
    let asked = scene.server.asked();
    let long = "k".repeat(257);
    for kid in [
        json!(""),
        json!(long),
        json!("e\n"),
        json!("\u{0}"),
        json!(7),
        json!(["e"]),
        json!({ "e": 1 }),
    ] {
        let token = scene.p256.sign(&json!({ "alg": "ES256", "kid": kid }), &claims());
        scene.is_refused(&token, Reason::Malformed, &kid.to_string()).await;
    }
    assert_eq!(scene.server.asked(), asked, "nobody was asked for a key of such a name");
}

#[actix_web::test]
async fn a_token_cannot_bring_its_own_key() {
    let scene = Scene::start().await;
    let (stranger, trap) = (Key::p256("e"), KeyServer::start(Manner::HangUp));
    trap.set(Manner::keys(&[&stranger]));
    for (name, value) in [
        ("jwk", stranger.jwk()),
        ("jku", json!(trap.url())),
        ("x5u", json!(trap.url())),
        ("x5c", json!([STANDARD.encode([1, 2, 3])])),
    ] {
        let mut header = stranger.header();
        header[name] = value.clone();
        let token = stranger.sign(&header, &claims());
        scene.is_refused(&token, Reason::Signature, name).await;
        let mut good = scene.p256.header();
        good[name] = value;
        let token = scene.p256.sign(&good, &claims());
        assert!(scene.checks[0].authenticate(&token).await.is_ok(), "{name} is passed over");
    }
    assert_eq!(trap.asked(), 0, "nobody looked where the token said");
}

#[actix_web::test]
async fn a_header_that_asks_for_more_is_refused() {
    let scene = Scene::start().await;
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", Value::Null),
        ("crit", json!("b64")),
        ("b64", json!(false)),
        ("b64", json!(true)),
    ] {
        let mut header = scene.ed25519.header();
        header[name] = value.clone();
        let token = scene.ed25519.sign(&header, &claims());
        scene.is_refused(&token, Reason::Malformed, &format!("{name}: {value}")).await;
    }
    let twice = r#"{"alg":"none","alg":"EdDSA","kid":"d"}"#;
    let good = scene.ed25519.token();
    let (_, rest) = good.split_once('.').expect("three parts");
    let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(twice));
    scene.is_refused(&token, Reason::Malformed, twice).await;
}

#[actix_web::test]
async fn a_signature_that_is_no_signature_is_refused() {
    let scene = Scene::start().await;
    for key in [&scene.rsa, &scene.p256, &scene.ed25519] {
        let good = key.token();
        let (signed, signature) = good.rsplit_once('.').expect("three parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        let (mut longer, mut changed) = (signature.clone(), signature.clone());
        longer.push(0);
        changed[0] ^= 1;
        let half = signature.len() / 2;
        let der = [&[0x30, 68, 2, 32], &signature[..32], &[2, 32], &signature[32..]].concat();
        for forged in [
            vec![0; signature.len()],
            vec![0xFF; signature.len()],
            signature[1..].to_vec(),
            signature[..half].to_vec(),
            [&signature[half..], &signature[..half]].concat(),
            Vec::new(),
            vec![0],
            longer,
            changed,
            der,
        ] {
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&forged));
            scene.is_refused(&token, Reason::Signature, key.algorithm()).await;
        }
    }
}

#[actix_web::test]
async fn a_token_is_its_three_parts_and_no_byte_more() {
    let scene = Scene::start().await;
    let good = scene.p256.token();
    let parts: Vec<&str> = good.split('.').collect();
    let raised = json!({ "sub": "nora", "exp": seconds_from_now(600), "roles": ["admin"] });
    let raised = URL_SAFE_NO_PAD.encode(raised.to_string());
    for (token, expected) in [
        (format!("{}.{raised}.{}", parts[0], parts[2]), Reason::Signature),
        (format!("{good}.{}", parts[2]), Reason::Malformed),
        (format!("{}.{}", parts[0], parts[1]), Reason::Malformed),
        (format!("{good}="), Reason::Malformed),
        (format!("{good} "), Reason::Malformed),
        (format!(" {good}"), Reason::Malformed),
        (format!("{good}\n"), Reason::Malformed),
        (good.replace('.', ".."), Reason::Malformed),
        (String::new(), Reason::Malformed),
        (".".to_owned(), Reason::Malformed),
        ("..".to_owned(), Reason::Malformed),
        ("a.b.c".to_owned(), Reason::Malformed),
        ("\u{fffd}.\u{fffd}.\u{fffd}".to_owned(), Reason::Malformed),
    ] {
        scene.is_refused(&token, expected, &token).await;
    }
}

#[actix_web::test]
async fn a_token_that_is_too_long_is_refused_unread() {
    let scene = Scene::start().await;
    let padded = |bytes: usize| {
        let mut claims = claims();
        claims["name"] = json!("x".repeat(bytes));
        scene.p256.sign(&scene.p256.header(), &claims)
    };
    let fits = padded(5000);
    assert!(fits.len() <= TOKEN_BYTES_MAX && scene.checks[0].authenticate(&fits).await.is_ok());
    scene.is_refused(&padded(TOKEN_BYTES_MAX), Reason::Malformed, "signed, and too long").await;
    let deep = format!("{{\"alg\":{}", "[".repeat(5000));
    scene
        .is_refused(&format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(deep)), Reason::Malformed, "deep")
        .await;
}

#[actix_web::test]
async fn signatures_do_not_make_up_for_claims() {
    let scene = Scene::start().await;
    for (name, value, expected) in [
        ("exp", json!(seconds_from_now(-1)), Reason::Expired),
        ("exp", Value::Null, Reason::Claims),
        ("nbf", json!(seconds_from_now(600)), Reason::NotYetValid),
    ] {
        let mut claims = claims();
        claims[name] = value;
        for key in [&scene.rsa, &scene.p256, &scene.ed25519] {
            let token = key.sign(&key.header(), &claims);
            scene.is_refused(&token, expected, name).await;
        }
        let token = signed_with_secret(SECRET.as_bytes(), &json!({ "alg": "HS256" }), &claims);
        let found = reason(scene.checks[1].authenticate(&token).await);
        assert_eq!(found, Some(expected), "{name}");
    }
}
