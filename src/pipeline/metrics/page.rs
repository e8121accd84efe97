//! The page: what was counted, and what is so as of now.

use std::sync::Arc;

use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

use super::{Metrics, SignInReport, about, counter, counters, gauge, gauges, process};
use crate::jobs::Timestamp;
use crate::pipeline::Pipeline;
use crate::pipeline::command_queue::CommandQueue;
use crate::pipeline::progress::{PartState, Progress};
use crate::signalr::{HubHandle, ProtocolKind, QueueState};
use crate::store::Store;
use crate::telemetry;

/// Writes down what has happened and what is so. Clones look at the same server.
#[derive(Clone)]
pub struct MetricsPage {
    pub(super) metrics: Arc<Metrics>,
    progress: Arc<Progress>,
    commands: CommandQueue,
    log_queue_events_max: usize,
    store: Store,
    hub: HubHandle,
}

impl MetricsPage {
    /// About this pipeline on this store, and this hub.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, pipeline: &Pipeline, store: Store, hub: HubHandle) -> Self {
        Self {
            metrics,
            progress: Arc::clone(&pipeline.progress),
            commands: pipeline.commands.clone(),
            log_queue_events_max: pipeline.log_queue_events_max,
            store,
            hub,
        }
    }

    /// The page as of now. Waits for nothing. So many reads over HTTP run or wait, of so
    /// many that may; and this is so of sign-in.
    #[must_use]
    pub fn text(&self, reads: usize, reads_max: usize, sign_in: &SignInReport) -> String {
        let reads = QueueState { waiting: reads, waiting_max: reads_max };
        let mut families = self.metrics.registry.gather();
        families.extend(self.queues(reads));
        families.extend(self.events());
        families.push(self.parts(sign_in));
        families.extend(sign_in.families());
        families.extend(self.pools());
        families.extend(self.connections());
        families.push(self.metrics.limits.collect(self.hub.totals().refused));
        families.push(self.metrics.certificate());
        families.extend(log_lines());
        families.push(spans());
        families.extend(about(&self.metrics.node));
        families.extend(process::families());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        TextEncoder::new().encode_to_string(&families).expect("every family has a sample")
    }

    fn queues(&self, reads: QueueState) -> [MetricFamily; 3] {
        let log = telemetry::counts();
        let queue = |waiting, waiting_max| QueueState { waiting, waiting_max };
        let queues = [
            ("commands", queue(self.commands.waiting(), self.commands.commands_max())),
            ("reads", reads),
            ("publications", self.hub.publication_queue()),
            ("event_log", queue(self.progress.log_waiting(), self.log_queue_events_max)),
            ("log_bytes", queue(log.waiting_bytes, log.waiting_bytes_max)),
        ];
        let labels = |name| [("queue", name)];
        [
            gauges(
                "signalbox_queue_waiting",
                "What waits in a queue; of several of a kind, in the fullest.",
                queues.map(|(name, queue)| (labels(name), queue.waiting as f64)),
            ),
            gauges(
                "signalbox_queue_waiting_max",
                "How much may wait there.",
                queues.map(|(name, queue)| (labels(name), queue.waiting_max as f64)),
            ),
            counter(
                "signalbox_publication_overflows_total",
                "How often a worker thread's connections were closed since its queue was full.",
                self.hub.totals().queue_overflows as f64,
            ),
        ]
    }

    fn events(&self) -> [MetricFamily; 6] {
        // In this order none seems to be logged that is not committed.
        let (logged, relayed) = (self.progress.logged(), self.progress.relayed());
        let committed = self.progress.committed().max(logged);
        let outbox = age(self.progress.oldest_unlogged());
        let lag = match self.progress.log_waits_since() {
            _ if committed == logged => 0.0,
            // None waits in memory: it is known from the outbox, by the last look at it.
            None => outbox,
            since => age(since),
        };
        [
            gauge(
                "signalbox_events_committed_sequence",
                "The last sequence known to be committed, on whichever node.",
                committed as f64,
            ),
            gauge(
                "signalbox_events_relayed_sequence",
                "The last sequence that was handed to this node's connections.",
                relayed as f64,
            ),
            gauge(
                "signalbox_events_logged_sequence",
                "The last sequence known to stand in the event log.",
                logged as f64,
            ),
            gauge(
                "signalbox_event_log_lag_events",
                "Events that are committed and not known to stand in the event log.",
                (committed - logged) as f64,
            ),
            gauge(
                "signalbox_event_log_lag_seconds",
                "Age of the oldest event that is not known to stand in the event log.",
                lag,
            ),
            gauge(
                "signalbox_outbox_oldest_age_seconds",
                "Age of the outbox's oldest event, if it was there at the last look.",
                outbox,
            ),
        ]
    }

    fn parts(&self, sign_in: &SignInReport) -> MetricFamily {
        let parts = [
            ("job_store", self.progress.job_store_state()),
            ("event_log", self.progress.log_state()),
            ("backplane", self.progress.backplane_state()),
            ("sign_in_keys", sign_in.keys_state),
        ];
        let up = parts.map(|(part, state)| {
            let up = match state {
                PartState::Up => 1.0,
                PartState::Degraded => 0.5,
                PartState::Down => 0.0,
            };
            ([("part", part)], up)
        });
        let help = "1: the part does what it is for; 0.5: it is behind; 0: it does not.";
        gauges("signalbox_part_up", help, up)
    }

    fn pools(&self) -> [MetricFamily; 3] {
        let mut pools = self.store.jobs.pools();
        pools.extend(self.store.log.pools());
        let states = pools.iter().flat_map(|pool| {
            let label = |state| [("pool", pool.name), ("state", state)];
            let used = pool.open.saturating_sub(pool.idle);
            [(label("idle"), f64::from(pool.idle)), (label("used"), f64::from(used))]
        });
        let label = |name| [("pool", name)];
        [
            gauges("signalbox_pool_connections", "Connections to a database.", states),
            gauges(
                "signalbox_pool_connections_max",
                "How many there may be.",
                pools.iter().map(|pool| (label(pool.name), f64::from(pool.open_max))),
            ),
            gauges(
                "signalbox_pool_waiting",
                "Callers who wait for a connection, or for their turn to write.",
                pools.iter().map(|pool| (label(pool.name), pool.waiting as f64)),
            ),
        ]
    }

    fn connections(&self) -> [MetricFamily; 8] {
        let (counts, totals) = (self.hub.counts(), self.hub.totals());
        let kinds = self.hub.kinds();
        let kinds = kinds.iter().map(|kind| {
            let protocol = kind.protocol.map_or("none", ProtocolKind::name);
            let labels = [("transport", kind.transport.name()), ("protocol", protocol)];
            (labels, kind.connections as f64)
        });
        [
            gauges(
                "signalbox_connections",
                "Hub connections, from their transport's start to their end.",
                kinds,
            ),
            counters(
                "signalbox_connections_opened_total",
                "Hub connections that began.",
                totals
                    .opened
                    .iter()
                    .map(|(kind, count)| ([("transport", kind.name())], *count as f64)),
            ),
            counters(
                "signalbox_connections_closed_total",
                "Hub connections that ended.",
                totals.closed.iter().map(|(reason, count)| ([("reason", *reason)], *count as f64)),
            ),
            gauge(
                "signalbox_groups",
                "Groups with members, counted by each worker thread that has some.",
                counts.groups as f64,
            ),
            gauge(
                "signalbox_users",
                "Users with connections, counted by each worker thread that has some.",
                counts.users as f64,
            ),
            gauge(
                "signalbox_connection_tasks",
                "Sessions, streams, polls and whatever else runs for a connection.",
                counts.tasks as f64,
            ),
            counter(
                "signalbox_deliveries_total",
                "Live events handed to connections, one for each connection.",
                totals.deliveries as f64,
            ),
            counter(
                "signalbox_slow_connections_cut_total",
                "Connections that were cut because their client did not read.",
                totals.slow_connections_cut as f64,
            ),
        ]
    }
}

/// Seconds since then; 0 for none.
fn age(since: Option<Timestamp>) -> f64 {
    let millis = since.map_or(0, |since| Timestamp::now().millis() - since.millis());
    // Another node's clock may be ahead of ours.
    millis.max(0) as f64 / 1000.0
}

fn spans() -> MetricFamily {
    let counts = telemetry::span_counts();
    let results = [("ended", counts.ended), ("sent", counts.sent), ("failed", counts.failed)];
    counters(
        "signalbox_spans_total",
        "Spans that ended, and of them those that a collector took, or did not take.",
        results.map(|(result, count)| ([("result", result)], count as f64)),
    )
}

fn log_lines() -> [MetricFamily; 2] {
    let counts = telemetry::counts();
    let levels = ["error", "warn", "info", "debug", "trace"].into_iter().zip(counts.lines);
    [
        counters(
            "signalbox_log_lines_total",
            "Lines for the log, by level.",
            levels.map(|(level, count)| ([("level", level)], count as f64)),
        ),
        counter(
            "signalbox_log_lines_dropped_total",
            "Lines that were dropped because nobody read them fast enough.",
            counts.dropped as f64,
        ),
    ]
}
