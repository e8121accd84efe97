//! What the sessions of one worker thread share.

use std::rc::Rc;
use std::sync::Arc;

use super::hub::{Hub, Methods};
use super::negotiate::ConnectionTokens;
use super::options::HubOptions;
use super::shard::Shard;

/// A hub on one worker thread.
pub(super) struct HubWorker<H: Hub> {
    pub(super) options: HubOptions,
    pub(super) hub: Rc<H>,
    pub(super) methods: Methods<H>,
    pub(super) shard: Rc<Shard>,
    pub(super) tokens: Arc<ConnectionTokens>,
}

impl<H: Hub> HubWorker<H> {
    /// Ends what a connection holds outside of its worker.
    pub(super) fn release(&self, token: Option<&str>) {
        if let Some(token) = token {
            self.tokens.release(token);
        }
    }
}
