//! A bare SignalR client over a WebSocket: what the official ones hide stays visible.

use actix_codec::Framed;
use actix_http::ws::{Frame, Message};
use awc::BoxedSocket;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};

use super::PATIENCE;

/// An open connection, after its handshake.
pub struct HubClient {
    socket: Framed<BoxedSocket, awc::ws::Codec>,
    buffered: Vec<Value>,
}

impl HubClient {
    /// Connects without negotiation, and shakes hands.
    pub async fn connect(url: &str, token: &str) -> Self {
        Self::try_connect(url, token).await.expect("the handshake is accepted")
    }

    /// The same; none when the server is away, or goes away meanwhile.
    pub async fn try_connect(url: &str, token: &str) -> Option<Self> {
        let request = awc::Client::new().ws(url);
        Self::shake_hands(request.header("Authorization", format!("Bearer {token}"))).await
    }

    /// The same without a header that says who it is.
    pub async fn connect_anonymously(url: &str) -> Option<Self> {
        Self::shake_hands(awc::Client::new().ws(url)).await
    }

    async fn shake_hands(request: awc::ws::WebsocketsRequest) -> Option<Self> {
        let (_, socket) = request.max_frame_size(1024 * 1024).connect().await.ok()?;
        let mut client = Self { socket, buffered: Vec::new() };
        client.try_send("{\"protocol\":\"json\",\"version\":1}\u{1e}").await?;
        (client.next().await? == json!({})).then_some(client)
    }

    async fn try_send(&mut self, text: &str) -> Option<()> {
        let message = Message::Text(text.to_owned().into());
        self.socket.send(message).await.ok()
    }

    /// Sends a hub message.
    pub async fn send(&mut self, message: &Value) {
        self.try_send(&format!("{message}\u{1e}")).await.expect("the connection is open");
    }

    /// Calls a method, and answers its completion; events before it stay readable.
    pub async fn invoke(&mut self, target: &str, arguments: Value) -> Value {
        self.try_invoke(target, arguments).await.expect("the connection stays open")
    }

    /// The same; none when the connection ends before the answer.
    pub async fn try_invoke(&mut self, target: &str, arguments: Value) -> Option<Value> {
        let call = json!({
            "type": 1, "invocationId": "i", "target": target, "arguments": arguments,
        });
        self.try_send(&format!("{call}\u{1e}")).await?;
        let mut passed = Vec::new();
        loop {
            let message = self.next().await?;
            if message["type"] == 3 {
                passed.append(&mut self.buffered);
                self.buffered = passed;
                return Some(message);
            }
            passed.push(message);
        }
    }

    /// Begins a stream and cancels it at its first item; answers its completion.
    pub async fn begin_stream(&mut self, target: &str, arguments: Value) -> Value {
        let call = json!({
            "type": 4, "invocationId": "s", "target": target, "arguments": arguments,
        });
        self.try_send(&format!("{call}\u{1e}")).await.expect("it is open");
        let mut is_cancelled = false;
        loop {
            let message = self.next().await.expect("the connection stays open");
            if message["type"] == 3 {
                return message;
            }
            if message["type"] == 2 && !is_cancelled {
                let cancel = json!({ "type": 5, "invocationId": "s" });
                self.try_send(&format!("{cancel}\u{1e}")).await.expect("it is open");
                is_cancelled = true;
            }
        }
    }

    /// The events that have come and were not asked for yet.
    pub fn take_events(&mut self) -> Vec<Value> {
        let come = std::mem::take(&mut self.buffered);
        let (events, rest) = come.into_iter().partition(|message| message["type"] == 1);
        self.buffered = rest;
        let payload = |mut event: Value| event["arguments"][0].take();
        Vec::into_iter(events).map(payload).collect()
    }

    /// The next event's payload, or none when the connection has ended.
    pub async fn next_event(&mut self) -> Option<Value> {
        loop {
            let mut message = self.next().await?;
            if message["type"] == 1 {
                return Some(message["arguments"][0].take());
            }
        }
    }

    /// The next hub message, or none when the connection has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if !self.buffered.is_empty() {
                return Some(self.buffered.remove(0));
            }
            let frame = tokio::time::timeout(PATIENCE, self.socket.next())
                .await
                .expect("a message comes in time");
            match frame {
                Some(Ok(Frame::Text(text))) => {
                    let text = std::str::from_utf8(&text).expect("text is UTF-8");
                    let records = text.split_terminator('\u{1e}');
                    self.buffered.extend(records.map(|r| serde_json::from_str(r).expect("JSON")));
                }
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }
}
