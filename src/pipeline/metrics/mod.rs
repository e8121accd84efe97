//! Numbers about a running server, in the text format that Prometheus reads.
//!
//! What happens is counted where it happens, in [`Metrics`]. What is so, is looked up
//! when somebody asks, by [`MetricsPage`]: nothing is kept twice, and no database is
//! asked. `docs/metrics.md` lists everything, and a test holds it to that.

mod commands;
mod events;
mod limits;
mod page;
mod process;
mod requests;
mod sign_in;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use prometheus::Registry;
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};

pub(super) use commands::{CommandTimer, result_of};
pub(super) use events::PastSource;
pub use events::Replaying;
pub use limits::Limit;
pub use page::MetricsPage;
pub use sign_in::SignInReport;

use commands::CommandMetrics;
use events::EventMetrics;
use limits::LimitCounts;
use requests::RequestMetrics;

/// The media type of a page.
pub const METRICS_MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds in seconds: from a commit that shares a fast disk to five times what a
/// command waits for a database at most.
const DURATION_BUCKETS: [f64; 12] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// What is counted as it happens. Each server has its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    commands: CommandMetrics,
    requests: RequestMetrics,
    limits: LimitCounts,
    /// In seconds since 1970; 0 without a certificate.
    certificate_expires: AtomicU64,
    events: EventMetrics,
    node: AboutNode,
}

/// Which server it is.
#[derive(Debug)]
struct AboutNode {
    id: String,
    started_at: SystemTime,
}

impl AboutNode {
    fn new(id: &str) -> Self {
        Self { id: id.to_owned(), started_at: SystemTime::now() }
    }
}

/// Names and labels are constants: whether they are right does not depend on anything.
const VALID: &str = "a metric of constant, valid names that is registered once";

impl Metrics {
    /// Nothing has happened yet, on the node of this name.
    #[must_use]
    pub fn new(node_id: &str) -> Self {
        let registry = Registry::new();
        let (commands, requests) = (CommandMetrics::new(), RequestMetrics::new());
        let (events, node) = (EventMetrics::new(), AboutNode::new(node_id));
        let collectors = commands.collectors().into_iter().chain(requests.collectors());
        for collector in collectors.chain(events.collectors()) {
            registry.register(collector).expect(VALID);
        }
        Self {
            registry,
            commands,
            requests,
            events,
            limits: LimitCounts::default(),
            certificate_expires: AtomicU64::new(0),
            node,
        }
    }
}

impl Metrics {
    /// The server's certificate ends then.
    pub fn certificate_expires(&self, at: SystemTime) {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.certificate_expires.store(since.as_secs(), Ordering::Relaxed);
    }

    fn certificate(&self) -> MetricFamily {
        gauge(
            "signalbox_tls_certificate_expires_timestamp_seconds",
            "When the server's certificate ends, in seconds since 1970; 0 without TLS.",
            self.certificate_expires.load(Ordering::Relaxed) as f64,
        )
    }
}

/// When the server started, and what it is; the names of its databases are kinds.
fn about(node: &AboutNode) -> [MetricFamily; 3] {
    let since = node.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    [
        gauge(
            "process_start_time_seconds",
            "When the server started, in seconds since 1970.",
            since.as_secs_f64(),
        ),
        gauges(
            "signalbox_build_info",
            "Always 1; what was built is in its labels.",
            [([("version", env!("CARGO_PKG_VERSION")), ("profile", profile)], 1.0)],
        ),
        gauges(
            "signalbox_node_info",
            "Always 1; which server it is is in its label.",
            [([("node", node.id.as_str())], 1.0)],
        ),
    ]
}

/// Labels of one sample: names, which are those of all samples, and values.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// One number that is so.
fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    gauges(name, help, [([], value)])
}

/// Numbers that are so, told apart by labels.
fn gauges<'a, const N: usize>(
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Labels<'a, N>, f64)>,
) -> MetricFamily {
    of_type(name, help, MetricType::GAUGE, samples, |metric, value| {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    })
}

/// One number that was counted elsewhere.
fn counter(name: &str, help: &str, value: f64) -> MetricFamily {
    counters(name, help, [([], value)])
}

/// Numbers that were counted elsewhere, told apart by labels.
fn counters<'a, const N: usize>(
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Labels<'a, N>, f64)>,
) -> MetricFamily {
    of_type(name, help, MetricType::COUNTER, samples, |metric, value| {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    })
}

fn of_type<'a, const N: usize>(
    name: &str,
    help: &str,
    kind: MetricType,
    samples: impl IntoIterator<Item = (Labels<'a, N>, f64)>,
    set: impl Fn(&mut Metric, f64),
) -> MetricFamily {
    let samples = samples.into_iter().map(|(labels, value)| {
        let labels = labels.map(|(name, value)| {
            let mut label = LabelPair::default();
            label.set_name(name.to_owned());
            label.set_value(value.to_owned());
            label
        });
        let mut metric = Metric::from_label(labels.to_vec());
        set(&mut metric, value);
        metric
    });
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(samples.collect());
    family
}
