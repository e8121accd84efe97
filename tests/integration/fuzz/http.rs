//! Requests over HTTP: bodies, queries, headers and paths. No answer is a failure of the
//! server, a refusal is a problem and changes nothing, and what was accepted is there.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::cases;
use super::mutation::{mutated, mutated_json};
use crate::support::PATIENCE;
use crate::support::http_client::{Answer, Api, Wire};
use crate::support::random::Random;
use crate::support::site::{REGION, Site, token};

/// Requests that one site gets.
const REQUESTS: usize = 250;

/// How often a request is sent whose answer is that the database is not available.
const TRIES: usize = 10;

/// Statuses that refuse; anything else above 399 is a fault of the server.
const REFUSALS: [u16; 10] = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422];

/// What is kept of a site's past, to make requests of and to hold the site against.
struct Scene {
    site: Site,
    token: String,
    jobs: Vec<String>,
    contractors: Vec<String>,
    cursors: Vec<String>,
    /// Of every event that an answer named.
    sequences: BTreeSet<u64>,
}

struct Request {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    fn written(&self, token: &str) -> Vec<u8> {
        let mut text =
            format!("{} {} HTTP/1.1\r\nHost: test\r\n", self.method, self.target).into_bytes();
        if !self.headers.iter().any(|(name, _)| *name == "Authorization") {
            text.extend(format!("Authorization: Bearer {token}\r\n").into_bytes());
        }
        for (name, value) in &self.headers {
            text.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        text.extend(format!("Content-Length: {}\r\n\r\n", self.body.len()).into_bytes());
        text.extend(&self.body);
        text
    }
}

impl Scene {
    async fn start() -> Self {
        let site = Site::start().await;
        let ada = site.contractor().await;
        let job = site.job(0, Some(ada)).await;
        Self {
            token: token("admin", &[], None),
            jobs: vec![job.id.to_string()],
            contractors: vec![ada.to_string()],
            cursors: vec!["WyIyMDI2Iiwi".to_owned()],
            sequences: BTreeSet::from([1]),
            site,
        }
    }

    fn id(&self, random: &mut Random, ids: &[String]) -> String {
        if random.one_in(8) {
            let id = random_id(ids, random);
            let bytes = mutated(random, &[id]);
            return encoded(random, &bytes);
        }
        random.pick(ids).clone()
    }

    /// A change with its body as it should be.
    fn change(&self, random: &mut Random) -> (&'static str, String, Value) {
        let hour = random.between(10, 23);
        let day = random.between(1, 28);
        let window = json!({
            "startUtc": format!("2027-01-{day:02}T{hour:02}:00:00Z"),
            "endUtc": format!("2027-01-{day:02}T{hour:02}:30:00.000Z"),
        });
        let with = |mut object: Value, more: &Value| {
            let members = object.as_object_mut().expect("an object");
            members.extend(more.as_object().expect("an object").clone());
            object
        };
        let job = self.id(random, &self.jobs);
        let contractors = json!([random.pick(&self.contractors)]);
        match random.between(0, 8) {
            0 | 1 => {
                let draft = json!({
                    "title": "Boiler", "customer": "Hotel", "address": "1 Quay", "region": REGION,
                    "timezone": "Europe/Berlin", "contractorIds": contractors,
                });
                ("POST", "/api/jobs".to_owned(), with(draft, &window))
            }
            2 => {
                let draft = json!({ "name": "Eve", "region": REGION, "timezone": "UTC" });
                ("POST", "/api/contractors".to_owned(), draft)
            }
            3 => {
                let assign = json!({ "contractorIds": contractors });
                ("POST", format!("/api/jobs/{job}/assign"), assign)
            }
            4 => ("POST", format!("/api/jobs/{job}/cancel"), json!({ "reason": "none" })),
            _ => {
                let move_it = with(window, &json!({ "reason": "a \"storm\"" }));
                ("PUT", format!("/api/jobs/{job}/reschedule"), move_it)
            }
        }
    }

    fn with_odd_body(&self, random: &mut Random) -> Request {
        let (method, target, body) = self.change(random);
        let body = match random.between(0, 4) {
            0 => mutated(random, &[body.to_string().into_bytes()]),
            1 => body.to_string().into_bytes(),
            _ => mutated_json(random, &body).into_bytes(),
        };
        let headers = vec![("Content-Type", b"application/json".to_vec())];
        Request { method, target, headers, body }
    }

    fn with_odd_headers(&self, random: &mut Random) -> Request {
        let mut request = self.with_odd_body(random);
        let corpus: [(&str, &[&[u8]]); 11] = [
            (
                "If-Match",
                &[
                    b"\"1\"",
                    b"\"2\"",
                    b"*",
                    b"W/\"1\"",
                    b"\"18446744073709551616\"",
                    b"\"1\", \"2\"",
                ],
            ),
            ("Idempotency-Key", &[b"k", b"the same", b"8e03978e-40d5-43dd-bc93-6894a57f9324"]),
            ("X-Request-Id", &[b"request-1", b"a\"b", b"x"]),
            (
                "Content-Type",
                &[b"application/json; charset=utf-8", b"text/json", b"APPLICATION/JSON"],
            ),
            ("Authorization", &[b"Bearer ", b"bearer a.b.c", b"Basic YTpi"]),
            ("Origin", &[b"http://test", b"null", b"https://evil.example"]),
            ("Accept", &[b"text/event-stream", b"*/*;q=0.0001"]),
            ("X-Forwarded-For", &[b"10.0.0.1, ::1", b"unknown", b"[fd00::1]:80"]),
            ("traceparent", &[b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
            ("Cookie", &[b"a=b; c"]),
            ("Expect", &[b"nothing"]),
        ];
        for _ in 0..random.between(1, 4) {
            let (name, values) = random.pick(&corpus);
            let values: Vec<Vec<u8>> = values.iter().map(|value| value.to_vec()).collect();
            let mut value = mutated(random, &values);
            // Others are no header's; the whole request is then none.
            value.retain(|byte| *byte >= 0x20 && *byte != 0x7F);
            request.headers.retain(|(known, _)| known != name);
            request.headers.push((*name, value));
        }
        request
    }

    fn with_odd_query(&self, random: &mut Random) -> Request {
        let (path, names): (&str, &[&str]) = *random.pick(&[
            (
                "/api/jobs",
                &["region", "contractorId", "status", "from", "to", "limit", "cursor"][..],
            ),
            ("/api/contractors", &["region", "limit", "cursor"]),
            ("/api/events", &["after", "group", "type", "jobId", "limit"]),
        ]);
        let mut values: Vec<Vec<u8>> = [
            "north",
            "dispatch/north",
            "scheduled",
            "JobCreated",
            "2026-03-01T09:00:00Z",
            "0",
            "1",
            "500",
            "501",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "-1",
            "1e3",
            "\u{0}",
            "'",
            "%",
            "dispatch/%",
            "contractor/",
        ]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
        values.extend([&self.jobs, &self.contractors].map(|ids| random_id(ids, random)));
        values.push(random_id(&self.cursors, random));
        let members: Vec<String> = (0..random.between(1, 4))
            .map(|_| {
                let name = if random.one_in(20) { "x" } else { random.pick(names) };
                let value = if random.one_in(2) {
                    random.pick(&values).clone()
                } else {
                    mutated(random, &values)
                };
                format!("{name}={}", encoded(random, &value))
            })
            .collect();
        Request {
            method: "GET",
            target: format!("{path}?{}", members.join(*random.pick(&["&", "&", "&", "&&", ";"]))),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn with_odd_path(&self, random: &mut Random) -> Request {
        let corpus: Vec<Vec<u8>> = [
            format!("/api/jobs/{}", self.jobs[0]),
            format!("/api/contractors/{}", self.contractors[0]),
            "/api/jobs/../../etc/passwd".to_owned(),
            "/hub/dispatch/negotiate".to_owned(),
            "/board.js/../index.html".to_owned(),
            "/readyz".to_owned(),
        ]
        .map(String::into_bytes)
        .to_vec();
        let bytes = mutated(random, &corpus);
        let method = *random.pick(&["GET", "GET", "GET", "PUT", "PATCH", "DELETE", "OPTIONS"]);
        let target = format!("/{}", encoded(random, &bytes).trim_start_matches("%2F"));
        Request { method, target, headers: Vec::new(), body: Vec::new() }
    }

    /// Holds the answer to what is true of every answer.
    fn judge(&mut self, request: &Request, answer: &Answer) {
        let context = || {
            let written = request.written("…");
            format!("{} answered {answer:?}", String::from_utf8_lossy(&written))
        };
        let status = answer.status;
        if status >= 400 {
            assert!(REFUSALS.contains(&status), "{}", context());
            // What is no HTTP is refused below our code, without a body.
            let is_problem = answer.body["status"] == status && answer.body["code"].is_string();
            let is_of_hub = request.target.contains("hub");
            let is_bare = answer.text.is_empty() && status == 400;
            assert!(is_problem || is_bare || is_of_hub, "{}", context());
        }
        let sequence: Option<u64> = answer.header("x-event-sequence").parse().ok();
        if request.method != "GET" {
            self.sequences.extend(sequence);
        }
        if status == 201 {
            let id = answer.body["id"].as_str().expect("an id").to_owned();
            let is_job = answer.body["startUtc"].is_string();
            if is_job { &mut self.jobs } else { &mut self.contractors }.push(id);
        }
        self.cursors.extend(answer.body["nextCursor"].as_str().map(str::to_owned));
    }

    /// All that was accepted is there once, and nothing else is.
    async fn finish(mut self) {
        let progress = &self.site.server.pipeline.progress;
        let last = progress.committed();
        assert!(progress.wait_logged(last, PATIENCE).await, "all is logged");
        assert_eq!(self.sequences, (1..=last).collect(), "an event for each change, and no other");
        assert!(last > 10, "some requests are good ones: {last} events");
        let mut database = self.site.database();
        // A repeated request is answered with what it made before.
        for ids in [&mut self.jobs, &mut self.contractors] {
            ids.sort_unstable();
            ids.dedup();
        }
        let made = (self.jobs.len(), self.contractors.len());
        let counted = (database.count("jobs"), database.count("contractors"));
        assert_eq!(counted, (made.0 as i64, made.1 as i64));
        let report = self.site.verify();
        assert_eq!(report.faults(), 0, "{report}");
    }
}

fn random_id(ids: &[String], random: &mut Random) -> Vec<u8> {
    random.pick(ids).clone().into_bytes()
}

/// As a part of a target: most bytes in percents, some that need not be, left.
fn encoded(random: &mut Random, bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(*byte).to_string()
            }
            b'/' | b'+' | b':' | b'=' | b'%' | b'@' if random.one_in(2) => {
                char::from(*byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// The answer, once the database had the time: a machine that is busy may keep it waiting,
/// and then nothing was changed. What is never answered otherwise is a failure.
async fn answer_to(wire: &mut Wire, request: &[u8]) -> Answer {
    let mut tries = 0;
    loop {
        let answer = wire.exchange(request).await;
        let answer =
            answer.unwrap_or_else(|| panic!("no answer to {}", String::from_utf8_lossy(request)));
        tries += 1;
        if answer.status != 503 || tries == TRIES {
            return answer;
        }
    }
}

#[actix_web::test]
async fn no_request_is_a_failure_and_no_refusal_changes_anything() {
    for mut random in cases(Duration::from_secs(4)) {
        let mut scene = Scene::start().await;
        let mut wire = Wire::to(&scene.site);
        for _ in 0..REQUESTS {
            let request = match random.between(0, 8) {
                0..3 => scene.with_odd_body(&mut random),
                3..5 => scene.with_odd_headers(&mut random),
                5..7 => scene.with_odd_query(&mut random),
                _ => scene.with_odd_path(&mut random),
            };
            let written = request.written(&scene.token);
            let answer = answer_to(&mut wire, &written).await;
            scene.judge(&request, &answer);
        }
        scene.finish().await;
    }
}

/// Sends the bytes, ends the client's half, and reads to the end; answers the status.
async fn status_of_bytes(site: &Site, bytes: &[u8]) -> Option<u16> {
    let exchange = async {
        let mut stream = TcpStream::connect(site.server.address).await.expect("a listener");
        // The server may have hung up by now.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received).await;
        let status = std::str::from_utf8(received.get(9..12)?).ok()?;
        status.parse().ok()
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("the connection ends")
}

#[actix_web::test]
async fn bytes_that_are_no_http_end_their_connection_and_nothing_else() {
    let site = Site::start().await;
    let admin = token("admin", &[], None);
    let body = "{\"name\":\"Eve\",\"region\":\"north\",\"timezone\":\"UTC\"}";
    let head = |framing: &str| {
        format!(
            "POST /api/contractors HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {admin}\r\n\
             Content-Type: application/json\r\n{framing}\r\n\r\n"
        )
    };
    let corpus: Vec<Vec<u8>> = [
        "GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n".to_owned(),
        format!("{}{body}", head(&format!("Content-Length: {}", body.len()))),
        format!("{}{:x}\r\n{body}\r\n0\r\n\r\n", head("Transfer-Encoding: chunked"), body.len()),
        format!(
            "{}0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            head("Content-Length: 4\r\nTransfer-Encoding: chunked")
        ),
        head("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"),
        head("Expect: 100-continue\r\nContent-Length: 99999999999999999999"),
    ]
    .map(String::into_bytes)
    .to_vec();
    let api = Api::admin(&site);
    for mut random in cases(Duration::from_secs(2)) {
        let bytes = mutated(&mut random, &corpus);
        let status = status_of_bytes(&site, &bytes).await;
        let context = String::from_utf8_lossy(&bytes);
        assert!(status.is_none_or(|status| status < 500), "{status:?} for {context}");
        let answer = api.get("/readyz").send().await;
        assert_eq!(answer.status, 200, "after {context}");
    }
    let report = site.verify();
    assert_eq!(report.faults(), 0, "{report}");
}
