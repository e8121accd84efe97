//! `signalbox events export` and `signalbox events tail`
//!
//! Both write the log as JSON lines, each event as it was sent, straight from the
//! databases: a server may run on them, and need not.

use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::Outcome;
use super::databases::DatabaseArgs;
use crate::jobs::{EventType, JobId, Scope, Sequence};
use crate::store::{self, EventFilter, PAGE_ROWS_MAX, Store, StoreError};

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Write the events that there are, one JSON line each
    Export(EventsArgs),
    /// Write the events that come, one JSON line each, until interrupted
    Tail(EventsArgs),
}

/// Flags of `events export` and `events tail`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(flatten)]
    databases: DatabaseArgs,
    /// Begin behind this sequence [default: export with the first event, tail with the next]
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<Sequence>,
    /// Only events that were announced to this group, such as dispatch/north
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Only events of this type, such as JobCreated
    #[arg(long = "type", value_name = "TYPE", value_parser = event_type)]
    event_type: Option<EventType>,
    /// Only events of this job
    #[arg(long, value_name = "UUID")]
    job_id: Option<JobId>,
}

/// How often `tail` asks the database for what is new.
const TAIL_INTERVAL: Duration = Duration::from_millis(500);

/// How long a page that is being written may take to come to its end after a signal.
const STOP_TIME_MAX: Duration = Duration::from_secs(1);

fn event_type(name: &str) -> Result<EventType, String> {
    let names = EventType::ALL.map(EventType::as_str).join(", ");
    EventType::parse(name).ok_or_else(|| format!("the types are {names}"))
}

/// Writes events to standard output.
pub fn run(command: EventsCommand) -> Outcome {
    match command {
        EventsCommand::Export(args) => export(args),
        EventsCommand::Tail(args) => tail(args),
    }
}

fn export(args: EventsArgs) -> Outcome {
    let after = args.after.unwrap_or(0);
    let mut reader = Reader::open(args, after)?;
    let last = reader.store.jobs.last_sequence()?;
    reader.check_reach(last)?;
    let mut outcome = Ok(());
    while outcome.is_ok() && reader.filter.after < last {
        outcome = reader.write_page(last);
    }
    if matches!(&outcome, Err(Ended::PipeClosed)) {
        return Ok(());
    }
    let (count, reached) = (reader.written, reader.filter.after);
    eprintln!("exported {count} events; resume with --after {reached}");
    Ok(outcome?)
}

fn tail(args: EventsArgs) -> Outcome {
    let from = args.after;
    let mut reader = Reader::open(args, from.unwrap_or(0))?;
    let last = reader.store.jobs.last_sequence()?;
    match from {
        None => reader.filter.after = last,
        Some(_) => reader.check_reach(last)?,
    }
    actix_web::rt::System::new().block_on(async move {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (stop, stopped) = mpsc::channel();
        let (report_end, mut ended) = oneshot::channel();
        // A thread of its own, because a reader of standard output may let it wait for ever.
        std::thread::spawn(move || {
            // Nobody hears it if the stop took too long.
            let _ = report_end.send(reader.follow(&stopped));
        });
        tokio::select! {
            outcome = &mut ended => return Ok(outcome??),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        drop(stop);
        match tokio::time::timeout(STOP_TIME_MAX, ended).await {
            Ok(outcome) => Ok(outcome??),
            Err(_) => Ok(()),
        }
    })
}

/// Why no more events are written.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// Whoever read the output has enough.
    #[error("standard output was closed")]
    PipeClosed,
    #[error("standard output cannot be written: {0}")]
    Output(io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("--after {after} is past the last event, {last}")]
    Ahead { after: Sequence, last: Sequence },
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::PipeClosed } else { Self::Output(error) }
    }
}

/// Reads pages of events and writes them to standard output.
struct Reader {
    store: Store,
    /// Its `after` is up to where everything was written.
    filter: EventFilter,
    written: u64,
}

impl Reader {
    fn open(args: EventsArgs, after: Sequence) -> Result<Self, StoreError> {
        let store = store::open_read_only(&args.databases.config(false))?;
        let filter = EventFilter {
            until: None,
            after,
            group: args.group,
            event_type: args.event_type,
            job_id: args.job_id,
            limit: PAGE_ROWS_MAX,
        };
        Ok(Self { store, filter, written: 0 })
    }

    /// Warns of events that are asked for and were cut from the log. To begin past the
    /// last event is refused: it is a place in another database.
    fn check_reach(&self, last: Sequence) -> Result<(), Ended> {
        let after = self.filter.after;
        if after > last {
            return Err(Ended::Ahead { after, last });
        }
        let any = EventFilter { after, limit: 1, ..EventFilter::default() };
        let first = self.store.events(&Scope::All, &any)?.items;
        let first = first.first().map_or(last + 1, |event| event.sequence);
        if first > after + 1 {
            let (from, to) = (after + 1, first - 1);
            eprintln!("warning: the log no longer holds the events {from} to {to}");
        }
        Ok(())
    }

    /// Writes the next page up to `last`, all of it or nothing that counts.
    fn write_page(&mut self, last: Sequence) -> Result<(), Ended> {
        let page = self.store.events(&Scope::All, &self.filter)?;
        let events = page.items.iter().take_while(|event| event.sequence <= last);
        let mut lines = String::new();
        for event in events.clone() {
            lines.push_str(&event.payload);
            lines.push('\n');
        }
        let mut output = io::stdout().lock();
        output.write_all(lines.as_bytes())?;
        output.flush()?;
        self.written += events.count() as u64;
        self.filter.after = page.sequence.min(last);
        Ok(())
    }

    /// Writes what comes until it is to stop. A database that is away is asked again.
    fn follow(mut self, stopped: &Receiver<()>) -> Result<(), Ended> {
        let mut is_away = false;
        loop {
            let before = self.filter.after;
            match self.write_page(Sequence::MAX) {
                Ok(()) => is_away = false,
                Err(Ended::PipeClosed) => return Ok(()),
                Err(Ended::Store(error @ StoreError::Unavailable(_))) => {
                    if !is_away {
                        eprintln!("warning: {error}");
                    }
                    is_away = true;
                }
                Err(error) => return Err(error),
            }
            let pause = if self.filter.after == before { TAIL_INTERVAL } else { Duration::ZERO };
            if stopped.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                return Ok(());
            }
        }
    }
}
