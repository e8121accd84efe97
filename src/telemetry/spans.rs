//! Pieces of work, told to an OpenTelemetry collector.
//!
//! Nothing is told unless a collector is configured. A [`Span`] is ended when it is
//! dropped, and goes into a bounded queue; a thread of its own sends what is there, as OTLP
//! over HTTP. What finds no room, or cannot be sent, is dropped: nobody waits for it.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData,
};

use super::otlp::Client;
use super::{SpanCounts, SpanKind};
use crate::jobs::TraceContext;

/// Spans that wait to be sent; one more is dropped. About two megabytes.
const WAITING_SPANS_MAX: usize = 4_096;

/// Spans of one request to the collector.
const SENT_SPANS_MAX: usize = 512;

/// How often what waits is sent, if it is not enough for a request of its own before.
const SEND_INTERVAL: Duration = Duration::from_secs(1);

/// How long an end waits until what waits is sent.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

static ENDED: AtomicU64 = AtomicU64::new(0);
static SENT: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

/// What became of the spans since the start.
#[must_use]
pub fn span_counts() -> SpanCounts {
    // In this order none seems to be sent that has not ended.
    let (sent, failed) = (SENT.load(Ordering::Relaxed), FAILED.load(Ordering::Relaxed));
    SpanCounts { ended: ENDED.load(Ordering::Relaxed), sent, failed }
}

/// Counts what is sent.
#[derive(Debug)]
struct Counting(SpanExporter);

impl opentelemetry_sdk::trace::SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let outcome = self.0.export(batch).await;
        let counter = if outcome.is_ok() { &SENT } else { &FAILED };
        counter.fetch_add(count, Ordering::Relaxed);
        if let Err(error) = &outcome {
            log::debug!(error:%, spans = count; "spans could not be sent");
        }
        outcome
    }

    fn shutdown_with_timeout(&self, time_limit: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(time_limit)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// Sends the spans that wait when it is dropped, unless that takes longer than two seconds.
#[must_use = "the last spans would be lost"]
pub struct TraceGuard(Option<SdkTracerProvider>);

impl Drop for TraceGuard {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown_with_timeout(STOP_TIME_MAX)
        {
            log::warn!(error:%; "the last spans were not sent");
        }
    }
}

/// Why a collector at this address cannot be used; none if it can.
#[must_use]
pub fn endpoint_fault(endpoint: &str) -> Option<String> {
    let rest = endpoint.strip_prefix("http://");
    let is_good = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#', '@']));
    (!is_good).then(|| format!("'{endpoint}' is not of the form http://HOST:PORT"))
}

/// Has spans told to the collector at this address from now on, as those of this node: so
/// many of the traces that begin here, and of others those that are told of by whoever
/// began them. Without an address nothing is told. Called twice, the first counts.
///
/// # Errors
/// What is wrong with the address.
pub fn start_traces(
    endpoint: Option<&str>,
    ratio: f64,
    node_id: &str,
) -> Result<TraceGuard, String> {
    let Some(endpoint) = endpoint else {
        return Ok(TraceGuard(None));
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new())
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|error| error.to_string())?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(WAITING_SPANS_MAX)
        .with_max_export_batch_size(SENT_SPANS_MAX)
        .with_scheduled_delay(SEND_INTERVAL)
        .build();
    let resource = Resource::builder_empty()
        .with_service_name("signalbox")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", node_id.to_owned()))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(
            BatchSpanProcessor::builder(Counting(exporter)).with_batch_config(batches).build(),
        )
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_resource(resource)
        .build();
    let _ = TRACER.set(provider.tracer("signalbox"));
    Ok(TraceGuard(Some(provider)))
}

/// A piece of work. It begins when it is made, and ends when it is dropped.
#[derive(Debug, Default)]
pub struct Span(Option<opentelemetry_sdk::trace::Span>);

impl Span {
    /// A part of a trace, or the first of a new one.
    #[must_use]
    pub fn start(name: &'static str, kind: SpanKind, parent: Option<TraceContext>) -> Self {
        TRACER.get().map_or(Self(None), |tracer| Self::of(tracer, name, kind, parent, None))
    }

    /// A part of a trace that began earlier; nothing where there is no trace.
    #[must_use]
    pub fn since(began: SystemTime, name: &'static str, parent: Option<TraceContext>) -> Self {
        match (TRACER.get(), parent) {
            (Some(tracer), Some(_)) => {
                Self::of(tracer, name, SpanKind::Internal, parent, Some(began))
            }
            _ => Self(None),
        }
    }

    fn of(
        tracer: &SdkTracer,
        name: &'static str,
        kind: SpanKind,
        parent: Option<TraceContext>,
        began: Option<SystemTime>,
    ) -> Self {
        let kind = match kind {
            SpanKind::Server => opentelemetry::trace::SpanKind::Server,
            SpanKind::Internal => opentelemetry::trace::SpanKind::Internal,
        };
        let builder = SpanBuilder { start_time: began, ..SpanBuilder::from_name(name) };
        let context = parent.map_or_else(Context::new, |parent| {
            Context::new().with_remote_span_context(remote(parent))
        });
        Self(Some(builder.with_kind(kind).start_with_context(tracer, &context)))
    }

    /// Where its children belong; none where nothing is told.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        let context = self.0.as_ref()?.span_context();
        context.is_valid().then(|| TraceContext {
            trace_id: context.trace_id().to_bytes(),
            span_id: context.span_id().to_bytes(),
            is_sampled: context.is_sampled(),
        })
    }

    /// Says something about it.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// It is better known by another name.
    pub fn rename(&mut self, name: impl FnOnce() -> String) {
        if let Some(span) = &mut self.0
            && span.is_recording()
        {
            span.update_name(Cow::Owned(name()));
        }
    }

    /// It did not do what it was for, through no fault of who asked.
    pub fn fail(&mut self) {
        if let Some(span) = &mut self.0 {
            span.set_status(Status::error(""));
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.0.as_ref().is_some_and(|span| span.is_recording()) {
            ENDED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn remote(parent: TraceContext) -> SpanContext {
    let flags = if parent.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let trace_id = TraceId::from_bytes(parent.trace_id);
    SpanContext::new(trace_id, SpanId::from_bytes(parent.span_id), flags, true, TraceState::NONE)
}
