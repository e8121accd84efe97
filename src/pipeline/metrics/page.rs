//! The page: what was counted, and what is so as of now.

use std::sync::Arc;

use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, TextEncoder};

use super::{Metrics, VALID, counter, family, gauge};
use crate::pipeline::Pipeline;
use crate::pipeline::command_queue::CommandQueue;
use crate::pipeline::progress::{PartState, Progress};
use crate::signalr::HubHandle;

/// Writes down what has happened and what is so. Clones look at the same server.
#[derive(Debug, Clone)]
pub struct MetricsPage {
    pub(super) metrics: Arc<Metrics>,
    progress: Arc<Progress>,
    commands: CommandQueue,
    hub: HubHandle,
}

impl MetricsPage {
    /// About this pipeline and this hub.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, pipeline: &Pipeline, hub: HubHandle) -> Self {
        let (progress, commands) = (Arc::clone(&pipeline.progress), pipeline.commands.clone());
        Self { metrics, progress, commands, hub }
    }

    /// The page as of now. Waits for nothing.
    #[must_use]
    pub fn text(&self) -> String {
        let mut families = self.metrics.registry.gather();
        families.extend(self.queue());
        families.extend(self.events());
        families.push(self.parts());
        families.push(self.metrics.limits.collect(self.hub.totals().refused));
        families.extend(self.hub());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        TextEncoder::new().encode_to_string(&families).expect("every family has a sample")
    }

    fn queue(&self) -> [MetricFamily; 2] {
        [
            gauge(
                "signalbox_commands_waiting",
                "Commands that are taken and not yet answered.",
                self.commands.waiting() as u64,
            ),
            gauge(
                "signalbox_commands_waiting_max",
                "How many may wait; the next one is refused as busy.",
                self.commands.commands_max() as u64,
            ),
        ]
    }

    fn events(&self) -> [MetricFamily; 4] {
        // In this order none seems to be logged that is not committed.
        let (logged, relayed) = (self.progress.logged(), self.progress.relayed());
        let committed = self.progress.committed().max(logged);
        [
            gauge(
                "signalbox_events_committed_sequence",
                "The last sequence known to be committed, on whichever node.",
                committed,
            ),
            gauge(
                "signalbox_events_relayed_sequence",
                "The last sequence that was handed to this node's connections.",
                relayed,
            ),
            gauge(
                "signalbox_events_logged_sequence",
                "The last sequence known to stand in the event log.",
                logged,
            ),
            gauge(
                "signalbox_event_log_lag_events",
                "Events that are committed and not known to stand in the event log.",
                committed - logged,
            ),
        ]
    }

    fn parts(&self) -> MetricFamily {
        let up = Opts::new(
            "signalbox_part_up",
            "1: the part does what it is for; 0.5: it is behind; 0: it does not.",
        );
        let up = GaugeVec::new(up, &["part"]).expect(VALID);
        for (part, state) in [
            ("job_store", self.progress.job_store_state()),
            ("event_log", self.progress.log_state()),
            ("backplane", self.progress.backplane_state()),
        ] {
            up.with_label_values(&[part]).set(match state {
                PartState::Up => 1.0,
                PartState::Degraded => 0.5,
                PartState::Down => 0.0,
            });
        }
        family(&up)
    }

    fn hub(&self) -> [MetricFamily; 6] {
        let (counts, totals) = (self.hub.counts(), self.hub.totals());
        [
            gauge(
                "signalbox_connections",
                "Hub connections, from their transport's start to their end.",
                counts.connections as u64,
            ),
            gauge(
                "signalbox_groups",
                "Groups with members, counted by each worker thread that has some.",
                counts.groups as u64,
            ),
            gauge(
                "signalbox_users",
                "Users with connections, counted by each worker thread that has some.",
                counts.users as u64,
            ),
            gauge(
                "signalbox_connection_tasks",
                "Sessions, streams, polls and whatever else runs for a connection.",
                counts.tasks as u64,
            ),
            counter(
                "signalbox_deliveries_total",
                "Live events handed to connections, one for each connection.",
                totals.deliveries,
            ),
            counter(
                "signalbox_slow_connections_cut_total",
                "Connections that were cut because their client did not read.",
                totals.slow_connections_cut,
            ),
        ]
    }
}
