//! Writes lines to standard error, on a thread of its own.
//!
//! Who logs never waits for the writing: lines wait in a bounded buffer, those that do
//! not fit are dropped and counted, and when there is room again a line says how many.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, Record};

use super::line::Shape;

/// Bytes of lines that wait to be written; a line that does not fit is dropped. Two
/// seconds of access lines at ten thousand requests a second.
pub(super) const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long lines gather before they are written. Waking the writer for each one would
/// cost a busy server more than the lines themselves.
const GATHER_TIME: Duration = Duration::from_millis(5);

/// A piece that takes longer than this to write has a reader that does not read.
const STUCK_AFTER: Duration = Duration::from_millis(100);

/// How long to wait where the other end says that it has no room now.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(10);

/// See the module.
pub(super) struct Writer(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Lines have come, or somebody waits for their end.
    is_needed: Condvar,
    /// All that waited has been written.
    is_done: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: String,
    /// Lines that did not fit, and that no line has told of.
    untold: u64,
    /// The writer knows that there is something.
    is_awake: bool,
    /// Since when a piece is being written.
    writing_since: Option<Instant>,
    /// How many wait for the end.
    flushers: usize,
}

impl State {
    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.untold == 0 && self.writing_since.is_none()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Starts the thread. Without one, lines are dropped when the buffer is full.
    pub(super) fn start(shape: Shape) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            is_needed: Condvar::new(),
            is_done: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let of_thread = Arc::clone(&shared);
        let started = std::io::stderr().as_fd().try_clone_to_owned().and_then(|descriptor| {
            let run = move || run(&of_thread, &mut File::from(descriptor), shape);
            std::thread::Builder::new().name("log".to_owned()).spawn(run)
        });
        if let Err(error) = started {
            eprintln!("signalbox: there will be no log: {error}");
        }
        Self(shared)
    }

    /// Puts a line, with its end, on its way; or drops it.
    pub(super) fn put(&self, line: &str) {
        let mut state = self.0.lock();
        if state.waiting.len() + line.len() > WAITING_BYTES_MAX {
            state.untold += 1;
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.waiting.push_str(line);
        if !std::mem::replace(&mut state.is_awake, true) {
            drop(state);
            self.0.is_needed.notify_one();
        }
    }

    /// Waits until all is written, or the time is up.
    pub(super) fn flush(&self, time_limit: Duration) {
        let mut state = self.0.lock();
        state.flushers += 1;
        self.0.is_needed.notify_one();
        let wait = self.0.is_done.wait_timeout_while(state, time_limit, |state| !state.is_done());
        let (mut state, _) = wait.unwrap_or_else(PoisonError::into_inner);
        state.flushers -= 1;
    }

    /// Whether nobody reads.
    pub(super) fn is_stuck(&self) -> bool {
        self.0.lock().writing_since.is_some_and(|since| since.elapsed() > STUCK_AFTER)
    }

    /// Lines that were dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.0.lock().waiting.len()
    }
}

/// Writes for as long as the process lives.
fn run(shared: &Shared, output: &mut File, shape: Shape) {
    let mut piece = String::new();
    loop {
        let untold = take(shared, &mut piece);
        if untold > 0 {
            tell_dropped(untold, shape, &mut piece);
        }
        if write_all(output, piece.as_bytes()).is_err() {
            // Nobody is at the other end: all of it is lost.
            let lines = piece.bytes().filter(|b| *b == b'\n').count() as u64;
            shared.dropped.fetch_add(lines - u64::from(untold > 0), Ordering::Relaxed);
        }
        piece.clear();
    }
}

/// Waits for lines and takes all that there are, and how many were dropped after them.
fn take(shared: &Shared, piece: &mut String) -> u64 {
    let mut state = shared.lock();
    state.writing_since = None;
    while state.waiting.is_empty() && state.untold == 0 {
        shared.is_done.notify_all();
        state.is_awake = false;
        state = shared.is_needed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    let nobody_waits = |state: &mut State| state.flushers == 0;
    let gather = shared.is_needed.wait_timeout_while(state, GATHER_TIME, nobody_waits);
    (state, _) = gather.unwrap_or_else(PoisonError::into_inner);
    state.is_awake = true;
    state.writing_since = Some(Instant::now());
    std::mem::swap(&mut state.waiting, piece);
    std::mem::take(&mut state.untold)
}

fn tell_dropped(count: u64, shape: Shape, piece: &mut String) {
    let fields = [("count", count)];
    let mut record = Record::builder();
    record.level(Level::Warn).target(module_path!()).key_values(&fields);
    shape.write(&record.args(format_args!("log lines were dropped")).build(), piece);
}

/// Like `Write::write_all`, but waits for an end that does not block and has no room.
fn write_all(output: &mut File, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(NO_ROOM_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
