//! Forgets what has outlived its time: idempotency keys, and events, if they may.
//!
//! Tasks of the node that writes the log, on the threads for blocking calls. What cannot
//! be forgotten for now is forgotten at a later turn.

use std::time::Duration;

use actix::ArbiterHandle;

use super::{PipelineConfig, blocking};
use crate::jobs::Timestamp;
use crate::store::{IDEMPOTENCY_KEY_LIFETIME_MILLIS, PURGED_KEYS_MAX, Store, StoreError};

/// How often outlived idempotency keys are removed.
const KEY_PURGE_INTERVAL: Duration = Duration::from_secs(600);

/// Events per transaction: on SQLite nobody else writes meanwhile, which is some ten
/// milliseconds.
const TRIM_EVENTS_MAX: usize = 500;

/// Between two such transactions, so that those who wait to write get their turn, and
/// the disk is theirs for most of the time.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the tasks, which end with the arbiter.
pub(super) fn start(store: &Store, config: &PipelineConfig, arbiter: &ArbiterHandle) {
    arbiter.spawn(forget_keys(store.clone()));
    if let Some(age) = config.event_retention {
        arbiter.spawn(forget_events(store.clone(), age, config.retention_interval));
    }
}

async fn forget_keys(store: Store) {
    let mut ticks = tokio::time::interval(KEY_PURGE_INTERVAL);
    loop {
        ticks.tick().await;
        let before = Timestamp::now().saturating_add_millis(-IDEMPOTENCY_KEY_LIFETIME_MILLIS);
        match repeat(&store, PURGED_KEYS_MAX, move |s| s.jobs.purge_idempotency_keys(before)).await
        {
            Ok(0) => {}
            Ok(count) => log::debug!(count; "forgot outlived idempotency keys"),
            Err(error) => log::warn!(error:%; "outlived idempotency keys stay for now"),
        }
    }
}

async fn forget_events(store: Store, age: Duration, interval: Duration) {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        let before = Timestamp::now().saturating_add_millis(-age);
        match repeat(&store, TRIM_EVENTS_MAX, move |store| trim(store, before)).await {
            Ok(0) => {}
            Ok(count) => log::info!(count, before:%; "forgot outlived events"),
            Err(error) => log::warn!(error:%; "outlived events stay for now"),
        }
    }
}

/// Forgets a bounded number at a time, as long as there are as many, if this node is the
/// one to do it. Answers how many.
async fn repeat(
    store: &Store,
    bound: usize,
    forget: impl Fn(&Store) -> Result<usize, StoreError> + Clone + Send + 'static,
) -> Result<usize, StoreError> {
    let mut forgotten = 0;
    loop {
        let (store, forget) = (store.clone(), forget.clone());
        let some = move || if store.jobs.leads_logging()? { forget(&store) } else { Ok(0) };
        let count = blocking(some).await?;
        forgotten += count;
        if count < bound {
            return Ok(forgotten);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the outbox still holds may be logged once more, when a log of its own has it
/// already: behind events that are gone, it would stand alone.
fn trim(store: &Store, before: Timestamp) -> Result<usize, StoreError> {
    let (unlogged_from, last) = store.jobs.outbox_start()?;
    let last = unlogged_from.map_or(last, |first| first - 1);
    store.log.trim(before, last, TRIM_EVENTS_MAX)
}
