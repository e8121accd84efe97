//! A client that follows groups for good: when its connection ends it comes back and goes
//! on behind the last event that it got.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use super::load::TOKEN_LIFETIME;
use crate::support::site::lasting_token;
use crate::support::wait_until;
use crate::support::websocket::HubClient;

/// How soon it comes back; real clients wait longer.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// What it got.
#[derive(Debug)]
pub struct Followed {
    pub groups: Vec<String>,
    /// In the order of their coming.
    pub sequences: Vec<i64>,
    pub connections: usize,
}

/// A client at work.
pub struct Subscriber {
    state: Arc<State>,
    thread: JoinHandle<Vec<i64>>,
}

struct State {
    addresses: Vec<String>,
    groups: Vec<String>,
    stop: AtomicBool,
    seen: AtomicUsize,
    connections: AtomicUsize,
}

impl Subscriber {
    /// Follows these groups from the first event on, at any of these addresses.
    pub fn start(addresses: &[String], groups: &[String]) -> Self {
        let state = Arc::new(State {
            addresses: addresses.to_vec(),
            groups: groups.to_vec(),
            stop: AtomicBool::new(false),
            seen: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        let follow = move || actix_web::rt::System::new().block_on(shared.follow());
        Self { state, thread: std::thread::spawn(follow) }
    }

    pub fn groups(&self) -> &[String] {
        &self.state.groups
    }

    /// How often it has connected.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Waits until it has got so many events, and ends it.
    pub fn finish(self, events: usize) -> Followed {
        let groups = self.state.groups.join(", ");
        wait_until(&format!("{events} events of {groups} arrive"), || {
            self.thread.is_finished() || self.state.seen.load(Ordering::Relaxed) >= events
        });
        self.state.stop.store(true, Ordering::Relaxed);
        let connections = self.connections();
        let sequences = self.thread.join().expect("it met nothing that it did not expect");
        Followed { groups: self.state.groups.clone(), sequences, connections }
    }
}

impl State {
    async fn follow(&self) -> Vec<i64> {
        let mut sequences = Vec::new();
        while !self.is_stopped() {
            let address = &self.addresses[self.connections() % self.addresses.len()];
            let _ = self.follow_at(address, &mut sequences).await;
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        sequences
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Follows over one connection, until it ends or is not wanted any more.
    async fn follow_at(&self, address: &str, sequences: &mut Vec<i64>) -> Option<()> {
        let token = lasting_token(TOKEN_LIFETIME, "admin", &[], None);
        let url = format!("http://{address}/hub/dispatch");
        self.connections.fetch_add(1, Ordering::Relaxed);
        let mut client = self.unless_stopped(HubClient::try_connect(&url, &token)).await??;
        let after = sequences.last().copied().unwrap_or(0);
        let subscribe = json!([{ "groups": self.groups, "after": after }]);
        let subscribed = client.try_invoke("Subscribe", subscribe);
        let answer = self.unless_stopped(subscribed).await??;
        if let Some(error) = answer["error"].as_str() {
            // Its database is away, or it is not as far yet as this client.
            assert!(error.starts_with("store_unavailable: "), "{error}");
            return None;
        }
        assert_eq!(answer["result"]["complete"], true, "after {after}: {answer}");
        loop {
            let event = self.unless_stopped(client.next_event()).await??;
            sequences.push(event["sequence"].as_i64().expect("a sequence"));
            self.seen.store(sequences.len(), Ordering::Relaxed);
        }
    }

    /// What comes, or none once it is not wanted any more.
    async fn unless_stopped<T>(&self, coming: impl Future<Output = T>) -> Option<T> {
        let stopped = async {
            while !self.is_stopped() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            biased;
            come = coming => Some(come),
            () = stopped => None,
        }
    }
}
