//! What was refused because a limit was reached.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::proto::MetricFamily;

use super::{Metrics, counters};
use crate::signalr::HubRefusals;

/// A bound of requests; the value is its place among the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests per second of an address.
    AddressRequests = 0,
    /// Requests per second of a caller.
    CallerRequests = 1,
    /// How long a client may take to send a head, or to read an answer.
    SlowClients = 2,
}

/// How often each [`Limit`] has refused something.
#[derive(Debug, Default)]
pub(super) struct LimitCounts([AtomicU64; 3]);

impl Metrics {
    /// A request was refused by this limit.
    pub fn refused(&self, limit: Limit) {
        self.limits.0[limit as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl LimitCounts {
    /// These and the hub's own.
    pub(super) fn collect(&self, hub: HubRefusals) -> MetricFamily {
        let of_requests = |limit: Limit| self.0[limit as usize].load(Ordering::Relaxed);
        let limits = [
            ("address_requests", of_requests(Limit::AddressRequests)),
            ("caller_requests", of_requests(Limit::CallerRequests)),
            ("slow_clients", of_requests(Limit::SlowClients)),
            ("connections", hub.connections),
            ("caller_connections", hub.user_connections),
            ("invocations", hub.invocations),
            ("groups", hub.groups),
        ];
        counters(
            "signalbox_refused_total",
            "What was refused, by the limit.",
            limits.map(|(limit, count)| ([("limit", limit)], count as f64)),
        )
    }
}
