//! A plain HTTP client: what an answer says stays visible, headers included.

use std::collections::BTreeMap;

use awc::http::Method;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::PATIENCE;
use super::site::{REGION, Site, token};

/// Calls a site with one caller's token.
pub struct Api {
    client: awc::Client,
    base: String,
    token: Option<String>,
}

/// A request that is not sent yet.
pub struct Call {
    request: awc::ClientRequest,
    body: Vec<u8>,
}

/// An HTTP answer. The body is null where it is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub text: String,
    pub body: Value,
}

impl Api {
    pub fn new(site: &Site, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..Self::nobody(site) }
    }

    /// A caller without a token.
    pub fn nobody(site: &Site) -> Self {
        let client = awc::Client::builder().timeout(PATIENCE).finish();
        Self { client, base: site.url(""), token: None }
    }

    pub fn admin(site: &Site) -> Self {
        Self::new(site, &token("admin", &[], None))
    }

    /// A dispatcher of the region that a site's jobs are in.
    pub fn dispatcher(site: &Site) -> Self {
        Self::new(site, &token("dispatcher", &[REGION], None))
    }

    pub fn call(&self, method: &str, path: &str) -> Call {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.base));
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        Call { request, body: Vec::new() }
    }

    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    pub fn post(&self, path: &str, body: &Value) -> Call {
        self.call("POST", path).json(body)
    }

    pub fn put(&self, path: &str, body: &Value) -> Call {
        self.call("PUT", path).json(body)
    }

    /// Makes a job of this draft; answers its JSON.
    pub async fn created_job(&self, draft: &Value) -> Value {
        let answer = self.post("/api/jobs", draft).send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    /// Adds a contractor of this region; answers its id.
    pub async fn created_contractor(&self, region: &str) -> String {
        let draft = json!({ "name": "Eve", "region": region, "timezone": "Europe/Oslo" });
        let answer = self.post("/api/contractors", &draft).send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["id"].as_str().expect("an id").to_owned()
    }
}

impl Call {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.insert_header((name, value));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").raw_body(body.to_string())
    }

    pub fn raw_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The path that it goes to, without its query.
    pub fn path(&self) -> String {
        self.request.get_uri().path().to_owned()
    }

    pub async fn send(self) -> Answer {
        let mut response = self.request.send_body(self.body).await.expect("an answer");
        let headers = response.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
            .collect();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.next().await {
            bytes.extend(chunk.expect("the whole answer comes"));
        }
        Answer::of(response.status().as_u16(), headers, bytes)
    }
}

impl Answer {
    fn of(status: u16, headers: BTreeMap<String, String>, body: Vec<u8>) -> Self {
        // A poll of a binary protocol is answered with bytes.
        let text = String::from_utf8_lossy(&body).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, text, body }
    }

    /// The header's value; empty without it.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The last sequence that the answer contains.
    pub fn sequence(&self) -> u64 {
        self.header("x-event-sequence").parse().expect("X-Event-Sequence is a number")
    }

    /// A member of each of the answer's items.
    pub fn items(&self, member: &str) -> Vec<Value> {
        let items = self.body["items"].as_array().expect("a list");
        items.iter().map(|item| item[member].clone()).collect()
    }
}

/// A connection that is kept for request after request, each written down to its bytes.
pub struct Wire {
    address: std::net::SocketAddr,
    stream: Option<TcpStream>,
}

impl Wire {
    pub fn to(site: &Site) -> Self {
        Self { address: site.server.address, stream: None }
    }

    /// Sends a request whose answer has no end, and leaves it unread.
    pub async fn begin(&mut self, request: &[u8]) {
        let mut stream = TcpStream::connect(self.address).await.expect("a listener");
        stream.write_all(request).await.expect("the server reads");
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.expect("an answer begins");
        self.stream = Some(stream);
    }

    /// The answer to a whole request; none if the server hangs up without one.
    pub async fn exchange(&mut self, request: &[u8]) -> Option<Answer> {
        let exchange = async {
            let mut stream = match self.stream.take() {
                Some(stream) => stream,
                None => TcpStream::connect(self.address).await.expect("a listener"),
            };
            // A server that refuses a body may hang up before it has all of it.
            let _ = stream.write_all(request).await;
            let mut received = Vec::new();
            loop {
                if let Some((answer, _)) = whole_answer(&received) {
                    if answer.header("connection") != "close" {
                        self.stream = Some(stream);
                    }
                    return Some(answer);
                }
                if stream.read_buf(&mut received).await.is_ok_and(|bytes| bytes > 0) {
                    continue;
                }
                return None;
            }
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
    }
}

/// The answer and its bytes, once all of it is there: one with a length, as those of this
/// server are.
pub(super) fn whole_answer(received: &[u8]) -> Option<(Answer, usize)> {
    let head_bytes = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&received[..head_bytes]).expect("a head is text");
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |text| text.parse().expect("a length"));
    let body = received.get(head_bytes..head_bytes + length)?;
    Some((Answer::of(status, headers, body.to_vec()), head_bytes + length))
}
