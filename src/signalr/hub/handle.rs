//! Reaches every connection of a hub, from any thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use super::arguments::SendArguments;
use super::audience::Audience;
use super::client::ResultSender;
use super::close::CloseReason;
use super::counts::ShardCounts;
use super::error::HubError;
use super::message::SerializedMessage;
use super::survey::Question;
use super::tallies::Tallies;
use crate::signalr::connection::LinkCounts;
use crate::signalr::protocol::Payload;

/// A message for an audience.
#[derive(Debug)]
pub struct Publication {
    /// The publication's place in a rising order of the publisher's. A shard drops
    /// one whose place it has passed, so a publisher that does not know how far it
    /// came may repeat itself. None stands outside of the order.
    pub position: Option<u64>,
    /// Who is meant.
    pub audience: Audience,
    /// What they get.
    pub message: SerializedMessage,
}

/// See the module. Clones reach the same hub.
#[derive(Debug, Clone)]
pub struct HubHandle {
    pub(super) shards: Arc<RwLock<Vec<ShardSender>>>,
    pub(super) publications_max: usize,
    /// The highest place published: where new shards begin.
    position: Arc<AtomicU64>,
    results: Arc<AtomicU64>,
    links: Arc<LinkCounts>,
    /// Of worker threads that are gone.
    pub(super) former_deliveries: Arc<AtomicU64>,
    tallies: Arc<Tallies>,
    begun_at: Instant,
}

#[derive(Debug)]
pub(super) struct ShardSender {
    pub(super) number: usize,
    pub(super) queue: mpsc::Sender<ShardMessage>,
    pub(super) has_gap: Arc<AtomicBool>,
    pub(super) counts: Arc<ShardCounts>,
}

/// The other end of a [`ShardSender`].
#[derive(Debug)]
pub(super) struct ShardReceiver {
    pub(super) number: usize,
    pub(super) position: u64,
    pub(super) queue: mpsc::Receiver<ShardMessage>,
}

#[derive(Debug, Clone)]
pub(super) enum ShardMessage {
    Publish(Arc<Publication>),
    StartAt(u64),
    CloseAll(CloseReason),
    /// The same, spread over a time.
    Drain(CloseReason, Duration),
    /// Does something to one connection, on the shard that has it.
    One(Arc<OneConnection>),
    /// Asks about its connections.
    Ask(Question),
}

/// Something for one connection, wherever it is. What is not taken by any shard is
/// dropped with the last copy, and whoever waits finds out.
#[derive(Debug)]
pub(super) struct OneConnection {
    pub(super) id: String,
    pub(super) action: Mutex<Option<ConnectionAction>>,
}

pub(super) enum ConnectionAction {
    Join { group: String, is_done: oneshot::Sender<Result<(), HubError>> },
    Leave { group: String, is_done: oneshot::Sender<Result<(), HubError>> },
    Close(CloseReason),
    Ask { target: String, arguments: Box<dyn SendArguments + Send>, sender: ResultSender },
}

impl std::fmt::Debug for ConnectionAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Join { .. } => "Join",
            Self::Leave { .. } => "Leave",
            Self::Close(_) => "Close",
            Self::Ask { .. } => "Ask",
        })
    }
}

impl OneConnection {
    /// What is to be done, for the one shard that has the connection.
    pub(super) fn take(&self) -> Option<ConnectionAction> {
        self.action.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl HubHandle {
    pub(super) fn new(publications_max: usize, links: Arc<LinkCounts>) -> Self {
        Self {
            shards: Arc::default(),
            publications_max,
            position: Arc::default(),
            results: Arc::default(),
            links,
            former_deliveries: Arc::default(),
            tallies: Arc::default(),
            begun_at: Instant::now(),
        }
    }

    /// Says that all publications up to this place were delivered by a former process.
    pub fn start_at(&self, position: u64) {
        self.to_shards(&ShardMessage::StartAt(position), None);
    }

    /// Puts the publication on its way to every member of its audience.
    ///
    /// Never waits. A worker thread whose queue is full closes its connections, as
    /// they would miss something; they come back and resume.
    pub fn publish(&self, publication: Arc<Publication>) {
        self.to_shards(&ShardMessage::Publish(publication), None);
    }

    /// Calls a method of every connection of an audience, which nobody answers.
    /// Never waits.
    ///
    /// # Errors
    /// When one of several groups has no name.
    pub fn send(
        &self,
        audience: Audience,
        target: &str,
        arguments: impl SendArguments + Send + Sync + 'static,
    ) -> Result<(), HubError> {
        audience.check()?;
        let message = SerializedMessage::call(target, arguments);
        self.publish(Arc::new(Publication { position: None, audience, message }));
        Ok(())
    }

    /// Calls a method of one connection's client and waits for its answer.
    ///
    /// # Errors
    /// What the client answered instead of a value; that there is no such connection,
    /// or that it is gone meanwhile; that its value is no `R`.
    pub async fn invoke<R: DeserializeOwned>(
        &self,
        connection_id: &str,
        target: &str,
        arguments: impl SendArguments + Send + 'static,
    ) -> Result<R, HubError> {
        let (sender, answer) = oneshot::channel();
        let (target, arguments) = (target.to_owned(), Box::new(arguments));
        self.to_one(connection_id, ConnectionAction::Ask { target, arguments, sender });
        match answer.await {
            Err(_) => Err(unknown_connection(connection_id)),
            answered => bind_result(answered),
        }
    }

    /// Makes a connection a member of a group; it is one when this returns. One that
    /// does not exist is passed over.
    ///
    /// # Errors
    /// When the connection is in too many groups.
    pub async fn join(&self, connection_id: &str, group: &str) -> Result<(), HubError> {
        let (is_done, done) = oneshot::channel();
        let group = group.to_owned();
        self.to_one(connection_id, ConnectionAction::Join { group, is_done });
        done.await.unwrap_or(Ok(()))
    }

    /// Ends a connection's membership in a group, if it has one.
    pub async fn leave(&self, connection_id: &str, group: &str) {
        let (is_done, done) = oneshot::channel();
        let group = group.to_owned();
        self.to_one(connection_id, ConnectionAction::Leave { group, is_done });
        // No answer is that there is no such connection.
        let _ = done.await;
    }

    /// Ends one connection.
    pub fn close(&self, connection_id: &str, reason: CloseReason) {
        self.to_one(connection_id, ConnectionAction::Close(reason));
    }

    /// Ends every connection.
    pub fn close_all(&self, reason: &CloseReason) {
        self.to_shards(&ShardMessage::CloseAll(reason.clone()), None);
    }

    /// Ends every connection, one after the other over a time: so that they do not all
    /// come back, to this server's successor or to another one, at the same moment.
    pub fn drain(&self, reason: &CloseReason, over: Duration) {
        self.to_shards(&ShardMessage::Drain(reason.clone(), over), None);
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.counts().connections
    }

    pub(super) fn tallies(&self) -> &Tallies {
        &self.tallies
    }

    /// When there was a hub; no connection began before.
    pub(super) fn begun_at(&self) -> Instant {
        self.begun_at
    }

    /// Puts a question, made for at most so many answers, to every shard that is there.
    /// Answers to how many, and with what `make` made beside the question. A shard whose
    /// queue is full is counted, and will be silent: a question closes nothing.
    pub(super) fn put<R>(&self, make: impl FnOnce(usize) -> (Question, R)) -> (usize, R) {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        let (question, receiver) = make(shards.len());
        let is_there = |shard: &&ShardSender| {
            let put = shard.queue.try_send(ShardMessage::Ask(question.clone()));
            !matches!(put, Err(mpsc::error::TrySendError::Closed(_)))
        };
        (shards.iter().filter(is_there).count(), receiver)
    }

    pub(super) fn links(&self) -> &Arc<LinkCounts> {
        &self.links
    }

    pub(super) fn next_result(&self) -> u64 {
        self.results.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes in a shard: what has been published by now is before its position, and
    /// what is not will be in its queue.
    pub(super) fn add_shard(
        &self,
        has_gap: Arc<AtomicBool>,
        counts: Arc<ShardCounts>,
    ) -> ShardReceiver {
        let (queue, receiver) = mpsc::channel(self.publications_max);
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        let number = shards.last().map_or(0, |shard| shard.number + 1);
        shards.push(ShardSender { number, queue, has_gap, counts });
        let position = self.position.load(Ordering::Acquire);
        ShardReceiver { number, position, queue: receiver }
    }

    fn to_one(&self, id: &str, action: ConnectionAction) {
        let one = OneConnection { id: id.to_owned(), action: Mutex::new(Some(action)) };
        self.to_shards(&ShardMessage::One(Arc::new(one)), None);
    }

    /// Puts a message into the queue of every shard but one.
    pub(super) fn to_shards(&self, message: &ShardMessage, except: Option<usize>) {
        let mut is_any_gone = false;
        {
            let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
            let position = match message {
                ShardMessage::Publish(publication) => publication.position,
                ShardMessage::StartAt(position) => Some(*position),
                ShardMessage::CloseAll(_)
                | ShardMessage::Drain(..)
                | ShardMessage::One(_)
                | ShardMessage::Ask(_) => None,
            };
            if let Some(position) = position {
                // With the lock: a shard that is added now has it behind or before it.
                self.position.fetch_max(position, Ordering::AcqRel);
            }
            for shard in shards.iter().filter(|shard| Some(shard.number) != except) {
                match shard.queue.try_send(message.clone()) {
                    Ok(()) => {}
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        shard.has_gap.store(true, Ordering::Release);
                    }
                    Err(mpsc::error::TrySendError::Closed(_)) => is_any_gone = true,
                }
            }
        }
        if is_any_gone {
            let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
            shards.retain(|shard| {
                let is_gone = shard.queue.is_closed();
                if is_gone {
                    let deliveries = shard.counts.deliveries();
                    self.former_deliveries.fetch_add(deliveries, Ordering::Relaxed);
                }
                !is_gone
            });
        }
    }
}

/// The client's answer as the type that was asked for.
pub(super) fn bind_result<R: DeserializeOwned>(
    answer: Result<Result<Payload, HubError>, oneshot::error::RecvError>,
) -> Result<R, HubError> {
    let value = answer.unwrap_or_else(|_| Err(canceled()))?;
    value.bind().map_err(|detail| {
        let name = std::any::type_name::<R>();
        let name = name.rsplit("::").next().unwrap_or(name);
        HubError::Exception(format!("Error trying to deserialize result to {name}. {detail}"))
    })
}

pub(super) fn canceled() -> HubError {
    HubError::Exception("Invocation canceled by the server.".to_owned())
}

fn unknown_connection(id: &str) -> HubError {
    HubError::Exception(format!("Connection '{id}' does not exist."))
}
