//! Log lines: one per thing that happened, to standard error. And spans: pieces of work
//! that belong together, for a collector.
//!
//! A thread that logs formats its line (`line`) and puts it into a bounded queue; a
//! thread of its own writes (`writer`). So a reader of standard error that is slow, or
//! gone, costs lines and not requests.

mod line;
#[cfg(feature = "opentelemetry")]
mod otlp;
#[cfg(feature = "opentelemetry")]
mod spans;
#[cfg(not(feature = "opentelemetry"))]
#[path = "no_spans.rs"]
mod spans;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use env_filter::Filter;
use log::{Level, Log, Metadata, Record};

pub use self::spans::{Span, TraceGuard, endpoint_fault, span_counts, start_traces};

use self::line::Shape;
use self::writer::Writer;
use crate::config::LogFormat;

/// The target of lines about requests and connections, one for each.
pub const ACCESS: &str = "signalbox::access";

/// How a piece of work came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Somebody asked from outside.
    Server,
    /// It is a part of another one.
    Internal,
}

/// What became of spans since the start. Those that ended and were neither sent nor failed
/// wait, or found no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanCounts {
    /// Spans that are to be told of.
    pub ended: u64,
    /// Those that a collector took.
    pub sent: u64,
    /// Those that it did not take.
    pub failed: u64,
}

/// What is logged when `RUST_LOG` does not say.
const DEFAULT_LEVELS: &str = "info,actix_server=warn";

/// How long an end waits until everything is written.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// How long a panic waits until its message is written: the process may end with it.
const PANIC_FLUSH_TIME_MAX: Duration = Duration::from_millis(50);

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Has what was logged written when it is dropped, unless that takes longer than a second.
#[derive(Debug)]
#[must_use = "what is logged last would be lost"]
pub struct LogGuard(());

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(logger) = LOGGER.get() {
            logger.writer.flush(FLUSH_TIME_MAX);
        }
    }
}

/// What became of log lines since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Lines by level: error, warn, info, debug, trace.
    pub lines: [u64; 5],
    /// Of them, those that nobody will read.
    pub dropped: u64,
    /// Bytes that wait to be written.
    pub waiting_bytes: usize,
    /// How many may.
    pub waiting_bytes_max: usize,
}

/// Starts logging: levels by `RUST_LOG`, `info` without it. Called twice, the first counts.
pub fn start(format: LogFormat) -> LogGuard {
    let levels = std::env::var("RUST_LOG").ok().filter(|levels| !levels.is_empty());
    let mut filter = env_filter::Builder::new();
    filter.parse(levels.as_deref().unwrap_or(DEFAULT_LEVELS));
    let shape = match format {
        LogFormat::Json => Shape::Json,
        LogFormat::Text => {
            let is_seen = std::io::stderr().is_terminal();
            Shape::Text { has_colours: is_seen && std::env::var_os("NO_COLOR").is_none() }
        }
    };
    let filter = filter.build();
    let level = filter.filter();
    let logger = Logger { filter, shape, writer: Writer::start(shape), lines: Default::default() };
    if LOGGER.set(logger).is_ok()
        && let Some(logger) = LOGGER.get()
        && log::set_logger(logger).is_ok()
    {
        log::set_max_level(level);
        std::panic::set_hook(Box::new(log_panic));
    }
    LogGuard(())
}

/// What became of log lines; nothing where logging was not started.
#[must_use]
pub fn counts() -> LogCounts {
    LOGGER.get().map(Logger::counts).unwrap_or_default()
}

struct Logger {
    filter: Filter,
    shape: Shape,
    writer: Writer,
    lines: [AtomicU64; 5],
}

impl Logger {
    fn counts(&self) -> LogCounts {
        LogCounts {
            lines: std::array::from_fn(|level| self.lines[level].load(Ordering::Relaxed)),
            dropped: self.writer.dropped(),
            waiting_bytes: self.writer.waiting_bytes(),
            waiting_bytes_max: writer::WAITING_BYTES_MAX,
        }
    }
}

thread_local! {
    /// The line that the thread is writing.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.filter.matches(record) {
            return;
        }
        self.lines[place_of(record.level())].fetch_add(1, Ordering::Relaxed);
        let put = |line: &mut String| {
            line.clear();
            self.shape.write(record, line);
            self.writer.put(line);
        };
        // A value may log while it is written, and a thread may while it ends.
        let is_put = LINE.try_with(|line| line.try_borrow_mut().map(|mut line| put(&mut line)));
        if !matches!(is_put, Ok(Ok(()))) {
            put(&mut String::new());
        }
    }

    fn flush(&self) {
        self.writer.flush(FLUSH_TIME_MAX);
    }
}

fn place_of(level: Level) -> usize {
    match level {
        Level::Error => 0,
        Level::Warn => 1,
        Level::Info => 2,
        Level::Debug => 3,
        Level::Trace => 4,
    }
}

/// A panic is a line like any other; with `RUST_BACKTRACE` it says how it came to that.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    let location = panic.location().map(ToString::to_string);
    log::error!(
        target: "signalbox::panic",
        thread = thread.name().unwrap_or("unnamed"), location = location.as_deref(),
        panic = panic.payload_as_str().unwrap_or("of another type than text"),
        backtrace = backtrace.map(|backtrace| backtrace.to_string()).as_deref();
        "a thread panicked"
    );
    if let Some(logger) = LOGGER.get()
        && !logger.writer.is_stuck()
    {
        logger.writer.flush(PANIC_FLUSH_TIME_MAX);
    }
}
