//! Newer credentials of a connection's user, and when they come to count.
//!
//! They pass the gate like calls: no call that joins groups runs beside them, so that what
//! it was allowed to do is what it does. Those that say what counts already only prolong it.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use actix::prelude::*;
use futures_util::FutureExt as _;

use super::Hub;
use super::session::Session;
use crate::signalr::connection::{Renewal, RenewalError};

/// Those that wait for a call to end; a further one is refused.
const RENEWALS_MAX: usize = 8;

/// Where the renewals of a connection stand.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    waiting: VecDeque<Renewal>,
    is_running: bool,
}

impl Renewals {
    /// Whether calls have to wait for one.
    pub(super) fn hold_calls_up(&self) -> bool {
        self.is_running || !self.waiting.is_empty()
    }

    /// Whoever waits finds out that the connection has ended.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// A client that polls brings its newest with every poll; an older one of them that
    /// still waits is void.
    fn push(&mut self, renewal: Renewal) {
        if !renewal.is_awaited() {
            self.waiting.retain(Renewal::is_awaited);
        }
        if self.waiting.len() < RENEWALS_MAX {
            self.waiting.push_back(renewal);
        } else {
            renewal.answer(Err(RenewalError::Unavailable));
        }
    }
}

impl<H: Hub> Session<H> {
    pub(super) fn take_renewal(&mut self, renewal: Renewal, ctx: &mut Context<Self>) {
        if self.is_old(&renewal) {
            return;
        }
        let counts = self.connection.user::<H::User>();
        if !self.renewals.hold_calls_up() && renewal.user() == Some(&*counts) {
            self.connection.link.extend(renewal.expires_at);
            return renewal.answer(Ok(()));
        }
        self.renewals.push(renewal);
        self.advance(ctx);
    }

    /// Whether a request that came for something else brought credentials that end before
    /// those that count: a client that polls may not have heard of a renewal yet.
    fn is_old(&self, renewal: &Renewal) -> bool {
        !renewal.is_awaited() && self.connection.link.outlives(renewal.expires_at)
    }

    /// Has the hub decide about the next one, unless a call runs.
    pub(super) fn begin_renewal(&mut self, ctx: &mut Context<Self>) {
        if !self.is_open() || self.renewals.is_running || self.connection.gated.get() > 0 {
            return;
        }
        let Some(renewal) = self.renewals.waiting.pop_front() else {
            return;
        };
        if self.is_old(&renewal) {
            return self.begin_renewal(ctx);
        }
        let expires_at = renewal.expires_at;
        let Some((user, answer)) = renewal.into_parts::<H::User>() else {
            return;
        };
        self.renewals.is_running = true;
        self.running += 1;
        let hub = Rc::clone(&self.worker.hub);
        let deciding = hub.renew(self.hook_caller(false), user, expires_at);
        let deciding = AssertUnwindSafe(deciding).catch_unwind();
        ctx.spawn(deciding.into_actor(self).map(|decided, session, ctx| {
            session.renewals.is_running = false;
            session.running -= 1;
            answer.give(decided.unwrap_or_else(|_| {
                let connection_id = &**session.connection.id();
                log::error!(connection_id; "the renew hook panicked");
                Err(RenewalError::Unavailable)
            }));
            session.advance(ctx);
            session.stop_if_idle(ctx);
        }));
    }
}
