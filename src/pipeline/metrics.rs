//! Numbers about a running server, in the text format that Prometheus reads.
//!
//! What happens is counted where it happens, in [`Metrics`]. What is so, is looked up
//! when somebody asks, by [`MetricsPage`]: nothing is kept twice, and no database is
//! asked. `docs/metrics.md` lists everything, and a test holds it to that.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry, TextEncoder,
};

use super::Pipeline;
use super::command_error::CommandError;
use super::command_queue::CommandQueue;
use super::progress::{PartState, Progress};
use crate::jobs::{Command, Receipt};
use crate::signalr::HubHandle;

/// The media type of a page.
pub const METRICS_MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds in seconds: from a commit that shares a fast disk to five times what a
/// command waits for a database at most.
const DURATION_BUCKETS: [f64; 12] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// Upper bounds in commands; the last is the default of what may share a transaction.
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// The names of commands.
const COMMANDS: [&str; 5] =
    ["create_job", "assign_job", "reschedule_job", "cancel_job", "create_contractor"];

/// Results that are no refusals. They stand on the page from the beginning, so that the
/// first of them is seen as a rise.
const RESULTS: [&str; 6] =
    ["accepted", "repeated", "busy", "store_unavailable", "outcome_unknown", "internal"];

/// What is counted as it happens. Each server has its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    commands: IntCounterVec,
    command_duration: HistogramVec,
    batch_commands: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Names and labels are constants: whether they are right does not depend on anything.
const VALID: &str = "a metric of constant, valid names that is registered once";

impl Metrics {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Self {
        let commands = Opts::new("signalbox_commands_total", "Commands answered, by result.");
        let commands = IntCounterVec::new(commands, &["command", "result"]).expect(VALID);
        let duration = HistogramOpts::new(
            "signalbox_command_duration_seconds",
            "From a command's submission to its answer; those refused as busy are left out.",
        );
        let duration = duration.buckets(DURATION_BUCKETS.to_vec());
        let command_duration = HistogramVec::new(duration, &["command"]).expect(VALID);
        let batch = HistogramOpts::new(
            "signalbox_batch_commands",
            "Commands that shared a committed transaction.",
        );
        let batch_commands =
            Histogram::with_opts(batch.buckets(BATCH_BUCKETS.to_vec())).expect(VALID);
        for command in COMMANDS {
            command_duration.with_label_values(&[command]);
            for result in RESULTS {
                commands.with_label_values(&[command, result]);
            }
        }
        let registry = Registry::new();
        let collectors: [Box<dyn Collector>; 5] = [
            Box::new(commands.clone()),
            Box::new(command_duration.clone()),
            Box::new(batch_commands.clone()),
            Box::new(start_time()),
            Box::new(build_info()),
        ];
        for collector in collectors {
            registry.register(collector).expect(VALID);
        }
        Self { registry, commands, command_duration, batch_commands }
    }

    /// A command is submitted.
    pub(super) fn begin(self: &Arc<Self>, command: &Command) -> CommandTimer {
        CommandTimer { metrics: Arc::clone(self), command: name_of(command), since: Instant::now() }
    }

    /// A transaction of so many commands has been committed.
    pub(super) fn committed(&self, commands: usize) {
        // Few: a float has them all.
        let commands = u32::try_from(commands).unwrap_or(u32::MAX);
        self.batch_commands.observe(f64::from(commands));
    }
}

fn start_time() -> Gauge {
    let gauge = Gauge::new(
        "signalbox_process_start_time_seconds",
        "When the server started, in seconds since 1970.",
    );
    let gauge = gauge.expect(VALID);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    gauge.set(since.as_secs_f64());
    gauge
}

fn build_info() -> Gauge {
    let info = Opts::new("signalbox_build_info", "Always 1; the version is in its label.");
    let gauge = Gauge::with_opts(info.const_label("version", env!("CARGO_PKG_VERSION")));
    let gauge = gauge.expect(VALID);
    gauge.set(1.0);
    gauge
}

/// A command on its way to its answer. Whoever answers says so, once.
#[derive(Debug, Clone)]
pub(super) struct CommandTimer {
    metrics: Arc<Metrics>,
    command: &'static str,
    pub(super) since: Instant,
}

impl CommandTimer {
    /// The command is about to be answered so. Before the caller has the answer, so that
    /// nobody knows of an answer that the page does not.
    pub(super) fn end(&self, answer: &Result<Receipt, CommandError>, is_repeated: bool) {
        let result = match answer {
            Ok(_) if is_repeated => "repeated",
            Ok(_) => "accepted",
            Err(CommandError::Refused(refusal)) => refusal.code(),
            Err(CommandError::Busy) => "busy",
            Err(CommandError::Unavailable(_)) => "store_unavailable",
            Err(CommandError::OutcomeUnknown(_)) => "outcome_unknown",
            Err(CommandError::Internal(_)) => "internal",
        };
        let metrics = &self.metrics;
        metrics.commands.with_label_values(&[self.command, result]).inc();
        // An answer at once would make an overload look fast.
        if !matches!(answer, Err(CommandError::Busy)) {
            let duration = self.since.elapsed().as_secs_f64();
            metrics.command_duration.with_label_values(&[self.command]).observe(duration);
        }
    }
}

fn name_of(command: &Command) -> &'static str {
    match command {
        Command::CreateJob(_) => COMMANDS[0],
        Command::AssignJob(_) => COMMANDS[1],
        Command::RescheduleJob(_) => COMMANDS[2],
        Command::CancelJob(_) => COMMANDS[3],
        Command::CreateContractor(_) => COMMANDS[4],
    }
}

/// Writes down what has happened and what is so. Clones look at the same server.
#[derive(Debug, Clone)]
pub struct MetricsPage {
    metrics: Arc<Metrics>,
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

/// One number that is so.
fn gauge(name: &str, help: &str, value: u64) -> MetricFamily {
    let gauge = IntGauge::new(name, help).expect(VALID);
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    family(&gauge)
}

/// One number that was counted elsewhere.
fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    let counter = IntCounter::new(name, help).expect(VALID);
    counter.inc_by(value);
    family(&counter)
}

fn family(collector: &impl Collector) -> MetricFamily {
    collector.collect().pop().expect("a metric is a family")
}
