//! Events on their way: to connections, to those who come back, and between nodes.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts};

use super::{DURATION_BUCKETS, Metrics, VALID};
use crate::jobs::{CommittedEvent, Timestamp};

/// Where events of the past were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum PastSource {
    /// Among those that were relayed last.
    Memory,
    /// In the database, by the groups that were asked for.
    Groups,
    /// In the database, all events of a block.
    Block,
}

#[derive(Debug)]
pub(super) struct EventMetrics {
    relay_delay: Histogram,
    catching_up: IntGauge,
    replayed: IntCounter,
    streamed: IntCounter,
    past_reads: IntCounterVec,
    backplane_messages: IntCounterVec,
    backplane_events: IntCounterVec,
    backplane_links: IntCounter,
    backplane_dropped: IntCounter,
}

impl EventMetrics {
    pub(super) fn new() -> Self {
        let delay = HistogramOpts::new(
            "signalbox_event_relay_delay_seconds",
            "From an event's transaction to its being handed to this node's connections.",
        );
        let metrics = Self {
            relay_delay: Histogram::with_opts(delay.buckets(DURATION_BUCKETS.to_vec()))
                .expect(VALID),
            catching_up: IntGauge::new(
                "signalbox_replays_running",
                "Subscriptions that are being told what they missed.",
            )
            .expect(VALID),
            replayed: counter(
                "signalbox_replayed_events_total",
                "Events of the past that were sent to subscriptions.",
            ),
            streamed: counter(
                "signalbox_streamed_events_total",
                "Events that were sent as items of streams, past and live.",
            ),
            past_reads: counters(
                "signalbox_past_reads_total",
                "Reads of past events, by where they were found.",
                "source",
            ),
            backplane_messages: counters(
                "signalbox_backplane_messages_total",
                "Messages with events, to and from other nodes.",
                "direction",
            ),
            backplane_events: counters(
                "signalbox_backplane_events_total",
                "Events that were told to other nodes, and heard from them.",
                "direction",
            ),
            backplane_links: counter(
                "signalbox_backplane_links_total",
                "How often the way to the other nodes was made.",
            ),
            backplane_dropped: counter(
                "signalbox_backplane_dropped_batches_total",
                "Batches of events that were not told, since too many waited.",
            ),
        };
        for source in [PastSource::Memory, PastSource::Groups, PastSource::Block] {
            metrics.past_reads.with_label_values(&[source.name()]);
        }
        for direction in [SENT, RECEIVED] {
            metrics.backplane_messages.with_label_values(&[direction]);
            metrics.backplane_events.with_label_values(&[direction]);
        }
        metrics
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 9] {
        [
            Box::new(self.relay_delay.clone()),
            Box::new(self.catching_up.clone()),
            Box::new(self.replayed.clone()),
            Box::new(self.streamed.clone()),
            Box::new(self.past_reads.clone()),
            Box::new(self.backplane_messages.clone()),
            Box::new(self.backplane_events.clone()),
            Box::new(self.backplane_links.clone()),
            Box::new(self.backplane_dropped.clone()),
        ]
    }
}

const SENT: &str = "sent";
const RECEIVED: &str = "received";

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect(VALID)
}

fn counters(name: &str, help: &str, label: &str) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), &[label]).expect(VALID)
}

impl PastSource {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Groups => "groups",
            Self::Block => "block",
        }
    }
}

impl Metrics {
    /// The event was handed to the connections.
    pub(in crate::pipeline) fn relayed(&self, event: &CommittedEvent) {
        let delay = Timestamp::now().millis() - event.occurred_at.millis();
        // Another node's clock may be ahead of ours.
        let delay = f64::from(i32::try_from(delay.max(0)).unwrap_or(i32::MAX)) / 1000.0;
        self.events.relay_delay.observe(delay);
    }

    /// A subscription is told what it missed, for as long as the answer lives.
    pub(in crate::pipeline) fn replay(self: &Arc<Self>) -> Replaying {
        self.events.catching_up.inc();
        Replaying(Arc::clone(self))
    }

    /// An item of a stream of events was sent.
    pub(in crate::pipeline) fn streamed(&self) {
        self.events.streamed.inc();
    }

    /// Events of the past were read.
    pub(in crate::pipeline) fn past_read(&self, source: PastSource) {
        self.events.past_reads.with_label_values(&[source.name()]).inc();
    }

    /// So many events were told to other nodes in a message.
    pub(in crate::pipeline) fn told(&self, events: usize) {
        self.events.backplane_messages.with_label_values(&[SENT]).inc();
        self.events.backplane_events.with_label_values(&[SENT]).inc_by(events as u64);
    }

    /// So many events were heard from another node in a message.
    pub(in crate::pipeline) fn heard(&self, events: usize) {
        self.events.backplane_messages.with_label_values(&[RECEIVED]).inc();
        self.events.backplane_events.with_label_values(&[RECEIVED]).inc_by(events as u64);
    }

    /// The way to the other nodes was made.
    pub(in crate::pipeline) fn linked(&self) {
        self.events.backplane_links.inc();
    }

    /// A batch found no room on its way to the other nodes.
    pub(in crate::pipeline) fn not_told(&self) {
        self.events.backplane_dropped.inc();
    }
}

/// A subscription that is being told what it missed.
#[derive(Debug)]
pub struct Replaying(Arc<Metrics>);

impl Replaying {
    /// An event of the past was sent.
    pub fn sent(&self) {
        self.0.events.replayed.inc();
    }
}

impl Drop for Replaying {
    fn drop(&mut self) {
        self.0.events.catching_up.dec();
    }
}
