//! Tokens stand in no log line, no answer and no metric, whatever goes wrong with them.

use std::fs;

use awc::http::Method;
use futures_util::future::join_all;
use serde_json::json;

use crate::support::database::TestDatabase;
use crate::support::issuer::{
    Key, KeyServer, Manner, claims, seconds_from_now, signed_with_secret,
};
use crate::support::program::Serve;
use crate::support::service::free_port;
use crate::support::site::SECRET;
use crate::support::until;
use crate::support::websocket::HubClient;

/// Tokens that are good, and such that fail in every way that there is.
fn tokens(known: &Key) -> Vec<String> {
    let stranger = Key::p256("stranger");
    let mut expired = claims();
    expired["exp"] = json!(seconds_from_now(-5));
    let mut incomplete = claims();
    incomplete["roles"] = json!("a-claim-that-is-no-list");
    let hs256 = json!({ "alg": "HS256" });
    let mut changed = known.token();
    changed.truncate(changed.len() - 4);
    vec![
        known.token(),
        signed_with_secret(SECRET.as_bytes(), &hs256, &claims()),
        signed_with_secret(b"another", &hs256, &claims()),
        stranger.token(),
        known.sign(&known.header(), &expired),
        known.sign(&known.header(), &incomplete),
        known.sign(&json!({ "alg": "none", "kid": known.id }), &claims()),
        known.sign(&json!({ "alg": "ES256", "crit": ["exp"] }), &claims()),
        format!("{changed}AAAA"),
        "not-a-token-at-all-but-secret-all-the-same".to_owned(),
        format!("{}.{}", known.token(), "x".repeat(9000)),
    ]
}

/// Every way that a token can come in; answers what came back.
async fn bring(url: &str, token: &str) -> Vec<String> {
    let client = awc::Client::new();
    let ways = [
        ("GET", "/api/jobs".to_owned(), true),
        ("GET", "/metrics".to_owned(), true),
        ("GET", format!("/api/jobs?access_token={token}"), false),
        ("POST", "/hub/dispatch/negotiate?negotiateVersion=1".to_owned(), true),
        ("POST", format!("/hub/dispatch/negotiate?access_token={token}"), false),
        ("GET", format!("/hub/dispatch?id=nobody&access_token={token}"), false),
        ("POST", format!("/hub/dispatch/refresh?id=nobody&access_token={token}"), false),
        ("DELETE", "/hub/dispatch?id=nobody".to_owned(), true),
    ];
    let answers = ways.map(async |(method, path, in_header)| {
        let method: Method = method.parse().expect("a method");
        let request = client.request(method, format!("{url}{path}"));
        let request = if in_header { request.bearer_auth(token) } else { request };
        let mut answer = request.send().await.expect("an answer");
        let body = answer.body().await.expect("a body");
        format!("{:?}{}", answer.headers(), String::from_utf8_lossy(&body))
    });
    join_all(answers).await
}

#[actix_web::test]
async fn tokens_are_neither_logged_nor_repeated() {
    let known = Key::p256("known");
    let source = KeyServer::start(Manner::keys(&[&known]));
    let (database, folder) = (TestDatabase::new(), tempfile::tempdir().expect("a folder"));
    let log = folder.path().join("log");
    let address = format!("127.0.0.1:{}", free_port());
    let into_log = format!("exec \"$@\" 2>'{}'", log.display());
    let program = Serve::on(&database)
        .flag("--listen", &address)
        .flag("--jwks", &source.url())
        .environment("RUST_LOG", "debug,signalbox=trace")
        .within(&["sh", "-c", &into_log, "sh"])
        .start();
    let url = format!("http://{address}");
    let (mut said, tokens) = (Vec::new(), tokens(&known));
    said.extend(join_all(tokens.iter().map(|token| bring(&url, token))).await.concat());
    let renewing = tokens.iter().map(async |token| {
        let mut hub = HubClient::connect(&format!("{url}/hub/dispatch"), &tokens[0]).await;
        let mut said = Vec::new();
        for argument in [json!(token), json!({ "token": token }), json!([token])] {
            said.push(hub.invoke("RenewToken", json!([argument])).await.to_string());
        }
        said
    });
    said.extend(join_all(renewing).await.concat());
    said.extend(bring(&url, "").await);
    let is_logged = || async { fs::read_to_string(&log).is_ok_and(|log| log.contains("refused")) };
    until("the log tells of refusals", is_logged).await;
    assert!(program.stop(), "it ends well");
    said.push(fs::read_to_string(&log).expect("the log"));
    for token in &tokens {
        // Its parts as well: a signature is what makes a token of what anybody may know.
        for part in token.split('.').chain([token.as_str()]).filter(|part| part.len() > 20) {
            let found = said.iter().find(|text| text.contains(part));
            assert_eq!(found, None, "{part}");
        }
    }
    assert!(said.iter().all(|text| !text.contains("a-claim-that-is-no-list")));
}
