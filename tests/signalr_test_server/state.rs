//! What the hub's methods and the plain endpoints share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use crate::tokens::Tokens;

pub struct TestState {
    pub tokens: Tokens,
    redirects: AtomicU64,
    gates: Mutex<HashMap<String, Arc<watch::Sender<bool>>>>,
    hooks: Mutex<HashMap<String, HookLog>>,
    numbers: Mutex<HashMap<String, Vec<i64>>>,
}

/// Which hooks have run for a connection.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HookLog {
    pub connected: u32,
    pub disconnected: u32,
    pub failure: Option<String>,
}

impl TestState {
    pub fn new() -> Self {
        Self {
            tokens: Tokens::new(),
            redirects: AtomicU64::new(0),
            gates: Mutex::default(),
            hooks: Mutex::default(),
            numbers: Mutex::default(),
        }
    }

    pub fn next_redirect(&self) -> u64 {
        self.redirects.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn gate(&self, name: &str) -> Arc<watch::Sender<bool>> {
        let mut gates = lock(&self.gates);
        Arc::clone(
            gates.entry(name.to_owned()).or_insert_with(|| Arc::new(watch::Sender::new(false))),
        )
    }

    /// Waits until the gate has been released.
    pub async fn wait_for(&self, gate: &str) {
        let mut released = self.gate(gate).subscribe();
        released.wait_for(|released| *released).await.expect("the gate is kept");
    }

    pub fn release(&self, gate: &str) {
        self.gate(gate).send_replace(true);
    }

    pub fn change_hooks(&self, connection_id: &str, change: impl FnOnce(&mut HookLog)) {
        change(lock(&self.hooks).entry(connection_id.to_owned()).or_default());
    }

    pub fn hooks(&self, connection_id: &str) -> HookLog {
        lock(&self.hooks).get(connection_id).cloned().unwrap_or_default()
    }

    pub fn remember_number(&self, connection_id: &str, number: i64) {
        lock(&self.numbers).entry(connection_id.to_owned()).or_default().push(number);
    }

    pub fn numbers(&self, connection_id: &str) -> Vec<i64> {
        lock(&self.numbers).get(connection_id).cloned().unwrap_or_default()
    }

    pub fn forget_numbers(&self, connection_id: &str) {
        lock(&self.numbers).remove(connection_id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
