//! Sets tests up, through public APIs only; asserts nothing but that it worked.

pub mod database;
pub mod http_client;
pub mod issuer;
pub mod polling;
pub mod postgres;
pub mod program;
pub mod random;
pub mod raw_http;
pub mod raw_websocket;
pub mod redis;
pub mod service;
pub mod site;
pub mod tls;
pub mod websocket;

use std::future::Future;
use std::time::{Duration, Instant};

/// How long anything that a test waits for may take: far longer than it does, so
/// that a slow machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the condition holds; panics with the name when patience runs out.
pub async fn until<F: Future<Output = bool>>(name: &str, condition: impl Fn() -> F) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "waited too long until {name}");
}

/// The same for a test that has threads instead of tasks.
pub fn wait_until(name: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < PATIENCE, "waited too long until {name}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
