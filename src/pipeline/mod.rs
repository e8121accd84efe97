//! The way of a command: from its submission to the database, and from there to
//! connections and to the log.
//!
//! ```text
//! CommandQueue -> JobActor -> (transaction) -> GroupRegistry -> connections
//!                                                  |
//!                                                  +-> EventLogWriter -> event_log
//!                    Relay: what the outbox and the log hold and the registry missed
//!                    Backplane: to other nodes' registries, and from their job actors
//! ```
//!
//! Nothing before the commit waits for anything behind it. Every queue is bounded;
//! what does not fit into one behind the commit is dropped there and read again from
//! the outbox. A [`Kept`] actor comes back after a panic.

mod backplane;
mod beginning;
mod command_error;
mod command_queue;
mod event_feed;
mod event_log_writer;
mod group_registry;
mod housekeeping;
mod job_actor;
mod keeper;
mod metrics;
mod neighbours;
mod other_nodes;
mod past_events;
mod progress;
mod recent_events;
mod relay;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::{Actor, Arbiter};
use tokio::sync::Notify;

pub use backplane::{Backplane, redis_url_fault};
pub use command_error::CommandError;
pub use command_queue::CommandQueue;
pub use event_feed::{EventFeed, FeedPart};
pub use event_log_writer::EventLogWriter;
pub use group_registry::{Committed, GroupRegistry};
pub use job_actor::{JobActor, Submit};
pub use keeper::{Kept, Lifeline, Panic};
pub use metrics::{Limit, METRICS_MEDIA_TYPE, Metrics, MetricsPage, Replaying, SignInReport};
pub use neighbours::{Heard, Neighbours};
pub use other_nodes::{CloseUser, OtherNodes};
pub use progress::{PartState, Progress};
pub use recent_events::RelayedEvent;
pub use relay::{CatchUp, Relay};

use backplane::BackplaneParts;
use beginning::Beginning;
use recent_events::RecentEvents;

use crate::jobs::CommittedEvent;
use crate::signalr::HubHandle;
use crate::store::{Store, StoreError};
use crate::telemetry::Span;

/// Bounds and intervals of the pipeline.
#[derive(Debug, Clone)]
pub struct PipelineConfig {
    /// Commands that are accepted and not yet answered; the next one is refused at
    /// once. Default 1,024.
    pub commands_max: usize,
    /// Commands that share one transaction. Default 256: a batch that large takes a
    /// few milliseconds, and a larger one gains no more.
    pub batch_commands_max: usize,
    /// How long a command waits for a database that does not answer, until it is refused
    /// with nothing changed. Default 850 ms, so that its answer is there within a second.
    pub command_time_max: Duration,
    /// Events that wait in memory to be logged; what is more is taken from the
    /// outbox later. Default 10,000, at most 20 MB.
    pub log_queue_events_max: usize,
    /// How long the log writer waits for company before it writes. Default 50 ms: a
    /// transaction per event would take the disk from the commands.
    pub log_linger: Duration,
    /// The longest pause between two tries of a log that is down. Default 5 s.
    pub log_retry_max: Duration,
    /// How often the database is asked for events that the registry missed. Default
    /// 200 ms: that is how long what another node committed may take where nodes have no
    /// other way to each other.
    pub relay_interval: Duration,
    /// `redis://…`, by which nodes tell each other of events. None is by the database
    /// alone.
    pub redis_url: Option<String>,
    /// How old events become in the log before they are forgotten. Default none: they
    /// are kept.
    pub event_retention: Option<Duration>,
    /// How often outlived events are looked for. Default 60 s.
    pub retention_interval: Duration,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            commands_max: 1_024,
            batch_commands_max: 256,
            command_time_max: Duration::from_millis(850),
            log_queue_events_max: 10_000,
            log_linger: Duration::from_millis(50),
            log_retry_max: Duration::from_secs(5),
            relay_interval: Duration::from_millis(200),
            redis_url: None,
            event_retention: None,
            retention_interval: Duration::from_secs(60),
        }
    }
}

/// The running actors.
pub struct Pipeline {
    /// Takes commands.
    pub commands: CommandQueue,
    /// Past events, for those who come back.
    pub feed: EventFeed,
    /// The nodes on the same database.
    pub other_nodes: OtherNodes,
    /// How far events have come.
    pub progress: Arc<Progress>,
    /// Decides nothing, commits everything.
    pub job_actor: Kept<JobActor>,
    /// Hands events to connections.
    pub registry: Kept<GroupRegistry>,
    /// Hands events to the log.
    pub log_writer: Kept<EventLogWriter>,
    /// Brings what the registry missed.
    pub relay: Kept<Relay>,
    /// The way to other nodes, where there is a backplane.
    pub neighbours: Option<Neighbours>,
    /// How many events may wait in memory to be logged.
    log_queue_events_max: usize,
    arbiters: Vec<Arbiter>,
}

impl Pipeline {
    /// Starts the actors, each on a thread of its own, and has what a former process
    /// left in the outbox relayed and logged. A database that does not answer now does so
    /// later; until then commands are refused. Must run within an actix system.
    #[must_use]
    pub fn start(
        store: Store,
        hub: HubHandle,
        config: &PipelineConfig,
        metrics: Arc<Metrics>,
    ) -> Self {
        let progress = Arc::new(Progress::default());
        let recent = Arc::new(RecentEvents::default());
        let missing = Arc::new(Notify::new());
        let beginning = Beginning {
            store: store.clone(),
            progress: Arc::clone(&progress),
            recent: Arc::clone(&recent),
            hub: hub.clone(),
        };
        if let Err(error) = beginning.begin() {
            log::error!(error:%; "the jobs' database does not answer yet");
        }
        let feed = EventFeed::new(
            store.clone(),
            Arc::clone(&progress),
            Arc::clone(&recent),
            Arc::clone(&missing),
            Arc::clone(&metrics),
        );

        let log_arbiter = Arbiter::new();
        let log_writer = {
            let (store, progress, config) = (store.clone(), Arc::clone(&progress), config.clone());
            Kept::start("event log writer", &log_arbiter.handle(), move |lifeline| {
                EventLogWriter::new(store.clone(), Arc::clone(&progress), &config, lifeline)
            })
        };
        let registry_arbiter = Arbiter::new();
        let registry = {
            let hub = hub.clone();
            let (progress, log_writer) = (Arc::clone(&progress), log_writer.clone());
            let (missing, metrics) = (Arc::clone(&missing), Arc::clone(&metrics));
            Kept::start("group registry", &registry_arbiter.handle(), move |lifeline| {
                let watched = (Arc::clone(&progress), Arc::clone(&metrics));
                let (hub, recent) = (hub.clone(), Arc::clone(&recent));
                let missing = Arc::clone(&missing);
                GroupRegistry::new(hub, log_writer.clone(), watched, recent, missing, lifeline)
            })
        };
        let relay = {
            let (registry, interval) = (registry.clone(), config.relay_interval);
            let missing = Arc::clone(&missing);
            Kept::start("relay", &registry_arbiter.handle(), move |lifeline| {
                let (registry, missing) = (registry.clone(), Arc::clone(&missing));
                Relay::new(beginning.clone(), registry, interval, missing, lifeline)
            })
        };
        let neighbours = config.redis_url.as_ref().map(|_| Neighbours::default());
        let redis = config.redis_url.clone().zip(neighbours.clone());
        let backplane = redis.map(|(redis_url, neighbours)| {
            let parts = BackplaneParts {
                redis_url,
                jobs: Arc::clone(&store.jobs),
                registry: registry.clone(),
                hub,
                progress: Arc::clone(&progress),
                metrics: Arc::clone(&metrics),
                missing,
                neighbours,
            };
            progress.set_backplane_state(PartState::Down);
            Kept::start("backplane", &registry_arbiter.handle(), move |lifeline| {
                Backplane::new(parts.clone(), lifeline)
            })
        });
        let other_nodes = OtherNodes::new(backplane.clone());
        let job_arbiter = Arbiter::new();
        let job_actor = {
            let (store, config) = (Arc::clone(&store.jobs), config.clone());
            let (registry, progress) = (registry.clone(), Arc::clone(&progress));
            let metrics = Arc::clone(&metrics);
            Kept::start("job actor", &job_arbiter.handle(), move |lifeline| {
                let (store, progress) = (Arc::clone(&store), Arc::clone(&progress));
                let (registry, backplane) = (registry.clone(), backplane.clone());
                let watched = (progress, Arc::clone(&metrics));
                JobActor::new(store, registry, backplane, watched, &config, lifeline)
            })
        };
        housekeeping::start(&store, config, &job_arbiter.handle());
        let commands = CommandQueue::new(job_actor.clone(), config.commands_max, metrics);
        let arbiters = vec![job_arbiter, registry_arbiter, log_arbiter];
        Self {
            commands,
            feed,
            other_nodes,
            progress,
            job_actor,
            registry,
            log_writer,
            relay,
            neighbours,
            log_queue_events_max: config.log_queue_events_max,
            arbiters,
        }
    }

    /// Waits until every event that was committed is in the log, or the time is up;
    /// answers whether it is. What is not, is logged by the next process.
    pub async fn flush(&self, time_limit: Duration) -> bool {
        self.progress.wait_logged(self.progress.committed(), time_limit).await
    }

    /// Ends the actors' threads.
    pub fn stop(self) {
        for arbiter in self.arbiters {
            arbiter.stop();
        }
    }
}

/// Runs a call of the store on a thread made for blocking.
pub async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    actix_web::web::block(call)
        .await
        .unwrap_or_else(|_| Err(StoreError::Unavailable("the call was cut short".to_owned())))
}

/// What has been done with an event since then, as a part of the trace that it came from.
fn event_span(began: SystemTime, name: &'static str, event: &CommittedEvent) -> Span {
    let mut span = Span::since(began, name, event.trace);
    span.set("signalbox.event.sequence", i64::try_from(event.sequence).unwrap_or(i64::MAX));
    span
}

/// One thread for an actor that blocks.
fn start_thread<A: Actor<Context = actix::SyncContext<A>>>(
    make: impl Fn() -> A + Send + Sync + 'static,
) -> actix::Addr<A> {
    actix::SyncArbiter::start(1, make)
}
