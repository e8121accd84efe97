//! A bare SignalR client over long polling: it polls when the test says so, and not before.

use serde_json::Value;

use super::http_client::{Answer, Api};
use super::raw_websocket::HANDSHAKE;
use super::site::Site;

/// A connection, after its handshake.
pub struct PollingClient {
    api: Api,
    path: String,
    pub connection_id: String,
}

impl PollingClient {
    pub async fn connect(site: &Site, token: &str) -> Self {
        let api = Api::new(site, token);
        let negotiate = api.call("POST", "/hub/dispatch/negotiate?negotiateVersion=1");
        let reserved = negotiate.send().await.body;
        let text = |member: &str| reserved[member].as_str().expect("text").to_owned();
        let path = format!("/hub/dispatch?id={}", text("connectionToken"));
        let client = Self { api, path, connection_id: text("connectionId") };
        assert_eq!(client.get().await.status, 200, "the first poll is answered at once");
        client.send(HANDSHAKE).await;
        assert_eq!(client.poll().await, [serde_json::json!({})], "the handshake is accepted");
        client
    }

    /// Brings this token from here on.
    pub fn sign_in(&mut self, site: &Site, token: &str) {
        self.api = Api::new(site, token);
    }

    pub async fn send(&self, text: &str) {
        let answer = self.api.call("POST", &self.path).raw_body(text).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// One poll, whatever its answer.
    pub async fn get(&self) -> Answer {
        self.api.get(&self.path).send().await
    }

    /// The messages that one poll brings.
    pub async fn poll(&self) -> Vec<Value> {
        let answer = self.get().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let records = answer.text.split_terminator('\u{1e}');
        records.map(|text| serde_json::from_str(text).expect("JSON")).collect()
    }
}
