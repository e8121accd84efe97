//! Clients who send anything, over every transport, beside one who behaves: it is served
//! all the while, and of the others nothing is left.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use serde_json::{Value, json};
use signalbox::signalr::{
    ConnectionOptions, HubMessage, HubOptions, Payload, ProtocolKind, encode,
};

use super::cases;
use super::mutation::{cut, mutated, mutated_json};
use crate::support::http_client::{Api, Wire};
use crate::support::random::Random;
use crate::support::raw_websocket::{HANDSHAKE, RawSocket, Received, TEXT, masked_frame};
use crate::support::site::{REGION, Site, SiteOptions, token};
use crate::support::until;
use crate::support::websocket::HubClient;

const HUB: &str = "/hub/dispatch";
const BINARY_HANDSHAKE: &str = "{\"protocol\":\"messagepack\",\"version\":2}\u{1e}";

/// Timers that let an abandoned connection go soon.
fn short_timers() -> HubOptions {
    let connection = ConnectionOptions {
        stateful_reconnect: true,
        disconnect_timeout: Duration::from_secs(1),
        poll_timeout: Duration::from_millis(100),
        close_timeout: Duration::from_millis(500),
        ..ConnectionOptions::default()
    };
    HubOptions { connection, handshake_timeout: Duration::from_secs(1), ..HubOptions::default() }
}

/// Threads' panics since the test began. One process runs one test where nextest runs them;
/// elsewhere other tests panic on purpose, and nothing can be told.
fn counted_panics() -> impl Fn() -> usize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let is_alone = std::env::var_os("NEXTEST").is_some();
    if is_alone {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            before(panic);
        }));
    }
    || PANICS.load(Ordering::Relaxed)
}

/// A server, what can be asked of it, and who asks in order.
struct Scene {
    site: Site,
    token: String,
    healthy: HubClient,
    job: String,
    contractor: String,
}

impl Scene {
    async fn start() -> Self {
        let options = SiteOptions { hub: short_timers(), ..SiteOptions::default() };
        let site = Site::start_with(options).await;
        let contractor = site.contractor().await;
        let job = site.job(0, Some(contractor)).await;
        let token = token("dispatcher", &[REGION], None);
        let mut healthy = HubClient::connect(&site.url(HUB), &token).await;
        let joined = healthy.invoke("JoinDispatchGroup", json!([REGION])).await;
        assert_eq!(joined["error"], json!(null), "{joined}");
        let (job, contractor) = (job.id.to_string(), contractor.to_string());
        Self { site, token, healthy, job, contractor }
    }

    /// Method and arguments as they should be.
    fn calls(&self) -> Vec<(&'static str, Vec<Value>)> {
        let (job, contractor) = (json!(self.job), json!(self.contractor));
        let window = json!({
            "startUtc": "2027-03-01T09:00:00Z", "endUtc": "2027-03-01T10:00:00Z", "reason": "rain",
        });
        let groups =
            json!([format!("dispatch/{REGION}"), format!("contractor/{}", self.contractor)]);
        vec![
            ("JoinDispatchGroup", vec![json!(REGION)]),
            ("LeaveDispatchGroup", vec![json!(REGION)]),
            ("JoinContractorGroup", vec![contractor.clone()]),
            ("LeaveContractorGroup", vec![contractor]),
            ("Subscribe", vec![json!({ "groups": groups, "after": 1 })]),
            ("Unsubscribe", vec![json!({ "groups": groups })]),
            ("StreamEvents", vec![json!({ "groups": groups, "after": 0 })]),
            ("Look", vec![json!({ "regions": [REGION], "jobId": self.job })]),
            ("RenewToken", vec![json!(self.token)]),
            ("RescheduleJob", vec![job.clone(), window]),
            ("CancelJob", vec![job, json!({ "reason": null, "ifMatch": 99 })]),
        ]
    }

    /// Good messages in the protocol's bytes.
    fn messages(&self, protocol: ProtocolKind) -> Vec<Vec<u8>> {
        let payload = |value: Value| {
            let payload = Payload::from_json(&value.to_string()).expect("JSON");
            payload.to_protocol(protocol).expect("it converts").into_owned()
        };
        let id = Some("1".to_owned());
        let call = |(target, arguments): (&str, Vec<Value>)| HubMessage::Invocation {
            invocation_id: id.clone(),
            target: target.to_owned(),
            arguments: arguments.into_iter().map(payload).collect(),
            stream_ids: Vec::new(),
        };
        let mut messages: Vec<HubMessage> = self.calls().into_iter().map(call).collect();
        messages.extend([
            HubMessage::Ping,
            HubMessage::CancelInvocation { invocation_id: "1".to_owned() },
            HubMessage::StreamItem { invocation_id: "1".to_owned(), item: payload(json!(1)) },
            HubMessage::Ack { sequence_id: 1 },
            HubMessage::Sequence { sequence_id: 9 },
            HubMessage::Close { error: None, allow_reconnect: false },
        ]);
        let written = |message: &HubMessage| {
            let mut bytes = BytesMut::new();
            encode(protocol, message, &mut bytes);
            bytes.to_vec()
        };
        messages.iter().map(written).collect()
    }

    /// A stream of hub messages, a handshake before them most of the time.
    fn stream(&self, random: &mut Random) -> Vec<u8> {
        let is_text = random.one_in(2);
        let protocol = if is_text { ProtocolKind::Json } else { ProtocolKind::MessagePack };
        let handshake = if is_text { HANDSHAKE } else { BINARY_HANDSHAKE };
        let messages = self.messages(protocol);
        let mut stream = match random.between(0, 10) {
            0 => mutated(random, &[handshake.as_bytes().to_vec()]),
            _ => handshake.as_bytes().to_vec(),
        };
        for _ in 0..random.between(0, 5) {
            stream.extend(mutated(random, &messages));
        }
        stream
    }

    async fn socket(&self, random: &mut Random) {
        let path = if random.one_in(2) { HUB.to_owned() } else { self.negotiated().await };
        let mut socket =
            RawSocket::open(&self.site, &path, &self.token).await.expect("the upgrade");
        let stream = self.stream(random);
        let frames: Vec<Vec<u8>> =
            cut(random, &stream).into_iter().map(|piece| frame_of(random, piece)).collect();
        let mut bytes = frames.concat();
        if random.one_in(2) {
            bytes = mutated(random, &[bytes]);
        }
        for piece in cut(random, &bytes) {
            if !socket.try_send_bytes(piece).await {
                break;
            }
        }
        if random.one_in(2) {
            socket.hang_up().await;
        }
    }

    /// The hub's path with a new connection's token.
    async fn negotiated(&self) -> String {
        let negotiate = format!("{HUB}/negotiate?negotiateVersion=1&useStatefulReconnect=true");
        let answer = Api::new(&self.site, &self.token).call("POST", &negotiate).send().await;
        format!("{HUB}?id={}", answer.body["connectionToken"].as_str().expect("a token"))
    }

    /// A connection whose way in are POSTs, and whose way out are polls or events.
    async fn requests(&self, random: &mut Random) {
        let path = self.negotiated().await;
        let (mut wire, mut events) = (Wire::to(&self.site), Wire::to(&self.site));
        if random.one_in(2) {
            let request = self.request("GET", &path, "Accept: text/event-stream\r\n", b"");
            events.begin(&request).await;
        }
        let stream = self.stream(random);
        let posts = cut(random, &stream);
        for body in posts {
            let method = if random.one_in(4) { "GET" } else { "POST" };
            let answer = wire.exchange(&self.request(method, &path, "", body)).await;
            let status = answer.map(|answer| answer.status);
            assert!(status.is_none_or(|status| status < 500), "{method} {path}: {status:?}");
        }
        if random.one_in(2) {
            let answer = wire.exchange(&self.request("DELETE", &path, "", b"")).await;
            assert!(answer.is_none_or(|answer| answer.status < 500));
        }
    }

    /// Requests that name a connection which is not theirs, or none.
    async fn odd_ids(&self, random: &mut Random) {
        let known = self.negotiated().await;
        let (_, id) = known.split_once('=').expect("a query");
        let id: String = mutated(random, &[id.as_bytes().to_vec()])
            .iter()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        let method = *random.pick(&["GET", "POST", "DELETE"]);
        let name = *random.pick(&["id", "id", "ID", "access_token", "negotiateVersion"]);
        let end = if random.one_in(4) { "/negotiate" } else { "" };
        let request = self.request(method, &format!("{HUB}{end}?{name}={id}"), "", b"");
        let answer = Wire::to(&self.site).exchange(&request).await.expect("an answer");
        assert!(answer.status < 500, "{method} {name}={id}: {answer:?}");
    }

    fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n{headers}\
             Content-Length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    /// The client that behaves is answered, and has its event.
    async fn check_the_healthy_one(&mut self) {
        let create = json!({
            "title": "Boiler", "customer": "", "address": "", "region": REGION, "timezone": "UTC",
            "startUtc": "2027-01-01T09:00:00Z", "endUtc": "2027-01-01T10:00:00Z",
        });
        let api = Api::new(&self.site, &self.token);
        // A machine that is busy may keep the database waiting.
        let created = async || api.post("/api/jobs", &create).send().await.status == 201;
        until("a job is made", created).await;
        let is_there = |event: &Value| event["type"] == "JobCreated";
        while !is_there(&self.healthy.next_event().await.expect("it stays connected")) {}
        let joined = self.healthy.invoke("JoinDispatchGroup", json!([REGION])).await;
        assert_eq!(joined["error"], json!(null), "{joined}");
    }

    async fn finish(self) {
        drop(self.healthy);
        let api = Api::admin(&self.site);
        let is_nothing_left = async || {
            let page = api.get("/metrics").send().await.text;
            let names = ["connections", "groups", "users", "connection_tasks"];
            names.iter().all(|name| {
                let name = format!("signalbox_{name}");
                // With labels or without.
                let is_of = |line: &&str| line.split([' ', '{']).next() == Some(name.as_str());
                let mut samples = page.lines().filter(is_of).peekable();
                samples.peek().is_some() && samples.all(|sample| sample.ends_with(" 0"))
            })
        };
        until("nothing of a connection is left", is_nothing_left).await;
        let report = self.site.verify();
        assert_eq!(report.faults(), 0, "{report}");
    }
}

/// A frame of either kind around a piece.
fn frame_of(random: &mut Random, piece: &[u8]) -> Vec<u8> {
    let kind = *random.pick(&[0x82, 0x82, TEXT]);
    let key = random.bytes(4).try_into().expect("four bytes");
    masked_frame(kind, piece, key)
}

#[actix_web::test]
async fn whatever_clients_send_others_are_served_and_nothing_of_them_is_left() {
    let panics = counted_panics();
    let mut scene = Scene::start().await;
    for mut random in cases(Duration::from_secs(4)) {
        match random.between(0, 8) {
            0..5 => scene.socket(&mut random).await,
            5..7 => scene.requests(&mut random).await,
            _ => scene.odd_ids(&mut random).await,
        }
        if random.one_in(8) {
            scene.check_the_healthy_one().await;
        }
        assert_eq!(panics(), 0, "nothing panics");
    }
    scene.check_the_healthy_one().await;
    scene.finish().await;
    assert_eq!(panics(), 0, "nothing panics");
}

#[actix_web::test]
async fn no_invocation_is_a_failure() {
    let mut scene = Scene::start().await;
    let mut socket = RawSocket::connect(&scene.site, &scene.token).await;
    for mut random in cases(Duration::from_secs(3)) {
        let (target, mut arguments) = random.pick(&scene.calls()).clone();
        if random.one_in(8) {
            arguments.push(json!(random.index(9)));
        }
        let arguments: Vec<String> =
            arguments.iter().map(|value| mutated_json(&mut random, value)).collect();
        let kind = if target == "StreamEvents" { 4 } else { 1 };
        let call = format!(
            "{{\"type\":{kind},\"invocationId\":\"1\",\"target\":\"{target}\",\
             \"arguments\":[{}]}}\u{1e}{{\"type\":5,\"invocationId\":\"1\"}}\u{1e}",
            arguments.join(",")
        );
        socket.send_text(&call).await;
        let completed = loop {
            match socket.next().await {
                Received::Message(message) if message["type"] == 3 => break Some(message),
                Received::Message(message) if message["type"] != 7 => {}
                // What is no message at all ends the connection.
                _ => break None,
            }
        };
        match completed {
            Some(completed) => {
                let error = completed["error"].as_str().unwrap_or_default();
                let is_failure =
                    error.contains("unexpected error") || error.contains("while streaming");
                assert!(!is_failure, "{call}: {error}");
            }
            None => socket = RawSocket::connect(&scene.site, &scene.token).await,
        }
    }
    drop(socket);
    scene.check_the_healthy_one().await;
    scene.finish().await;
}
