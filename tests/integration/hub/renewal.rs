//! Newer tokens for connections that live: what they allow goes on without a gap, and what
//! they do not allow ends at once.

use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join;
use serde_json::{Value, json};

use crate::support::http_client::Api;
use crate::support::issuer::{seconds_from_now, signed_with_secret};
use crate::support::polling::PollingClient;
use crate::support::raw_websocket::{RawSocket, Received, invocation};
use crate::support::site::{SECRET, Site, window};
use crate::support::until;
use crate::support::websocket::HubClient;

/// A dispatcher's token.
fn token_of(sub: &str, regions: &[&str], seconds: i64) -> String {
    let claims = json!({
        "sub": sub, "exp": seconds_from_now(seconds), "roles": ["dispatcher"], "regions": regions,
    });
    signed(&claims)
}

fn token(regions: &[&str]) -> String {
    token_of("nora", regions, 600)
}

fn signed(claims: &Value) -> String {
    signed_with_secret(SECRET.as_bytes(), &json!({ "alg": "HS256" }), claims)
}

async fn client(site: &Site, regions: &[&str]) -> HubClient {
    HubClient::connect(&site.url("/hub/dispatch"), &token(regions)).await
}

async fn renew(client: &mut HubClient, token: &str) -> Value {
    client.invoke("RenewToken", json!([token])).await
}

async fn renewed(client: &mut HubClient, token: &str) {
    let answer = renew(client, token).await;
    assert_eq!(answer["error"], Value::Null, "{answer}");
}

async fn subscribe(client: &mut HubClient, groups: &[String]) {
    let answer = client.invoke("Subscribe", json!([{ "groups": groups }])).await;
    assert_eq!(answer["error"], Value::Null, "{answer}");
}

fn dispatch(region: &str) -> String {
    format!("dispatch/{region}")
}

/// Makes jobs in regions, a day each.
struct Jobs {
    api: Api,
    day: i64,
}

impl Jobs {
    fn of(site: &Site) -> Self {
        Self { api: Api::admin(site), day: 0 }
    }

    /// A job of this region, and whose it is; answers its sequence.
    async fn make(&mut self, region: &str, contractors: &[&str]) -> u64 {
        self.day += 1;
        let window = window(self.day, 0);
        let draft = json!({
            "title": "Boiler inspection", "customer": "Harbour Hotel", "address": "1 Quay Street",
            "region": region, "timezone": "Europe/Berlin", "contractorIds": contractors,
            "startUtc": window.start().to_string(), "endUtc": window.end().to_string(),
        });
        let made = self.api.post("/api/jobs", &draft).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        made.sequence()
    }
}

/// The sequences of the events up to this one.
async fn events_to(client: &mut HubClient, last: u64) -> Vec<u64> {
    let mut sequences = Vec::new();
    while sequences.last() != Some(&last) {
        let event = client.next_event().await.expect("the connection stays open");
        sequences.push(event["sequence"].as_u64().expect("an event"));
    }
    sequences
}

#[actix_web::test]
async fn a_renewed_token_counts_from_then_on_until_it_ends() {
    let site = Site::start().await;
    let path = site.url("/hub/dispatch");
    let mut short = HubClient::connect(&path, &token_of("nora", &["north"], 3)).await;
    let mut long = HubClient::connect(&path, &token_of("nora", &["north"], 600)).await;
    let ends = seconds_from_now(4);
    let expires_at = |answer: &Value| answer["result"]["expiresAt"].as_str().map(str::to_owned);
    let answer = renew(&mut short, &token_of("nora", &["south"], 600)).await;
    assert!(expires_at(&answer).is_some_and(|at| at.ends_with(".000Z")), "{answer}");
    let claims = json!({ "sub": "nora", "exp": ends, "roles": ["dispatcher"], "regions": [] });
    renewed(&mut long, &signed(&claims)).await;
    let refused = long.invoke("JoinDispatchGroup", json!(["north"])).await;
    assert_eq!(refused["error"], "forbidden: nora may not follow that region");
    // The one that was to live longer ends first.
    let close = loop {
        let message = long.next().await.expect("a Close comes first");
        if message["type"] == 7 {
            break message;
        }
    };
    assert_eq!(close, json!({ "type": 7, "allowReconnect": true }));
    assert!(seconds_from_now(0) >= ends, "not before its time");
    let joined = short.invoke("JoinDispatchGroup", json!(["south"])).await;
    assert_eq!(joined["error"], Value::Null, "the newer claims count, and the connection lives");
}

#[actix_web::test]
async fn a_call_after_the_tokens_end_is_not_carried_out() {
    let site = Site::start().await;
    let exp = seconds_from_now(2);
    let claims =
        json!({ "sub": "nora", "exp": exp, "roles": ["dispatcher"], "regions": ["north"] });
    let mut socket = RawSocket::connect(&site, &signed(&claims)).await;
    let ends = SystemTime::UNIX_EPOCH + Duration::from_secs(exp.unsigned_abs());
    let join = invocation("1", "JoinDispatchGroup", json!(["north"]));
    // Timers are looked at once a second; a call in between must not slip through.
    let close = loop {
        let sent_at = SystemTime::now();
        socket.send_text(&join).await;
        match socket.next().await {
            Received::Message(message) if message["type"] == 3 => {
                assert!(sent_at < ends + Duration::from_millis(5), "it was answered");
            }
            Received::Message(message) => break message,
            other => panic!("an answer or a Close, not {other:?}"),
        }
    };
    assert_eq!(close, json!({ "type": 7, "allowReconnect": true }));
    assert!(SystemTime::now() < ends + Duration::from_millis(500), "at the first call");
}

#[actix_web::test]
async fn groups_that_the_new_token_does_not_allow_are_left_at_once_and_others_kept() {
    let site = Site::start().await;
    let admin = Api::admin(&site);
    let (northern, southern) =
        (admin.created_contractor("north").await, admin.created_contractor("south").await);
    let contractor = |id: &str| format!("contractor/{id}");
    let mut follower = client(&site, &["north", "south", "west"]).await;
    let groups =
        [dispatch("north"), dispatch("west"), contractor(&northern), contractor(&southern)];
    subscribe(&mut follower, &groups).await;
    renewed(&mut follower, &token(&["south", "west"])).await;

    let mut jobs = Jobs::of(&site);
    jobs.make("north", &[]).await;
    let kept = [jobs.make("west", &[]).await, jobs.make("south", &[&southern]).await];
    jobs.make("north", &[&northern]).await;
    jobs.make("south", &[]).await;
    let last = jobs.make("west", &[]).await;
    assert_eq!(events_to(&mut follower, last).await, [kept[0], kept[1], last]);
    let details = admin.get("/api/admin/connections").send().await;
    let left = json!([contractor(&southern), dispatch("west")]);
    assert_eq!(details.body["items"][0]["groups"], left);
}

#[actix_web::test]
async fn who_becomes_a_contractor_keeps_its_own_group_alone() {
    let site = Site::start().await;
    let admin = Api::admin(&site);
    let (own, other) =
        (admin.created_contractor("north").await, admin.created_contractor("north").await);
    let mut follower = client(&site, &["north"]).await;
    let contractor = |id: &str| format!("contractor/{id}");
    subscribe(&mut follower, &[dispatch("north"), contractor(&own), contractor(&other)]).await;
    let claims = json!({
        "sub": "nora", "exp": seconds_from_now(600), "roles": ["contractor"], "contractorId": own,
    });
    renewed(&mut follower, &signed(&claims)).await;
    let mut jobs = Jobs::of(&site);
    jobs.make("north", &[&other]).await;
    let last = jobs.make("north", &[&own]).await;
    assert_eq!(events_to(&mut follower, last).await, [last]);
}

#[actix_web::test]
async fn a_token_that_is_no_good_changes_nothing() {
    let site = Site::start().await;
    let mut follower = client(&site, &["north"]).await;
    subscribe(&mut follower, &[dispatch("north")]).await;
    for (bad, said) in [
        ("nonsense".to_owned(), "unauthenticated: the token is malformed"),
        (String::new(), "unauthenticated: the token is malformed"),
        (token_of("nora", &["south"], -1), "unauthenticated: the token has expired"),
        (token_of("mallory", &["south"], 600), "forbidden: the token is somebody else's"),
    ] {
        let answer = renew(&mut follower, &bad).await;
        assert_eq!(answer["error"], said);
    }
    let last = Jobs::of(&site).make("north", &[]).await;
    assert_eq!(events_to(&mut follower, last).await, [last]);
    let refused = follower.invoke("JoinDispatchGroup", json!(["south"])).await;
    assert_eq!(refused["error"], "forbidden: nora may not follow that region");
}

#[actix_web::test]
async fn while_a_contractors_region_cannot_be_looked_up_nothing_changes() {
    let site = Site::start().await;
    let contractor = Api::admin(&site).created_contractor("north").await;
    let mut follower = client(&site, &["north", "south"]).await;
    subscribe(&mut follower, &[dispatch("north"), format!("contractor/{contractor}")]).await;
    site.take_database_away();
    let answer = renew(&mut follower, &token(&["south"])).await;
    let said = answer["error"].as_str().expect("it is refused");
    assert!(said.starts_with("store_unavailable: "), "{said}");
    // What needs no look is decided without the database.
    renewed(&mut follower, &token(&["*"])).await;
    let joined = follower.invoke("JoinDispatchGroup", json!(["west"])).await;
    assert_eq!(joined["error"], Value::Null);
}

#[actix_web::test]
async fn streams_that_the_new_token_does_not_allow_end_and_others_go_on() {
    let site = Site::start().await;
    let mut socket = RawSocket::connect(&site, &token(&["north", "south"])).await;
    for region in ["north", "south"] {
        let call = json!({
            "type": 4, "invocationId": region, "target": "StreamEvents",
            "arguments": [{ "groups": [dispatch(region)] }],
        });
        socket.send_text(&format!("{call}\u{1e}")).await;
    }
    let mut jobs = Jobs::of(&site);
    for region in ["north", "south"] {
        jobs.make(region, &[]).await;
        assert_eq!(socket.message().await["invocationId"], region);
    }
    socket.send_text(&invocation("renew", "RenewToken", json!([token(&["south"])]))).await;
    let mut ended = Vec::new();
    while ended.len() < 2 {
        ended.push(socket.message().await);
    }
    ended.sort_by_key(|message| message["invocationId"].to_string());
    let error = "forbidden: nora may not follow that region";
    assert_eq!(ended[0], json!({ "type": 3, "invocationId": "north", "error": error }));
    assert_eq!((&ended[1]["invocationId"], &ended[1]["error"]), (&json!("renew"), &Value::Null));
    jobs.make("north", &[]).await;
    let last = jobs.make("south", &[]).await;
    let item = socket.message().await;
    assert_eq!((&item["invocationId"], &item["item"]["sequence"]), (&json!("south"), &json!(last)));
}

#[actix_web::test]
async fn renewals_in_the_midst_of_events_lose_and_double_none_of_a_kept_group() {
    const EVENTS: u64 = 300;
    let site = Site::start().await;
    let path = "/hub/dispatch/negotiate?negotiateVersion=1";
    let reserved = Api::new(&site, &token(&["north", "south"])).call("POST", path).send().await;
    let id = reserved.body["connectionToken"].as_str().expect("text").to_owned();
    let url = site.url(&format!("/hub/dispatch?id={id}"));
    let mut follower = HubClient::connect(&url, &token(&["north", "south"])).await;
    subscribe(&mut follower, &[dispatch("north"), dispatch("south")]).await;

    let making = async {
        let mut jobs = Jobs::of(&site);
        let (mut northern, mut southern) = (Vec::new(), Vec::new());
        while northern.len() as u64 + (southern.len() as u64) < EVENTS {
            northern.push(jobs.make("north", &[]).await);
            southern.push(jobs.make("south", &[]).await);
        }
        northern.push(jobs.make("north", &[]).await);
        (northern, southern)
    };
    let refresh = format!("/hub/dispatch/refresh?id={id}");
    let following = async {
        let (mut got, mut rounds) = (Vec::new(), 0);
        while (got.len() as u64) < EVENTS / 2 {
            // By a call and by a request, in turn; the south comes and goes.
            let regions: &[&str] = if rounds % 4 < 2 { &["north"] } else { &["north", "south"] };
            if rounds % 2 == 0 {
                renewed(&mut follower, &token(regions)).await;
            } else {
                let api = Api::new(&site, &token(regions));
                let answer = api.call("POST", &refresh).send().await;
                assert_eq!(answer.status, 200, "{answer:?}");
            }
            if regions.len() == 2 {
                subscribe(&mut follower, &[dispatch("south")]).await;
            }
            for _ in 0..3 {
                let event = follower.next_event().await.expect("the connection stays open");
                got.push(event["sequence"].as_u64().expect("an event"));
            }
            rounds += 1;
        }
        (got, rounds)
    };
    let ((northern, southern), (mut got, rounds)) = join(making, following).await;
    got.extend(events_to(&mut follower, *northern.last().expect("some")).await);
    assert!(rounds > 10, "{rounds} renewals");
    assert!(got.is_sorted_by(|one, next| one < next), "in order, and none twice");
    let of = |sequences: &[u64]| got.iter().filter(|it| sequences.contains(it)).count();
    assert_eq!(of(&northern), northern.len(), "every one of the group that was kept");
    assert!(of(&southern) > 0 && of(&southern) < southern.len(), "the other one came and went");
}

#[actix_web::test]
async fn a_client_that_polls_goes_on_with_the_claims_of_its_newest_poll() {
    let site = Site::start().await;
    let mut polling =
        PollingClient::connect(&site, &token_of("nora", &["north", "south"], 600)).await;
    let subscription = json!([{ "groups": [dispatch("north"), dispatch("south")] }]);
    polling.send(&invocation("1", "Subscribe", subscription)).await;
    assert_eq!(polling.poll().await[0]["invocationId"], "1");
    polling.sign_in(&site, &token(&["south"]));
    let admin = Api::admin(&site);
    // A poll is not held up by what it brings.
    let (_, polled) = join(
        until("the newer claims count", || async {
            let details = admin.get("/api/admin/connections").send().await;
            details.body["items"][0]["groups"] == json!([dispatch("south")])
        }),
        async {
            let mut jobs = Jobs::of(&site);
            let (polled, _) = join(polling.poll(), jobs.make("south", &[])).await;
            polled
        },
    )
    .await;
    assert_eq!(polled[0]["target"], "JobCreated");
    let mut jobs = Jobs { day: 100, api: admin };
    jobs.make("north", &[]).await;
    let last = jobs.make("south", &[]).await;
    assert_eq!(polling.poll().await[0]["arguments"][0]["sequence"], last);
}

#[actix_web::test]
async fn who_looks_at_a_region_is_shown_there_only_as_long_as_it_may() {
    let site = Site::start().await;
    let mut watcher = HubClient::connect(
        &site.url("/hub/dispatch"),
        &token_of("walter", &["north", "south"], 600),
    )
    .await;
    let mut looker = client(&site, &["north", "south"]).await;
    for client in [&mut looker, &mut watcher] {
        let answer = client.invoke("Look", json!([{ "regions": ["north", "south"] }])).await;
        assert_eq!(answer["error"], Value::Null);
    }
    renewed(&mut looker, &token(&["south"])).await;
    let since = Instant::now();
    loop {
        let message = watcher.next().await.expect("the connection stays open");
        let presence = &message["arguments"][0];
        let people = presence["people"].as_array().map_or(0, Vec::len);
        if message["target"] == "PresenceChanged" && presence["region"] == "north" && people == 1 {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "still shown");
    }
}
