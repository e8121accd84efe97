//! Tells the other nodes of events as soon as they are committed, and hears of theirs; and
//! carries what [`Neighbours`] say besides.
//!
//! State:      events to be told, a bounded number of batches; orders to be passed on.
//! Listens to: `Committed` (from the job actor), `Order` (from an admin's request), and a
//!             channel of Redis.
//! Speaks to:  that channel; the group registry, with what other nodes committed; the
//!             hub, with what their admins order.
//! Stops here: whatever happens to Redis. What is not told, or not heard, the relay reads
//!             from the database: this is only the fast way. A Redis that says nothing
//!             any more is told from a quiet one by the heartbeats that come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisError};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::blocking;
use super::group_registry::{Committed, GroupRegistry};
use super::keeper::{Kept, Lifeline};
use super::metrics::Metrics;
use super::neighbours::{Heard, Neighbours};
use super::other_nodes::{CloseUser, Order};
use super::progress::{PartState, Progress};
use crate::jobs::CommittedEvent;
use crate::signalr::HubHandle;
use crate::store::{JobStore, StoreError};

/// Batches that may wait to be told. What is more the other nodes find in the database.
const BATCHES_MAX: usize = 1_024;

/// Batches that share a message while Redis is slower than the commits.
const BATCHES_PER_MESSAGE_MAX: usize = 16;

/// Orders that may wait to be passed on; whoever gives another one is told that it was not.
const ORDERS_MAX: usize = 64;

/// Bytes of a message; a longer one comes from nobody who speaks this protocol.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long Redis may take to connect, or to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// How often a heartbeat is sent over the channel, to ourselves.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);

/// How long nothing may be heard, not even ourselves.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// The first pause before Redis is tried again.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// A message's first byte is its kind and shape; nodes pass over those that they do not
/// know, and hear of events from the database. This one has [`Events`].
const FORMAT: u8 = 4;

/// The message has what an admin of one node has all others do.
const ORDER_FORMAT: u8 = 2;
/// The message has what a node says of itself.
const STATE_FORMAT: u8 = 3;

/// How often a node's state is told, changed or not.
const STATE_INTERVAL: Duration = Duration::from_secs(2);

/// Why a URL is none of a Redis that can be used; none if it is.
#[must_use]
pub fn redis_url_fault(url: &str) -> Option<String> {
    let fault = Client::open(url).err()?;
    // The URL may have a password in it, and is not repeated.
    Some(format!("is not of the form redis://HOST:PORT: {}", fault.category()))
}

/// What a backplane works with.
#[derive(Clone)]
pub(super) struct BackplaneParts {
    pub(super) redis_url: String,
    pub(super) jobs: Arc<dyn JobStore>,
    pub(super) registry: Kept<GroupRegistry>,
    pub(super) hub: HubHandle,
    pub(super) progress: Arc<Progress>,
    pub(super) metrics: Arc<Metrics>,
    /// Wakes the relay.
    pub(super) missing: Arc<Notify>,
    pub(super) neighbours: Neighbours,
}

/// See the module.
pub struct Backplane {
    parts: BackplaneParts,
    outgoing: mpsc::Sender<Committed>,
    orders: mpsc::Sender<Order>,
    /// The other ends, until the link runs.
    incoming: Option<(mpsc::Receiver<Committed>, mpsc::Receiver<Order>)>,
    _lifeline: Lifeline,
}

impl Backplane {
    pub(super) fn new(parts: BackplaneParts, lifeline: Lifeline) -> Self {
        let (outgoing, events) = mpsc::channel(BATCHES_MAX);
        let (orders, incoming_orders) = mpsc::channel(ORDERS_MAX);
        let incoming = Some((events, incoming_orders));
        Self { parts, outgoing, orders, incoming, _lifeline: lifeline }
    }
}

impl Actor for Backplane {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(BATCHES_MAX);
        if let Some((outgoing, orders)) = self.incoming.take() {
            let name = uuid::Uuid::new_v4().simple().to_string();
            let link = Link { parts: self.parts.clone(), name, outgoing, orders };
            ctx.spawn(link.run().into_actor(self));
        }
    }
}

impl Handler<Committed> for Backplane {
    type Result = ();

    fn handle(&mut self, committed: Committed, _: &mut Self::Context) {
        // Full: Redis is slow or away, and the other nodes read the database.
        if self.outgoing.try_send(committed).is_err() {
            self.parts.metrics.not_told();
        }
    }
}

impl Handler<Order> for Backplane {
    type Result = ();

    fn handle(&mut self, order: Order, _: &mut Self::Context) {
        // Full: it is dropped, and whoever gave it finds out by that.
        let _ = self.orders.try_send(order);
    }
}

/// Why a link to Redis ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("no answer within {} s", ANSWER_TIME_MAX.as_secs())]
    NoAnswer(#[from] tokio::time::error::Elapsed),
    #[error("nothing was heard for {} s", SILENCE_MAX.as_secs())]
    Silence,
    #[error("the subscription ended")]
    Ended,
    #[error("the database is this server's alone")]
    Alone,
    #[error("the database's name is not known yet: {0}")]
    Nameless(#[from] StoreError),
}

/// What a node says to the others.
#[derive(Serialize, Deserialize)]
struct Told<T> {
    /// Who says it: a fresh name per start.
    from: String,
    what: T,
}

/// Without any it is a heartbeat.
type Events = Vec<Arc<CommittedEvent>>;

/// The way to Redis and back.
struct Link {
    parts: BackplaneParts,
    name: String,
    outgoing: mpsc::Receiver<Committed>,
    orders: mpsc::Receiver<Order>,
}

impl Link {
    async fn run(mut self) {
        let (mut pause, mut was_up) = (RETRY_MIN, true);
        loop {
            let since = Instant::now();
            let error = match self.serve().await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            if since.elapsed() > SILENCE_MAX {
                (pause, was_up) = (RETRY_MIN, true);
            }
            if was_up {
                log::warn!(error:%; "the backplane is down; other nodes hear from the database");
            } else {
                log::debug!(error:%; "the backplane is still down");
            }
            was_up = false;
            self.parts.progress.set_backplane_state(PartState::Down);
            let retry = tokio::time::sleep(pause);
            tokio::pin!(retry);
            loop {
                // What would be told now is old news when Redis is back, and who gives an
                // order now is told that it went nowhere.
                tokio::select! {
                    () = &mut retry => break,
                    _ = self.outgoing.recv() => {}
                    _ = self.orders.recv() => {}
                }
            }
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Tells and hears, until it cannot.
    async fn serve(&mut self) -> Result<std::convert::Infallible, LinkError> {
        let jobs = Arc::clone(&self.parts.jobs);
        let database = blocking(move || jobs.database_id()).await?.ok_or(LinkError::Alone)?;
        let channel = format!("signalbox:events:{database}");
        let client = Client::open(self.parts.redis_url.as_str())?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_TIME_MAX))
            .set_response_timeout(Some(ANSWER_TIME_MAX));
        let mut teller = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut listener = timeout(ANSWER_TIME_MAX, client.get_async_pubsub()).await??;
        timeout(ANSWER_TIME_MAX, listener.subscribe(&channel)).await??;
        let mut messages = listener.into_on_message();
        // From here on nothing is missed; what was before the relay knows how to find.
        self.parts.missing.notify_one();
        self.parts.metrics.linked();
        let mut heartbeat = tokio::time::interval(HEARTBEAT_INTERVAL);
        let (mut heard_at, mut batches) = (Instant::now(), Vec::new());
        let mut state = self.parts.neighbours.told();
        let mut state_due = tokio::time::interval(STATE_INTERVAL);
        loop {
            tokio::select! {
                count = self.outgoing.recv_many(&mut batches, BATCHES_PER_MESSAGE_MAX) => {
                    if count == 0 {
                        return Err(LinkError::Ended);
                    }
                    let events = batches.drain(..).flat_map(|Committed(events)| events).collect();
                    self.tell(&mut teller, &channel, events).await?;
                }
                order = self.orders.recv() => {
                    let order = order.ok_or(LinkError::Ended)?;
                    self.pass_on(&mut teller, &channel, order).await?;
                }
                message = messages.next() => {
                    let message = message.ok_or(LinkError::Ended)?;
                    heard_at = Instant::now();
                    self.parts.progress.set_backplane_state(PartState::Up);
                    self.hear(message.get_payload_bytes());
                }
                _ = heartbeat.tick() => {
                    if heard_at.elapsed() > SILENCE_MAX {
                        return Err(LinkError::Silence);
                    }
                    self.tell(&mut teller, &channel, Vec::new()).await?;
                }
                Ok(()) = state.changed() => {
                    let now = Arc::clone(&state.borrow_and_update());
                    self.publish(&mut teller, &channel, STATE_FORMAT, now).await?;
                }
                _ = state_due.tick() => {
                    let now = Arc::clone(&state.borrow());
                    if !now.is_empty() {
                        self.publish(&mut teller, &channel, STATE_FORMAT, now).await?;
                    }
                }
            }
        }
    }

    async fn tell(
        &self,
        teller: &mut MultiplexedConnection,
        channel: &str,
        events: Events,
    ) -> Result<(), LinkError> {
        let count = events.len();
        let is_told = self.publish(teller, channel, FORMAT, events).await?.is_some();
        if is_told && count > 0 {
            self.parts.metrics.told(count);
        }
        Ok(())
    }

    /// Tells every node of an order; whoever gave it learns how many took it.
    async fn pass_on(
        &self,
        teller: &mut MultiplexedConnection,
        channel: &str,
        Order { close, told }: Order,
    ) -> Result<(), LinkError> {
        if let Some(nodes) = self.publish(teller, channel, ORDER_FORMAT, close).await? {
            // Who gave it may have stopped waiting.
            let _ = told.send(nodes);
        }
        Ok(())
    }

    /// Answers how many nodes took it, this one among them; none when it could not be
    /// written.
    async fn publish<T: Serialize>(
        &self,
        teller: &mut MultiplexedConnection,
        channel: &str,
        format: u8,
        what: T,
    ) -> Result<Option<usize>, LinkError> {
        let told = Told { from: self.name.clone(), what };
        Ok(match written(format, &told) {
            Some(message) => Some(teller.publish(channel, message).await?),
            None => None,
        })
    }

    fn hear(&self, message: &[u8]) {
        match read(message) {
            Some(Ok(Told { from, .. })) if from == self.name => {}
            Some(Ok(Told { from, what })) => match what {
                Heeded::Events(events) => self.hear_events(events),
                Heeded::Order(order) => self.obey(order),
                Heeded::State(state) => {
                    let state = state.to_string();
                    self.parts.neighbours.hear(Heard { node: from, state });
                }
            },
            Some(Err(error)) => {
                log::warn!(error:%; "a message of another node is not understood");
            }
            // Of a node of another version, perhaps.
            None => {}
        }
    }

    fn hear_events(&self, events: Events) {
        if !events.is_empty() {
            self.parts.metrics.heard(events.len());
            // Full: the relay brings them.
            let _ = self.parts.registry.try_send(Committed(events));
        }
    }

    /// Carries out what another node's admin ordered.
    fn obey(&self, order: CloseUser) {
        let hub = self.parts.hub.clone();
        actix::spawn(async move {
            let closed = order.carry_out(&hub).await;
            log::info!(
                user = order.user.as_str(), by = order.by.as_str(),
                request_id = order.request_id.as_str(), closed = closed.count,
                silent_workers = closed.silent_workers;
                "an admin of another node closed a user's connections"
            );
        });
    }
}

/// The message as it goes over the channel.
fn written(format: u8, message: &impl Serialize) -> Option<Vec<u8>> {
    let mut bytes = vec![format];
    match rmp_serde::encode::write(&mut bytes, message) {
        Ok(()) => Some(bytes),
        Err(error) => {
            log::error!(error:%; "a message to other nodes cannot be written");
            None
        }
    }
}

/// What is heard.
enum Heeded {
    Events(Events),
    Order(CloseUser),
    State(Arc<str>),
}

impl<T> Told<T> {
    fn read(
        bytes: &[u8],
        heed: fn(T) -> Heeded,
    ) -> Option<Result<Told<Heeded>, rmp_serde::decode::Error>>
    where
        T: serde::de::DeserializeOwned,
    {
        let told = rmp_serde::from_slice::<Self>(bytes);
        Some(told.map(|Self { from, what }| Told { from, what: heed(what) }))
    }
}

/// What a message says; none of one that is too long, or of another shape.
fn read(message: &[u8]) -> Option<Result<Told<Heeded>, rmp_serde::decode::Error>> {
    match message.split_first() {
        Some((_, rest)) if rest.len() > MESSAGE_BYTES_MAX => None,
        Some((&FORMAT, rest)) => Told::read(rest, Heeded::Events),
        Some((&ORDER_FORMAT, rest)) => Told::read(rest, Heeded::Order),
        Some((&STATE_FORMAT, rest)) => Told::read(rest, Heeded::State),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::jobs::{EventId, EventType, JobId, Region, Timestamp};

    fn event() -> CommittedEvent {
        CommittedEvent {
            sequence: 7,
            event_id: EventId::fresh(),
            event_type: EventType::JobCancelled,
            schema_version: 1,
            job_id: JobId::fresh(),
            region: Region::parse("north").expect("a region"),
            payload: "{\"type\":\"JobCancelled\"}".into(),
            groups: vec!["dispatch/north".to_owned()],
            actor_id: "ann".to_owned(),
            correlation_id: "request-1".to_owned(),
            occurred_at: Timestamp::now(),
            trace: Some(
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
                    .parse()
                    .expect("a traceparent"),
            ),
        }
    }

    fn told<T: Serialize>(format: u8, what: T) -> Vec<u8> {
        written(format, &Told { from: "a".to_owned(), what }).expect("it can be written")
    }

    #[test]
    fn an_event_arrives_as_it_was_told() {
        let event = Arc::new(event());
        let message = told(FORMAT, vec![Arc::clone(&event)]);
        let Some(Ok(Told { what: Heeded::Events(heard), .. })) = read(&message) else {
            panic!("it is not understood");
        };
        assert_eq!(heard, [event]);
    }

    /// A message of each kind.
    fn messages() -> [Vec<u8>; 3] {
        let name = || "a".to_owned();
        let order = CloseUser { user: name(), by: name(), request_id: name() };
        let events = vec![Arc::new(event()), Arc::new(event())];
        [told(FORMAT, events), told(ORDER_FORMAT, order), told(STATE_FORMAT, "{}")]
    }

    proptest! {
        #[test]
        fn whatever_is_heard_is_understood_or_refused(
            pick in 0..3_usize,
            changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..4),
            cut in proptest::option::of(any::<Index>()),
            anything in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut message = messages()[pick].clone();
            for (place, byte) in changes {
                let place = place.index(message.len());
                message[place] = byte;
            }
            if let Some(cut) = cut {
                message.truncate(cut.index(message.len()));
            }
            // Of what is understood there is no more than was told.
            for message in [message, [&[FORMAT], &anything[..]].concat()] {
                let held = match read(&message) {
                    Some(Ok(Told { what: Heeded::Events(events), .. })) => events.len(),
                    Some(Ok(Told { what: Heeded::Order(order), .. })) => order.user.len(),
                    Some(Ok(Told { what: Heeded::State(state), .. })) => state.len(),
                    Some(Err(_)) | None => 0,
                };
                prop_assert!(held <= message.len());
            }
        }
    }
}
