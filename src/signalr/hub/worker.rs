//! What the sessions of one worker thread share.

use std::rc::Rc;

use super::Hub;
use super::methods::Methods;
use super::shard::Shard;
use crate::signalr::options::HubOptions;

/// A hub on one worker thread.
pub(super) struct HubWorker<H: Hub> {
    pub(super) options: Rc<HubOptions>,
    pub(super) hub: Rc<H>,
    pub(super) methods: Methods<H>,
    pub(super) shard: Rc<Shard>,
}
