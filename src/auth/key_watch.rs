//! Keeps an issuer's keys at hand, and asks their source again when they may be old.
//!
//! One thread reads the source, so that no worker ever waits for it: when what it said
//! grows old, when it failed, and when a token names a key that is not there. The last good
//! keys stay for as long as there are no better ones. Whoever brings a token with a new key
//! waits for the one read that all of them share; how long, and how many, is bounded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::denial::{Denial, Reason};
use super::keys::KeySet;
use super::source::{Answer, Source};

/// How often a source of keys is asked, and how long is waited for it.
#[derive(Debug, Clone)]
pub struct JwksTimes {
    /// How often it is asked at most for tokens whose keys are not known, in however large
    /// numbers they come. Default 2 s.
    pub ask_interval: Duration,
    /// How long a request waits for the keys of its token. Default 5 s, which a read of
    /// [`timeout`](Self::timeout) that begins after `ask_interval` may pass.
    pub wait_max: Duration,
    /// How long a connection to the source may take. Default 2 s.
    pub connect_timeout: Duration,
    /// How long a read may take in all. Default 5 s.
    pub timeout: Duration,
    /// How long keys are good for at least, whatever the source says. Default a minute.
    pub refresh_min: Duration,
    /// The same at most. Default an hour.
    pub refresh_max: Duration,
    /// The same where the source does not say. Default five minutes.
    pub refresh_default: Duration,
    /// The pause after a first failure; it doubles. Default half a second.
    pub retry_min: Duration,
    /// What it grows to. Default 10 s.
    pub retry_max: Duration,
    /// How often is looked whether a file has changed. Default 1 s.
    pub file_interval: Duration,
}

impl Default for JwksTimes {
    fn default() -> Self {
        Self {
            ask_interval: Duration::from_secs(2),
            wait_max: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            refresh_min: Duration::from_secs(60),
            refresh_max: Duration::from_secs(60 * 60),
            refresh_default: Duration::from_secs(5 * 60),
            retry_min: Duration::from_millis(500),
            retry_max: Duration::from_secs(10),
            file_interval: Duration::from_secs(1),
        }
    }
}

/// Requests that wait for keys at the same time; the next one is told to try again.
const WAITING_MAX: usize = 256;

/// How it stands with the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysState {
    /// The source has been read, as lately as it should.
    Current,
    /// The last read failed; those of an earlier one are in use.
    Kept,
    /// There are none.
    Missing,
}

/// Numbers about the keys.
#[derive(Debug, Clone, Copy)]
pub struct KeysReport {
    /// How it stands with them.
    pub state: KeysState,
    /// How many there are.
    pub keys: usize,
    /// Since the source last confirmed them; since it was first asked, while there are none.
    pub age: Duration,
    /// Reads that brought keys.
    pub reads: u64,
    /// Reads that did not.
    pub failed_reads: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct KeyWatch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    times: JwksTimes,
    begun_at: Instant,
    current: watch::Sender<Current>,
    demand: Mutex<Demand>,
    wake: Condvar,
    places: Arc<Semaphore>,
    reads: AtomicU64,
    failed_reads: AtomicU64,
}

/// What the last read left.
#[derive(Debug, Clone, Default)]
struct Current {
    keys: Option<Arc<KeySet>>,
    /// Reads that have ended, well or not.
    ended: u64,
    is_confirmed: bool,
    confirmed_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Demand {
    is_asked: bool,
    is_stopped: bool,
    is_reading: bool,
    /// Reads that have begun.
    begun: u64,
}

impl KeyWatch {
    /// Begins to watch. A file is read at once; a URL may be away for now.
    ///
    /// # Errors
    /// Why the source cannot be used, or its file cannot.
    pub(super) fn start(name: &str, times: JwksTimes) -> Result<Self, String> {
        let mut source = Source::new(name, times.connect_timeout, times.timeout)?;
        let shared = Arc::new(Shared {
            times,
            begun_at: Instant::now(),
            current: watch::Sender::default(),
            demand: Mutex::default(),
            wake: Condvar::new(),
            places: Arc::new(Semaphore::new(WAITING_MAX)),
            reads: AtomicU64::new(0),
            failed_reads: AtomicU64::new(0),
        });
        let mut keeper = Keeper { shared: Arc::clone(&shared), failures: 0, last: None };
        let mut due = Instant::now();
        if source.is_file() {
            shared.begin();
            keeper.end(source.read())?;
            due += shared.times.file_interval;
        } else if source.is_open_to_others() {
            log::warn!(
                "the keys of sign-in come over plain http: others on the way could put theirs in their place"
            );
        }
        let thread = std::thread::Builder::new().name("sign-in-keys".to_owned());
        thread.spawn(move || keeper.run(source, due)).map_err(|error| error.to_string())?;
        Ok(Self { shared })
    }

    /// The keys that there are, and how many reads brought that about.
    pub(super) fn current(&self) -> (Option<Arc<KeySet>>, u64) {
        let current = self.shared.current.borrow();
        (current.keys.clone(), current.ended)
    }

    /// Has the source asked, for somebody whose key is not among those that so many reads
    /// have brought.
    pub(super) fn ask(&self) -> Result<Waiting, Denial> {
        let place = Arc::clone(&self.shared.places).try_acquire_owned();
        let place = place.map_err(|_| Denial::KeysUnavailable)?;
        let rounds = self.shared.current.subscribe();
        let mut demand = self.shared.demand();
        let enough = if rounds.borrow().keys.is_some() {
            demand.is_asked = true;
            self.shared.wake.notify_all();
            // One that runs may have been answered before the key was there.
            demand.begun + 1
        } else if demand.is_reading || demand.begun == 0 {
            demand.begun.max(1)
        } else {
            // It is asked again by itself, as soon as makes sense.
            return Err(Denial::KeysUnavailable);
        };
        drop(demand);
        let until = tokio::time::Instant::now() + self.shared.times.wait_max;
        Ok(Waiting { rounds, enough, until, _place: place })
    }

    pub(super) fn report(&self) -> KeysReport {
        let current = self.shared.current.borrow();
        let state = match (&current.keys, current.is_confirmed) {
            (None, _) => KeysState::Missing,
            (Some(_), true) => KeysState::Current,
            (Some(_), false) => KeysState::Kept,
        };
        KeysReport {
            state,
            keys: current.keys.as_ref().map_or(0, |keys| keys.len()),
            age: current.confirmed_at.unwrap_or(self.shared.begun_at).elapsed(),
            reads: self.shared.reads.load(Ordering::Relaxed),
            failed_reads: self.shared.failed_reads.load(Ordering::Relaxed),
        }
    }
}

impl Drop for KeyWatch {
    fn drop(&mut self) {
        self.shared.demand().is_stopped = true;
        self.shared.wake.notify_all();
    }
}

/// Somebody who waits for keys.
pub(super) struct Waiting {
    rounds: watch::Receiver<Current>,
    /// After so many reads there is no more hope.
    enough: u64,
    until: tokio::time::Instant,
    _place: OwnedSemaphorePermit,
}

impl Waiting {
    /// The keys after more reads than those that were seen.
    pub(super) async fn more(&mut self, seen: u64) -> Result<(Option<Arc<KeySet>>, u64), Denial> {
        let is_over = seen >= self.enough;
        let next = self.rounds.wait_for(|current| is_over || current.ended > seen);
        let Ok(Ok(current)) = tokio::time::timeout_at(self.until, next).await else {
            return Err(Denial::KeysUnavailable);
        };
        match (is_over, current.is_confirmed) {
            (false, _) => Ok((current.keys.clone(), current.ended)),
            (true, true) => Err(Reason::UnknownKey.into()),
            (true, false) => Err(Denial::KeysUnavailable),
        }
    }
}

impl Shared {
    fn demand(&self) -> MutexGuard<'_, Demand> {
        // No code that holds the lock panics half way through a change.
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the source is to be read: when it is due, or somebody asks and it was
    /// not read just now. Answers whether somebody asks; none when it is over.
    fn wait(&self, due: Instant, last: Option<Instant>) -> Option<bool> {
        let mut demand = self.demand();
        loop {
            if demand.is_stopped {
                return None;
            }
            let now = Instant::now();
            let asked = last.map_or(now, |last| last + self.times.ask_interval);
            let next = if demand.is_asked { due.min(asked) } else { due };
            let Some(left) = next.checked_duration_since(now).filter(|left| !left.is_zero()) else {
                return Some(demand.is_asked);
            };
            let waited = self.wake.wait_timeout(demand, left);
            demand = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn begin(&self) {
        let mut demand = self.demand();
        demand.is_asked = false;
        demand.is_reading = true;
        demand.begun += 1;
    }
}

/// How many keys a read brought, and which it passed over; or why it brought none.
type Outcome = Result<(usize, String), String>;

/// The thread that reads.
struct Keeper {
    shared: Arc<Shared>,
    /// In a row.
    failures: u32,
    last: Option<Outcome>,
}

impl Keeper {
    fn run(mut self, mut source: Source, mut due: Instant) {
        let mut last = None;
        while let Some(is_asked) = self.shared.wait(due, last) {
            if !is_asked && source.is_as_it_was() {
                due = Instant::now() + self.shared.times.file_interval;
                self.confirm();
                continue;
            }
            last = Some(Instant::now());
            self.shared.begin();
            let answer = catch_unwind(AssertUnwindSafe(|| source.read()));
            let answer =
                answer.unwrap_or_else(|_| Err("cannot be read: the reader panicked".to_owned()));
            let ended = self.end(answer);
            let pause = match ended {
                _ if source.is_file() => self.shared.times.file_interval,
                Ok(age) => age,
                Err(_) => self.retry_pause(),
            };
            due = Instant::now() + pause;
        }
    }

    /// The file has not changed, so what was read of it still is so.
    fn confirm(&self) {
        self.shared.current.send_if_modified(|current| {
            if current.is_confirmed {
                current.confirmed_at = Some(Instant::now());
            }
            false
        });
    }

    /// Takes what a read brought; answers for how long it is good.
    fn end(&mut self, answer: Result<Answer, String>) -> Result<Duration, String> {
        match answer {
            Ok(Answer { document, max_age }) => {
                self.shared.reads.fetch_add(1, Ordering::Relaxed);
                self.failures = 0;
                let (count, passed_over) = (document.keys.len(), document.passed_over.join("; "));
                if self.is_news(&Ok((count, passed_over.clone()))) {
                    log::info!(keys = count, passed_over; "the keys of sign-in are at hand");
                }
                self.publish(Some(document.keys));
                let times = &self.shared.times;
                let age = max_age.unwrap_or(times.refresh_default);
                Ok(age.clamp(times.refresh_min, times.refresh_max))
            }
            Err(error) => {
                self.shared.failed_reads.fetch_add(1, Ordering::Relaxed);
                self.failures = self.failures.saturating_add(1);
                if self.is_news(&Err(error.clone())) {
                    log::warn!(error = error.as_str(); "the keys of sign-in cannot be read");
                }
                self.publish(None);
                Err(error)
            }
        }
    }

    fn publish(&self, keys: Option<KeySet>) {
        // Before the round is seen to have ended.
        self.shared.demand().is_reading = false;
        self.shared.current.send_modify(|current| {
            current.ended += 1;
            current.is_confirmed = keys.is_some();
            if let Some(keys) = keys {
                current.keys = Some(Arc::new(keys));
                current.confirmed_at = Some(Instant::now());
            }
        });
    }

    fn retry_pause(&self) -> Duration {
        let times = &self.shared.times;
        let doubled = 2_u32.saturating_pow(self.failures.saturating_sub(1));
        times.retry_min.saturating_mul(doubled).min(times.retry_max)
    }

    /// Whether the last read did not end like this: a source that is away is said to be so
    /// once.
    fn is_news(&mut self, outcome: &Outcome) -> bool {
        let is_news = self.last.as_ref() != Some(outcome);
        if is_news {
            self.last = Some(outcome.clone());
        }
        is_news
    }
}
