//! Cuts the connections of clients that are too slow.
//!
//! actix-web gives the head of a connection's first request a time, and no other head; and
//! it waits for as long as a client reads a little of its answer now and then. Here each
//! connection has a phase and the time when that began; a look at all of them, once a
//! second, aborts the sockets of those that stay in one for too long. Handlers, and answers
//! that are endless by intention, have bounds of their own.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Extensions;
use bytes::Bytes;
use socket2::Socket;

use super::limits::Limits;
use crate::pipeline::{Limit, Metrics};

/// How long a connection stays open that has no request.
pub const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How often all connections are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A piece of an answer. What has been handed over counts as read, so that a long answer
/// must not be one piece.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub struct ConnectionWatch {
    connections: Mutex<Vec<Weak<Watched>>>,
    began_at: Instant,
    idle_max: Duration,
    answer_max: Duration,
    metrics: Arc<Metrics>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Watched {
    socket: Arc<Socket>,
    phase: AtomicU8,
    /// Milliseconds since the watch began.
    since: AtomicU64,
    watch: Weak<ConnectionWatch>,
}

/// Nothing has come since the last answer, or not all of a head.
const IDLE: u8 = 0;
/// A request is being handled, or has an answer that is endless by intention.
const BUSY: u8 = 1;
/// An answer is on its way.
const ANSWERING: u8 = 2;

impl ConnectionWatch {
    /// Watches nothing yet.
    #[must_use]
    pub fn new(limits: &Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            connections: Mutex::default(),
            began_at: Instant::now(),
            idle_max: KEEP_ALIVE + limits.head_timeout,
            answer_max: limits.response_timeout,
            metrics,
        })
    }

    /// Watches a new connection; for `HttpServer::on_connect`, once its socket is among what
    /// is known of it.
    pub fn add(self: &Arc<Self>, connection: &mut Extensions) {
        let Some(socket) = connection.get::<Arc<Socket>>().map(Arc::clone) else {
            return;
        };
        let watched = Arc::new(Watched {
            socket,
            phase: AtomicU8::new(IDLE),
            since: AtomicU64::new(self.now_millis()),
            watch: Arc::downgrade(self),
        });
        self.lock().push(Arc::downgrade(&watched));
        connection.insert(watched);
    }

    /// Looks at all connections, again and again.
    pub async fn sweep_forever(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.sweep();
        }
    }

    fn sweep(&self) {
        let now = self.now_millis();
        self.lock().retain(|connection| {
            let Some(connection) = connection.upgrade() else {
                return false;
            };
            let time_max = match connection.phase.load(Ordering::Acquire) {
                IDLE => self.idle_max,
                ANSWERING => self.answer_max,
                _ => return true,
            };
            let since = connection.since.load(Ordering::Acquire);
            let is_late = Duration::from_millis(now.saturating_sub(since)) > time_max;
            if is_late {
                self.metrics.refused(Limit::SlowClients);
                connection.abort();
            }
            !is_late
        });
    }

    fn now_millis(&self) -> u64 {
        u64::try_from(self.began_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Watched>>> {
        // No code that holds the lock panics half way through a change.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn enter(&self, phase: u8) {
        if let Some(watch) = self.watch.upgrade() {
            self.since.store(watch.now_millis(), Ordering::Release);
        }
        self.phase.store(phase, Ordering::Release);
    }

    /// A request has come.
    pub(super) fn begin(&self) {
        self.enter(BUSY);
    }

    /// Its answer, watched. One that is endless is watched by whoever writes it.
    pub(super) fn answer(self: Arc<Self>, body: BoxBody, is_endless: bool) -> WatchedBody {
        if !is_endless {
            self.enter(ANSWERING);
        }
        WatchedBody { body, rest: Bytes::new(), connection: self }
    }

    /// Whatever is still to be sent goes nowhere; actix-web finds the socket closed.
    fn abort(&self) {
        // A socket that is closed by now is what is wanted.
        let _ = self.socket.set_linger(Some(Duration::ZERO));
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

/// An answer's body, in pieces.
pub(super) struct WatchedBody {
    body: BoxBody,
    rest: Bytes,
    connection: Arc<Watched>,
}

impl MessageBody for WatchedBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_next(context)) {
                Some(Ok(bytes)) => self.rest = bytes,
                other => return Poll::Ready(other),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES_MAX);
        Poll::Ready(Some(Ok(self.rest.split_to(length))))
    }
}

impl Drop for WatchedBody {
    /// The answer has been handed over, or nobody wants it.
    fn drop(&mut self) {
        self.connection.enter(IDLE);
    }
}
