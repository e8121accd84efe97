//! What nodes tell each other besides events: each node a state of its own, again and
//! again. It may be late or lost; who listens decides how long one counts.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};

/// States of other nodes that may wait to be taken. One more is dropped: it is told again.
const HEARD_MAX: usize = 64;

/// What another node said.
#[derive(Debug)]
pub struct Heard {
    /// A name of the node; another one after its restart.
    pub node: String,
    /// Its state in place of the one before.
    pub state: String,
}

/// See the module. Clones are the same.
#[derive(Debug, Clone)]
pub struct Neighbours {
    told: Arc<watch::Sender<Arc<str>>>,
    heard: mpsc::Sender<Heard>,
    listener: Arc<Mutex<Option<mpsc::Receiver<Heard>>>>,
}

impl Default for Neighbours {
    fn default() -> Self {
        let (heard, listener) = mpsc::channel(HEARD_MAX);
        Self {
            told: Arc::new(watch::Sender::new("".into())),
            heard,
            listener: Arc::new(Mutex::new(Some(listener))),
        }
    }
}

impl Neighbours {
    /// This is this node's state from now on. An empty one is told once, and not again.
    pub fn tell(&self, state: String) {
        self.told.send_replace(state.into());
    }

    /// What other nodes say; for the first who asks.
    #[must_use]
    pub fn listen(&self) -> Option<mpsc::Receiver<Heard>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// This node's state, and when it changes.
    pub(super) fn told(&self) -> watch::Receiver<Arc<str>> {
        self.told.subscribe()
    }

    pub(super) fn hear(&self, heard: Heard) {
        let _ = self.heard.try_send(heard);
    }
}
