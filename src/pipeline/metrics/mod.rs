//! Numbers about a running server, in the text format that Prometheus reads.
//!
//! What happens is counted where it happens, in [`Metrics`]. What is so, is looked up
//! when somebody asks, by [`MetricsPage`]: nothing is kept twice, and no database is
//! asked. `docs/metrics.md` lists everything, and a test holds it to that.

mod commands;
mod limits;
mod page;
mod requests;

use std::time::SystemTime;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntCounter, IntGauge, Opts, Registry};

pub(super) use commands::CommandTimer;
pub use limits::Limit;
pub use page::MetricsPage;

use commands::CommandMetrics;
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
        let registry = Registry::new();
        let (commands, requests) = (CommandMetrics::new(), RequestMetrics::new());
        let of_server: [Box<dyn Collector>; 2] = [Box::new(start_time()), Box::new(build_info())];
        let collectors = commands.collectors().into_iter().chain(requests.collectors());
        for collector in collectors.chain(of_server) {
            registry.register(collector).expect(VALID);
        }
        Self { registry, commands, requests, limits: LimitCounts::default() }
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
