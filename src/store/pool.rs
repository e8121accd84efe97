//! A pool of connections that knows how many wait for one.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use r2d2::{ManageConnection, Pool};

/// What a pool is like now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// What its connections are for; each pool of a server has another name.
    pub name: &'static str,
    /// Connections that there are.
    pub open: u32,
    /// Of them, those that nobody uses.
    pub idle: u32,
    /// How many there may be.
    pub open_max: u32,
    /// Callers who wait for one, or for their turn to write.
    pub waiting: usize,
}

/// The names of a database's two pools.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolNames {
    pub(super) writes: &'static str,
    pub(super) reads: &'static str,
}

impl PoolNames {
    /// Of jobs and outbox.
    pub(super) const JOBS: Self = Self { writes: "jobs_write", reads: "jobs_read" };
    /// Of the log, be it in the jobs' database or in another one.
    pub(super) const EVENT_LOG: Self = Self { writes: "event_log_write", reads: "event_log_read" };
}

/// See the module.
#[derive(Clone)]
pub(super) struct CountedPool<M: ManageConnection> {
    name: &'static str,
    pool: Pool<M>,
    waiting: Arc<AtomicUsize>,
}

impl<M: ManageConnection> CountedPool<M> {
    pub(super) fn new(name: &'static str, pool: Pool<M>) -> Self {
        Self { name, pool, waiting: Arc::default() }
    }

    /// The caller waits for as long as the answer lives.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    pub(super) fn counted_state(&self) -> PoolState {
        let r2d2::State { connections, idle_connections, .. } = self.pool.state();
        PoolState {
            name: self.name,
            open: connections,
            idle: idle_connections,
            open_max: self.pool.max_size(),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }
}

impl<M: ManageConnection> Deref for CountedPool<M> {
    type Target = Pool<M>;

    fn deref(&self) -> &Pool<M> {
        &self.pool
    }
}

/// A caller who waits.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
