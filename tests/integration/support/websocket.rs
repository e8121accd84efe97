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
        let (_, socket) = awc::Client::new()
            .ws(url)
            .header("Authorization", format!("Bearer {token}"))
            .max_frame_size(1024 * 1024)
            .connect()
            .await
            .expect("the upgrade is accepted");
        let mut client = Self { socket, buffered: Vec::new() };
        client.send_text("{\"protocol\":\"json\",\"version\":1}\u{1e}").await;
        assert_eq!(client.next().await, Some(json!({})), "the handshake is accepted");
        client
    }

    pub async fn send_text(&mut self, text: &str) {
        let message = Message::Text(text.to_owned().into());
        self.socket.send(message).await.expect("the connection is open");
    }

    /// Calls a method, and answers its completion; events before it stay readable.
    pub async fn invoke(&mut self, target: &str, arguments: Value) -> Value {
        let call = json!({
            "type": 1, "invocationId": "i", "target": target, "arguments": arguments,
        });
        self.send_text(&format!("{call}\u{1e}")).await;
        let mut passed = Vec::new();
        loop {
            let message = self.next().await.expect("the connection stays open");
            if message["type"] == 3 {
                passed.append(&mut self.buffered);
                self.buffered = passed;
                return message;
            }
            passed.push(message);
        }
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
