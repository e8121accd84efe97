//! What the program writes to standard error: a line for each thing that happened, which
//! nobody can forge and nobody has to read.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::ChildStderr;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use signalbox::auth::{Claims, issue};
use tempfile::TempDir;

use crate::support::database::TestDatabase;
use crate::support::program::{Caller, Program, Serve};
use crate::support::site::{REGION, SECRET, token, window};
use crate::support::websocket::HubClient;
use crate::support::{PATIENCE, until};

/// A program, and the file of its log.
struct Logged {
    program: Program,
    folder: TempDir,
    _database: TestDatabase,
}

impl Logged {
    /// With this format, levels by `RUST_LOG`, and flags.
    fn start(format: &str, levels: &str, flags: &[(&str, &str)]) -> Self {
        let (folder, database) = (TempDir::new().expect("a folder"), TestDatabase::new());
        let serve = on_free_port(&database).flag("--log-format", format);
        let serve = flags.iter().fold(serve, |serve, (name, value)| serve.flag(name, value));
        let serve = serve.environment("RUST_LOG", levels).log_to(&file_in(&folder));
        Self { program: serve.start(), folder, _database: database }
    }

    fn caller(&self) -> Caller {
        Caller::connect(&self.program.address, &token("admin", &[], None)).expect("a connection")
    }

    fn hub_url(&self) -> String {
        format!("http://{}/hub/dispatch", self.program.address)
    }

    /// Stops the program; answers all that it wrote.
    fn log(self) -> String {
        assert!(self.program.stop(), "it stops in order");
        std::fs::read_to_string(file_in(&self.folder)).expect("the log is text")
    }
}

fn on_free_port(database: &TestDatabase) -> Serve {
    Serve::on(database).flag("--listen", "127.0.0.1:0")
}

fn file_in(folder: &TempDir) -> std::path::PathBuf {
    Path::join(folder.path(), "log")
}

fn draft(title: &str) -> Value {
    let window = window(0, 0);
    json!({
        "title": title, "customer": "Harbour Hotel", "address": "1 Quay Street",
        "region": REGION, "timezone": "Europe/Berlin",
        "startUtc": window.start().to_string(), "endUtc": window.end().to_string(),
    })
}

fn token_of(sub: &str) -> String {
    let claims = json!({ "sub": sub, "exp": 4_000_000_000_u64, "roles": ["admin"] });
    let claims: Claims = serde_json::from_value(claims).expect("claims");
    issue(SECRET, &claims).expect("a token")
}

/// The members of JSON lines.
fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
}

fn with_message(lines: &[Value], message: &str) -> Vec<Value> {
    lines.iter().filter(|line| line["message"] == message).cloned().collect()
}

/// What a terminal or a reader of lines would take for more than text, as far as JSON and
/// HTTP let it through, and a line of each format.
const FORGED: &str = "forged\n[2026-01-01T00:00:00.000Z ERROR forged] forged\r\n\
     {\"level\":\"error\",\"target\":\"forged\",\"message\":\"forged\"}\n\u{1b}[31mforged\u{9b}31m\
     \u{85}forged\u{2028}forged\u{2029}forged\u{202e}forged\u{0}";

/// The part of it that is no control character of ASCII, which HTTP refuses by itself.
const FORGED_VISIBLE: &str = "forged\u{9b}31m\u{85}forged\u{2028}forged\u{202e}forged";

async fn send_forgeries(logged: &Logged) {
    let mut caller = logged.caller();
    let bad_sub = token_of(FORGED);
    let odd_sub = token_of("forged\u{2028}forged\u{202e}forged");
    let path = FORGED_VISIBLE.replace(' ', "");
    for head in [
        format!("GET /{path} HTTP/1.1\r\n"),
        "GET /forged%0a%0dforged%1b[31m HTTP/1.1\r\n".to_owned(),
        format!("GET /api/jobs/{path} HTTP/1.1\r\nAuthorization: Bearer {odd_sub}\r\n"),
        format!("GET /api/jobs HTTP/1.1\r\nX-Request-Id: {FORGED_VISIBLE}\r\n"),
        format!("GET /api/jobs HTTP/1.1\r\nUser-Agent: {FORGED_VISIBLE}\r\n"),
        format!("GET /api/jobs?forged={path} HTTP/1.1\r\nAuthorization: Bearer {odd_sub}\r\n"),
        format!("GET /api/jobs HTTP/1.1\r\nAuthorization: Bearer {bad_sub}\r\n"),
        format!("GET /api/jobs HTTP/1.1\r\nAuthorization: Bearer {FORGED_VISIBLE}\r\n"),
        format!("GET /hub/dispatch?id={path} HTTP/1.1\r\nAuthorization: Bearer {odd_sub}\r\n"),
        format!("FORGED /api/jobs HTTP/1.1\r\nOrigin: {FORGED_VISIBLE}\r\n"),
    ] {
        let request = format!("{head}Host: test\r\nContent-Length: 0\r\n\r\n");
        // Some of them are refused before anything of ours sees them, with their socket.
        if caller.send(request.as_bytes()).is_err() {
            caller = logged.caller();
        }
    }
    for body in [draft(FORGED), json!({ FORGED: 1 }), json!(FORGED)] {
        let answer = caller.change("POST", "/api/jobs", "forged", &body).expect("an answer");
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    for (target, arguments) in [
        (FORGED, json!([])),
        ("JoinDispatchGroup", json!([FORGED])),
        ("JoinDispatchGroup", json!([{ FORGED: FORGED }])),
        ("Subscribe", json!([{ "groups": [FORGED], "after": FORGED }])),
        ("RescheduleJob", json!([FORGED, { FORGED: FORGED }])),
        ("CancelJob", json!([uuid::Uuid::now_v7().to_string(), { "reason": FORGED }])),
    ] {
        let mut hub = HubClient::connect(&logged.hub_url(), &odd_sub).await;
        let answer = hub.invoke(target, arguments).await;
        assert!(answer["error"].is_string(), "{target}: {answer}");
    }
    let goodbye = json!({ "type": 7, "error": FORGED });
    let mut hub = HubClient::connect(&logged.hub_url(), &odd_sub).await;
    hub.send(&goodbye).await;
    assert_eq!(hub.next().await.map(|message| message["type"].clone()), Some(json!(7)));
}

#[actix_web::test]
async fn nothing_that_is_sent_forges_a_line_of_text() {
    let logged = Logged::start("text", "trace", &[]);
    send_forgeries(&logged).await;
    let log = logged.log();
    for line in log.lines() {
        let (time, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let time = time.strip_prefix('[').unwrap_or_else(|| panic!("{line:?}"));
        assert!(time.parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{line:?}");
        assert!(!time.starts_with("2026-01-01"), "{line:?}");
        assert!(
            ["ERROR ", "WARN  ", "INFO  ", "DEBUG ", "TRACE "].contains(&&rest[..6]),
            "{rest:?}"
        );
    }
    holds_no_control(&log);
}

#[actix_web::test]
async fn nothing_that_is_sent_forges_a_line_of_json() {
    let logged = Logged::start("json", "trace", &[]);
    send_forgeries(&logged).await;
    let log = logged.log();
    holds_no_control(&log);
    let lines = lines(&log);
    let ours =
        |line: &&Value| line["target"].as_str().is_some_and(|it| it.starts_with("signalbox"));
    for line in lines.iter().filter(ours) {
        let message = line["message"].as_str().expect("a message");
        assert!(!message.contains("forged"), "a message is a constant: {line}");
    }
    // The forgeries did come to be logged, each as a value.
    let carriers = lines.iter().filter(ours).filter(|line| line.to_string().contains("forged"));
    let messages: std::collections::BTreeSet<_> =
        carriers.map(|line| line["message"].as_str().expect("a message")).collect();
    for message in ["request", "connection opened", "connection closed", "a connection ends"] {
        assert!(messages.contains(message), "{message}: {messages:?}");
    }
}

fn holds_no_control(log: &str) {
    let is_control = |c: char| {
        c != '\n' && c.is_control() || "\u{2028}\u{2029}\u{202e}\u{200f}\u{feff}".contains(c)
    };
    let found: Vec<&str> = log.lines().filter(|line| line.contains(is_control)).collect();
    assert!(found.is_empty(), "{found:#?}");
    assert!(log.contains("forged"));
}

#[actix_web::test]
async fn a_request_and_a_connection_have_their_lines_and_no_token() {
    let logged = Logged::start("json", "info", &[]);
    let bearer = token("dispatcher", &[REGION], None);
    let mut caller = Caller::connect(&logged.program.address, &bearer).expect("a connection");
    let made = caller.change("POST", "/api/jobs", "k", &draft("Boiler")).expect("an answer");
    let read =
        format!("GET /api/jobs?limit=1&access_token={bearer} HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(caller.send(read.as_bytes()).expect("an answer").status, 401);
    let url = format!("{}?access_token={bearer}", logged.hub_url());
    let mut hub = HubClient::connect_anonymously(&url).await.expect("a connection");
    hub.invoke("JoinDispatchGroup", json!([REGION])).await;
    drop(hub);
    let file = file_in(&logged.folder);
    let has_closed =
        async || std::fs::read_to_string(&file).is_ok_and(|log| log.contains("connection closed"));
    until("the connection is logged", has_closed).await;

    let log = logged.log();
    let signature = bearer.rsplit('.').next().expect("a signature");
    assert!(!log.contains(signature) && !log.contains("access_token"), "{log}");
    let lines = lines(&log);
    let requests = with_message(&lines, "request");
    let expected = [
        ("POST", "/api/jobs", 201, json!("dispatcher-1")),
        ("GET", "/api/jobs", 401, Value::Null),
        ("GET", "/hub/dispatch", 101, json!("dispatcher-1")),
    ];
    assert_eq!(requests.len(), expected.len(), "{requests:#?}");
    for (line, (method, path, status, sub)) in requests.iter().zip(expected) {
        let is = (&line["method"], &line["path"], &line["status"], &line["sub"]);
        assert_eq!(is, (&json!(method), &json!(path), &json!(status), &sub), "{line}");
        assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
        let peer = line["peer"].as_str().expect("a peer");
        assert!(peer.starts_with("127.0.0.1:"), "{line}");
        assert_eq!(line["target"], "signalbox::access");
    }
    assert_eq!(requests[0]["request_id"], made.header("x-request-id"));
    assert_eq!(requests[0]["bytes"].to_string(), made.header("content-length"));
    assert_eq!(requests[2]["bytes"], Value::Null, "a stream's length is not known");

    let (opened, closed) =
        (with_message(&lines, "connection opened"), with_message(&lines, "connection closed"));
    let ([opened], [closed]) = (&opened[..], &closed[..]) else {
        panic!("one of each: {lines:#?}");
    };
    for line in [opened, closed] {
        assert_eq!((&line["transport"], &line["protocol"]), (&json!("WebSockets"), &json!("json")));
        assert_eq!(line["sub"], "dispatcher-1");
    }
    assert_eq!(opened["connection_id"], closed["connection_id"]);
    assert_eq!(closed["reason"], "transport_lost");
    assert_eq!((&closed["messages_in"], &closed["messages_out"]), (&json!(1), &json!(1)));
}

#[actix_web::test]
async fn an_end_that_an_admin_makes_is_written_with_who_made_it() {
    let logged = Logged::start("json", "info", &[("--access-log", "false")]);
    let mut nora = HubClient::connect(&logged.hub_url(), &token_of("nora")).await;
    let admin = token_of("ann");
    let mut caller = Caller::connect(&logged.program.address, &admin).expect("a connection");
    let path = "/api/admin/connections?user=nora";
    let closed = caller.change("DELETE", path, "k", &Value::Null).expect("an answer");
    assert_eq!((closed.status, &closed.body["closed"]), (200, &json!(1)), "{closed:?}");
    assert_eq!(nora.next().await.map(|message| message["type"].clone()), Some(json!(7)));

    let lines = lines(&logged.log());
    let acts = with_message(&lines, "an admin closed a user's connections");
    let [act] = &acts[..] else {
        panic!("one act: {lines:#?}");
    };
    for (field, value) in [
        ("user", json!("nora")),
        ("by", json!("ann")),
        ("closed", json!(1)),
        ("request_id", json!(closed.header("x-request-id"))),
    ] {
        assert_eq!(act[field], value, "{act}");
    }
}

#[test]
fn behind_a_trusted_proxy_the_client_is_named_and_else_what_it_says_is_nothing() {
    for (trusted, client) in [("127.0.0.1", json!("203.0.113.9")), ("10.0.0.1", Value::Null)] {
        let logged = Logged::start("json", "info", &[("--trusted-proxies", trusted)]);
        let request =
            "GET /healthz HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: evil, 203.0.113.9\r\n\r\n";
        assert_eq!(logged.caller().send(request.as_bytes()).expect("an answer").status, 200);
        let log = logged.log();
        let requests = with_message(&lines(&log), "request");
        assert_eq!(requests.len(), 1, "{log}");
        assert_eq!(requests[0]["client"], client);
        assert!(requests[0]["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")));
    }
}

#[test]
fn without_the_access_log_what_is_in_order_is_not_logged() {
    let logged = Logged::start("json", "info", &[("--access-log", "false")]);
    let answer = logged.caller().change("POST", "/api/jobs", "k", &draft("Boiler"));
    assert_eq!(answer.expect("an answer").status, 201);
    let log = logged.log();
    assert!(with_message(&lines(&log), "request").is_empty(), "{log}");
}

/// Bytes of a path that fill the queue of lines in a few hundred requests.
const PATH_BYTES: usize = 7_000;

/// More lines than pipe and queue hold.
const REQUESTS: usize = 900;

#[test]
fn a_log_that_nobody_reads_costs_lines_and_no_commands() {
    let database = TestDatabase::new();
    let serve = on_free_port(&database).flag("--log-format", "json").log_to_pipe();
    let mut program = serve.start();
    let bearer = token("admin", &[], None);
    let mut caller = Caller::connect(&program.address, &bearer).expect("a connection");
    let request = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(PATH_BYTES));
    for _ in 0..REQUESTS {
        assert_eq!(caller.send(request.as_bytes()).expect("an answer").status, 404);
    }
    let answer = caller.change("POST", "/api/jobs", "k", &draft("Boiler")).expect("an answer");
    assert_eq!(answer.status, 201, "commands go on");

    let log = read_on(program.log.take().expect("a pipe"));
    let (mut seen, mut dropped) = (0, 0);
    while dropped == 0 {
        let line = log.recv_timeout(PATIENCE).expect("a line");
        let line: Value = serde_json::from_str(&line).expect("a line is an object");
        match line["message"].as_str() {
            Some("request") => seen += 1,
            Some("log lines were dropped") => {
                dropped += line["count"].as_u64().expect("a count");
            }
            _ => {}
        }
    }
    // The line of the command was the last that was dropped.
    assert_eq!(seen + dropped, REQUESTS as u64 + 1);
    assert!(seen > 100 && dropped > 100, "{seen} seen, {dropped} dropped");
    let answer = caller.change("POST", "/api/jobs", "l", &draft("Boiler")).expect("an answer");
    assert_eq!(answer.status, 201);
    let line = log.recv_timeout(PATIENCE).expect("a line");
    assert!(line.contains("/api/jobs"), "lines are written again: {line}");
}

/// The lines of a pipe as they come.
fn read_on(pipe: ChildStderr) -> Receiver<String> {
    let (read, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = read.send(line);
        }
    });
    lines
}

#[test]
fn a_stop_does_not_wait_for_a_reader_that_does_not_read() {
    let database = TestDatabase::new();
    let program = on_free_port(&database).log_to_pipe().start();
    let mut caller = Caller::connect(&program.address, "no token").expect("a connection");
    let request = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(PATH_BYTES));
    for _ in 0..40 {
        caller.send(request.as_bytes()).expect("an answer");
    }
    drop(caller);
    assert!(program.stop(), "it ends well, and in time");
}
