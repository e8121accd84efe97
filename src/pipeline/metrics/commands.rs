//! Commands: how many came to what end, how long they took, how many shared a commit.

use std::sync::Arc;
use std::time::Instant;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts};

use super::{DURATION_BUCKETS, Metrics, VALID};
use crate::jobs::{Command, Receipt};
use crate::pipeline::command_error::CommandError;

/// Upper bounds in commands; the last is the default of what may share a transaction.
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// The names of commands.
const COMMANDS: [&str; 5] =
    ["create_job", "assign_job", "reschedule_job", "cancel_job", "create_contractor"];

/// Results that are no refusals. They stand on the page from the beginning, so that the
/// first of them is seen as a rise.
const RESULTS: [&str; 6] =
    ["accepted", "repeated", "busy", "store_unavailable", "outcome_unknown", "internal"];

#[derive(Debug)]
pub(super) struct CommandMetrics {
    commands: IntCounterVec,
    duration: HistogramVec,
    batch: Histogram,
}

impl CommandMetrics {
    pub(super) fn new() -> Self {
        let commands = Opts::new("signalbox_commands_total", "Commands answered, by result.");
        let commands = IntCounterVec::new(commands, &["command", "result"]).expect(VALID);
        let duration = HistogramOpts::new(
            "signalbox_command_duration_seconds",
            "From a command's submission to its answer; those refused as busy are left out.",
        );
        let duration = duration.buckets(DURATION_BUCKETS.to_vec());
        let duration = HistogramVec::new(duration, &["command"]).expect(VALID);
        let batch = HistogramOpts::new(
            "signalbox_batch_commands",
            "Commands that shared a committed transaction.",
        );
        let batch = Histogram::with_opts(batch.buckets(BATCH_BUCKETS.to_vec())).expect(VALID);
        for command in COMMANDS {
            duration.with_label_values(&[command]);
            for result in RESULTS {
                commands.with_label_values(&[command, result]);
            }
        }
        Self { commands, duration, batch }
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 3] {
        [
            Box::new(self.commands.clone()),
            Box::new(self.duration.clone()),
            Box::new(self.batch.clone()),
        ]
    }
}

impl Metrics {
    /// A command is submitted.
    pub(in crate::pipeline) fn begin(self: &Arc<Self>, command: &Command) -> CommandTimer {
        CommandTimer { metrics: Arc::clone(self), command: name_of(command), since: Instant::now() }
    }

    /// A transaction of so many commands has been committed.
    pub(in crate::pipeline) fn committed(&self, commands: usize) {
        // Few: a float has them all.
        let commands = u32::try_from(commands).unwrap_or(u32::MAX);
        self.commands.batch.observe(f64::from(commands));
    }
}

/// A command on its way to its answer. Whoever answers says so, once.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct CommandTimer {
    metrics: Arc<Metrics>,
    command: &'static str,
    pub(in crate::pipeline) since: Instant,
}

impl CommandTimer {
    /// The command's name.
    pub(in crate::pipeline) fn command(&self) -> &'static str {
        self.command
    }

    /// The command is about to be answered so. Before the caller has the answer, so that
    /// nobody knows of an answer that the page does not.
    pub(in crate::pipeline) fn end(
        &self,
        answer: &Result<Receipt, CommandError>,
        is_repeated: bool,
    ) {
        let result = if is_repeated && answer.is_ok() { "repeated" } else { result_of(answer) };
        let metrics = &self.metrics.commands;
        metrics.commands.with_label_values(&[self.command, result]).inc();
        // An answer at once would make an overload look fast.
        if !matches!(answer, Err(CommandError::Busy)) {
            let duration = self.since.elapsed().as_secs_f64();
            metrics.duration.with_label_values(&[self.command]).observe(duration);
        }
    }
}

/// What became of a command that was carried out here, in a word.
pub(in crate::pipeline) fn result_of(answer: &Result<Receipt, CommandError>) -> &'static str {
    match answer {
        Ok(_) => "accepted",
        Err(CommandError::Refused(refusal)) => refusal.code(),
        Err(CommandError::Busy) => "busy",
        Err(CommandError::Unavailable(_)) => "store_unavailable",
        Err(CommandError::OutcomeUnknown(_)) => "outcome_unknown",
        Err(CommandError::Internal(_)) => "internal",
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
