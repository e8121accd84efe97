//! The list of connections.

use serde_json::{Value, json};
use signalbox::jobs::{Timestamp, contractor_group};

use super::{CONNECTIONS, listed, listed_when, text};
use crate::support::http_client::Api;
use crate::support::polling::PollingClient;
use crate::support::raw_websocket::{RawSocket, invocation};
use crate::support::site::{REGION, Site, token, token_of};
use crate::support::until;
use crate::support::websocket::HubClient;

async fn hub_client(site: &Site, token: &str) -> HubClient {
    HubClient::connect(&site.url("/hub/dispatch"), token).await
}

fn millis(value: &Value, member: &str) -> i64 {
    Timestamp::parse(text(value, member)).expect("a time").millis()
}

#[actix_web::test]
async fn a_connection_is_shown_with_its_user_its_groups_and_its_times() {
    let site = Site::start().await;
    let ada = site.contractor().await;
    let before = Timestamp::now().millis();
    let mut socket = hub_client(&site, &token("dispatcher", &[REGION], None)).await;
    let groups = json!([{ "groups": [contractor_group(ada), "dispatch/north"] }]);
    socket.invoke("Subscribe", groups).await;
    let answer = listed(&site, "").await;
    let mut shown = answer.body["items"][0].clone();
    let after = Timestamp::now().millis();
    for (member, earliest, latest) in [
        ("since", before - 1, after),
        ("lastHeardAt", before - 1, after),
        // A token of ten minutes, in whole seconds.
        ("tokenExpiresAt", before + 599_000, after + 600_000),
    ] {
        let time = millis(&shown, member);
        assert!((earliest..=latest).contains(&time), "{member}: {time} of {earliest} to {latest}");
        shown.as_object_mut().expect("an object").remove(member);
    }
    let id = shown["id"].clone();
    assert_eq!(id.as_str().map(str::len), Some(22), "the public name");
    let expected = json!({
        "id": id,
        "user": { "id": "dispatcher-1", "role": "dispatcher", "name": "Tess" },
        "transport": "WebSockets",
        "protocol": "json",
        "groups": [contractor_group(ada), "dispatch/north"],
        "queue": { "messages": 0, "bytes": 0, "bytesMax": 1_048_576 },
    });
    assert_eq!(shown, expected);
    let rest = json!({ "nextCursor": null, "total": 1, "nodeId": "test", "silentWorkers": 0 });
    let mut body = answer.body;
    body.as_object_mut().expect("an object").remove("items");
    assert_eq!(body, rest);
}

#[actix_web::test]
async fn a_connection_without_a_handshake_is_shown_without_a_protocol() {
    let site = Site::start().await;
    let token = token("dispatcher", &[REGION], None);
    let _mute = RawSocket::open(&site, "/hub/dispatch", &token).await.expect("the upgrade");
    let answer = listed_when(&site, "", 1).await;
    assert_eq!(answer.items("protocol"), [Value::Null]);
    assert_eq!(answer.items("groups"), [json!([])]);
}

#[actix_web::test]
async fn what_waits_for_a_client_that_does_not_read_is_counted() {
    let site = Site::start().await;
    let polling = PollingClient::connect(&site, &token("dispatcher", &[REGION], None)).await;
    polling.send(&invocation("1", "JoinDispatchGroup", json!([REGION]))).await;
    polling.poll().await;
    let idle = listed(&site, "").await.items("queue")[0].clone();
    assert_eq!((&idle["messages"], &idle["bytes"]), (&json!(0), &json!(0)));

    site.job(1, None).await;
    until("the event waits", || async {
        listed(&site, "").await.items("queue")[0]["messages"] == json!(1)
    })
    .await;
    let waiting = listed(&site, "").await.items("queue")[0]["bytes"].as_u64().expect("a number");
    let event = polling.get().await;
    assert_eq!(waiting, event.text.len() as u64);
    assert_eq!(listed(&site, "").await.items("queue"), [idle]);
}

#[actix_web::test]
async fn filters_are_met_all_together() {
    let site = Site::start().await;
    let north = token_of("nora", &["dispatcher"], &["north"], None);
    let mut nora = hub_client(&site, &north).await;
    nora.invoke("JoinDispatchGroup", json!(["north"])).await;
    let nora_polls = PollingClient::connect(&site, &north).await;
    let mut sven = hub_client(&site, &token_of("sven", &["dispatcher"], &["*"], None)).await;
    sven.invoke("Subscribe", json!([{ "groups": ["dispatch/north", "dispatch/south"] }])).await;
    for (query, count) in [
        ("", 3),
        ("?user=nora", 2),
        ("?user=NORA", 0),
        ("?user=nor", 0),
        ("?group=dispatch/north", 2),
        ("?group=dispatch%2Fsouth", 1),
        ("?group=dispatch", 0),
        ("?transport=WebSockets", 2),
        ("?transport=LongPolling&user=nora", 1),
        ("?transport=LongPolling&user=sven", 0),
        ("?transport=ServerSentEvents", 0),
        ("?user=sven&group=dispatch/north&transport=WebSockets", 1),
    ] {
        let answer = listed(&site, query).await;
        let found = (answer.items("id").len(), answer.body["total"].as_u64());
        assert_eq!(found, (count, Some(count as u64)), "{query}");
    }
    let polled = listed(&site, "?transport=LongPolling").await.items("id");
    assert_eq!(polled, [json!(nora_polls.connection_id)]);
}

#[actix_web::test]
async fn pages_bring_every_connection_once_those_that_began_first_before() {
    let site = Site::start().await;
    let mut sockets = Vec::new();
    for number in 0..7 {
        let token = token_of(&format!("user-{number}"), &["dispatcher"], &[REGION], None);
        sockets.push(hub_client(&site, &token).await);
    }
    let (mut users, mut query) = (Vec::new(), "?limit=3".to_owned());
    loop {
        let answer = listed(&site, &query).await;
        assert_eq!(answer.body["total"], json!(7));
        users.extend(answer.items("user").into_iter().map(|user| user["id"].clone()));
        let Some(cursor) = answer.body["nextCursor"].as_str() else {
            break;
        };
        query = format!("?limit=3&cursor={cursor}");
    }
    let expected: Vec<Value> = (0..7).map(|number| json!(format!("user-{number}"))).collect();
    assert_eq!(users, expected);
}

#[actix_web::test]
async fn a_group_has_its_members_however_its_slash_is_written() {
    let site = Site::start().await;
    let ada = site.contractor().await;
    let mut nora = hub_client(&site, &token_of("nora", &["dispatcher"], &["north"], None)).await;
    nora.invoke("JoinDispatchGroup", json!(["north"])).await;
    let mut own = hub_client(&site, &token_of("ada", &["contractor"], &[], Some(ada))).await;
    own.invoke("JoinContractorGroup", json!([ada.to_string()])).await;
    let admin = Api::admin(&site);
    for (path, users) in [
        ("dispatch/north".to_owned(), vec!["nora"]),
        ("dispatch%2Fnorth".to_owned(), vec!["nora"]),
        ("dispatch%2fnorth".to_owned(), vec!["nora"]),
        ("dispatch/south".to_owned(), vec![]),
        (contractor_group(ada), vec!["ada"]),
    ] {
        let answer = admin.get(&format!("/api/admin/groups/{path}")).send().await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let found: Vec<Value> =
            answer.items("user").iter().map(|user| user["id"].clone()).collect();
        assert_eq!(found, users, "{path}");
    }
    for path in ["dispatch", "dispatch/", "dispatch/North", "dispatch/north/", "everybody/north"] {
        let answer = admin.get(&format!("/api/admin/groups/{path}")).send().await;
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!("not_found")), "{path}");
    }
}

#[actix_web::test]
async fn a_list_that_cannot_be_is_refused() {
    let site = Site::start().await;
    let admin = Api::admin(&site);
    for (query, field) in [
        ("?transport=websockets", "transport"),
        ("?transport=", "transport"),
        ("?limit=0", "limit"),
        ("?limit=501", "limit"),
        ("?cursor=nonsense", "cursor"),
        // A cursor of the list of jobs.
        (
            "?cursor=WyIyMDI2LTAzLTAxVDA5OjAwOjAwLjAwMFoiLCIwMTkwYTVlNC03YzFiLTdkM2YtOGE1Mi02ZjFlMmQzYzRiNWEiXQ",
            "cursor",
        ),
    ] {
        let answer = admin.get(&format!("{CONNECTIONS}{query}")).send().await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (400, &json!("invalid_field")),
            "{query}"
        );
        assert_eq!(answer.body["errors"][0]["field"], json!(field), "{query}");
    }
    for query in ["?users=nora", "?limit=many"] {
        let answer = admin.get(&format!("{CONNECTIONS}{query}")).send().await;
        assert_eq!(answer.body["code"], json!("malformed_request"), "{query}");
    }
}
