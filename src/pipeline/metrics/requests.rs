//! Requests over HTTP, by where they went and how they were answered.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};

use super::{MetricsPage, VALID};

/// Upper bounds in seconds; a poll may wait for much longer than any of them.
const DURATION_BUCKETS: [f64; 11] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5];

/// What a method is called that is none of these.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/// A path that no route has, or one of the page's files.
const NO_ROUTE: &str = "other";

#[derive(Debug)]
pub(super) struct RequestMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl RequestMetrics {
    pub(super) fn new() -> Self {
        let requests = Opts::new(
            "signalbox_http_requests_total",
            "Requests answered, by method, route and class of status.",
        );
        let requests = IntCounterVec::new(requests, &["method", "route", "status"]).expect(VALID);
        let duration = HistogramOpts::new(
            "signalbox_http_request_duration_seconds",
            "From a request's head to the head of its answer.",
        );
        let duration = duration.buckets(DURATION_BUCKETS.to_vec());
        let duration = HistogramVec::new(duration, &["method", "route"]).expect(VALID);
        Self { requests, duration }
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 2] {
        [Box::new(self.requests.clone()), Box::new(self.duration.clone())]
    }
}

impl MetricsPage {
    /// A request has been answered. The route is the template that its path matched.
    pub fn answered(&self, method: &str, route: Option<&str>, status: u16, duration: Duration) {
        let requests = &self.metrics.requests;
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let route = route.unwrap_or(NO_ROUTE);
        requests.requests.with_label_values(&[method, route, class_of(status)]).inc();
        let duration = duration.as_secs_f64();
        requests.duration.with_label_values(&[method, route]).observe(duration);
    }
}

fn class_of(status: u16) -> &'static str {
    match status {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}
