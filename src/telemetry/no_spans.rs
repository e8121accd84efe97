//! What stands for spans in a build without the feature `opentelemetry`: nothing.

use std::time::SystemTime;

use super::{SpanCounts, SpanKind};
use crate::jobs::TraceContext;

/// Nothing is told.
#[must_use]
pub struct TraceGuard(());

/// Why a collector at this address cannot be used: there is nothing that could use it.
#[must_use]
pub fn endpoint_fault(_: &str) -> Option<String> {
    Some("this build tells no collector: it was made without the feature opentelemetry".to_owned())
}

/// Tells nobody anything.
///
/// # Errors
/// When somebody is to be told.
pub fn start_traces(endpoint: Option<&str>, _: f64, _: &str) -> Result<TraceGuard, String> {
    endpoint.and_then(endpoint_fault).map_or(Ok(TraceGuard(())), Err)
}

/// What became of the spans: there are none.
#[must_use]
pub fn span_counts() -> SpanCounts {
    SpanCounts::default()
}

/// A piece of work that nobody is told of.
#[derive(Debug, Default)]
pub struct Span(());

impl Span {
    /// Nothing.
    #[must_use]
    pub fn start(_: &'static str, _: SpanKind, _: Option<TraceContext>) -> Self {
        Self(())
    }

    /// Nothing.
    #[must_use]
    pub fn since(_: SystemTime, _: &'static str, _: Option<TraceContext>) -> Self {
        Self(())
    }

    /// None: whoever comes next belongs where this would.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        None
    }

    /// Nobody is told.
    pub fn set<T>(&mut self, _: &'static str, _: T) {}

    /// Nobody is told.
    pub fn rename(&mut self, _: impl FnOnce() -> String) {}

    /// Nobody is told.
    pub fn fail(&mut self) {}
}
