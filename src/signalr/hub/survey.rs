//! Questions about connections, to every worker thread that has some.
//!
//! A connection is read, and closed, on its own thread. A thread that does not answer in
//! time is counted, so that nobody takes a part for the whole.

use std::cmp::Ordering;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio::time::timeout_at;

use super::client::Connection;
use super::close::CloseReason;
use super::handle::HubHandle;
use super::shard::Shard;
use crate::signalr::connection::TransportKind;
use crate::signalr::protocol::ProtocolKind;

/// How long a worker thread may take to answer: one that is not stuck takes milliseconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// Which connections are meant: those that all of it is true of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The one of this public name.
    pub id: Option<String>,
    /// Those of this user.
    pub user_id: Option<String>,
    /// The members of this group.
    pub group: Option<String>,
    /// Those whose bytes move so.
    pub transport: Option<TransportKind>,
}

/// A connection as it was when its worker thread was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionDetails<D> {
    /// Its public name.
    pub id: String,
    /// Who it belongs to, as whoever asked wants it described.
    pub user: D,
    /// When its transport began.
    pub since: SystemTime,
    /// How its bytes move.
    pub transport: TransportKind,
    /// None before its handshake.
    pub protocol: Option<ProtocolKind>,
    /// The groups that it is in, by name.
    pub groups: Vec<String>,
    /// Messages that wait for it to read them.
    pub waiting_messages: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
    /// With more bytes waiting it is cut.
    pub waiting_bytes_max: usize,
    /// When it last sent something, or, where it polls, had a poll open.
    pub heard_at: SystemTime,
    /// When its token ends.
    pub expires_at: Option<SystemTime>,
}

/// Where a connection stands among all of a hub: those that began earlier come first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionPlace {
    /// Nanoseconds from the hub's beginning to the connection's.
    pub nanos: u64,
    /// Its public name.
    pub id: String,
}

/// A page of connections, in the order of their beginnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionPage<D> {
    /// The connections.
    pub items: Vec<ConnectionDetails<D>>,
    /// The last one's place, if there are more.
    pub next: Option<ConnectionPlace>,
    /// How many were meant, on this page and on others.
    pub total: usize,
    /// Worker threads that did not answer in time: theirs are missing.
    pub silent_workers: usize,
}

/// What became of a request to close connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedConnections {
    /// How many were there.
    pub count: usize,
    /// Worker threads that did not answer in time: what they have may stay open.
    pub silent_workers: usize,
}

/// What a shard is asked. It holds the way to whoever asked, which ends with the last
/// copy.
#[derive(Clone)]
pub(super) struct Question(Arc<dyn Fn(&Shard) + Send + Sync>);

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question")
    }
}

impl Question {
    /// Has the shard answer. One that cannot stays silent, and goes on.
    pub(super) fn put_to(&self, shard: &Shard) {
        if catch_unwind(AssertUnwindSafe(|| (self.0)(shard))).is_err() {
            log::error!("a question about a worker's connections panicked");
        }
    }
}

impl Selection {
    fn fits(&self, connection: &Connection) -> bool {
        let is_id = |id: &String| **id == **connection.id();
        let is_user = |id: &String| connection.link.user_id().is_some_and(|user| **user == **id);
        let is_member = |group: &String| {
            connection.groups.borrow().iter().any(|joined| *joined.group == **group)
        };
        self.id.as_ref().is_none_or(is_id)
            && self.user_id.as_ref().is_none_or(is_user)
            && self.transport.is_none_or(|transport| connection.transport() == transport)
            && self.group.as_ref().is_none_or(is_member)
    }
}

impl HubHandle {
    /// A page of the connections that are meant: at most `limit`, those behind `after`.
    /// `describe` runs on the connections' threads, for those of the page alone.
    pub async fn survey<U: 'static, D: Send + 'static>(
        &self,
        selection: Selection,
        after: Option<ConnectionPlace>,
        limit: usize,
        describe: impl Fn(&U) -> D + Send + Sync + 'static,
    ) -> ConnectionPage<D> {
        let begun_at = self.begun_at();
        let answers = self.ask(move |shard| {
            let now = Instant::now();
            let all = shard.connections();
            let meant = all.iter().filter(|connection| selection.fits(connection));
            let mut meant: Vec<_> =
                meant.map(|connection| (nanos(begun_at, connection), connection)).collect();
            let total = meant.len();
            meant.retain(|entry| after.as_ref().is_none_or(|after| is_behind(entry, after)));
            let behind = meant.len();
            if behind > limit {
                meant.select_nth_unstable_by(limit, compare);
                meant.truncate(limit);
            }
            let details = meant.into_iter().map(|(nanos, connection)| {
                let details = details(connection, now, &describe);
                (ConnectionPlace { nanos, id: details.id.clone() }, details)
            });
            (total, behind, details.collect::<Vec<_>>())
        });
        let Answers { answers, silent_workers } = answers.await;
        let total = answers.iter().map(|(total, ..)| total).sum();
        let behind: usize = answers.iter().map(|(_, behind, _)| behind).sum();
        let mut page: Vec<_> = answers.into_iter().flat_map(|(.., details)| details).collect();
        page.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        page.truncate(limit);
        let next = page.last().map(|(place, _)| place.clone()).filter(|_| behind > page.len());
        let items = page.into_iter().map(|(_, details)| details).collect();
        ConnectionPage { items, next, total, silent_workers }
    }

    /// Ends the connections that are meant, and counts them.
    pub async fn close_selected(
        &self,
        selection: Selection,
        reason: CloseReason,
    ) -> ClosedConnections {
        let answers = self.ask(move |shard| {
            let all = shard.connections();
            let meant = all.iter().filter(|connection| selection.fits(connection));
            meant.map(|connection| connection.close(reason.clone())).count()
        });
        let Answers { answers, silent_workers } = answers.await;
        ClosedConnections { count: answers.iter().sum(), silent_workers }
    }

    /// Puts a question to every shard, and gathers what they answer in time. It goes
    /// behind what a shard has to deliver, and takes no place that a publication needs:
    /// a full shard is not asked.
    async fn ask<T: Send + 'static>(
        &self,
        answer: impl Fn(&Shard) -> T + Send + Sync + 'static,
    ) -> Answers<T> {
        let until = tokio::time::Instant::now() + ANSWER_TIME_MAX;
        let (shards, mut receiver) = self.put(|shards| {
            let (sender, receiver) = mpsc::channel(shards.max(1));
            let question = move |shard: &Shard| {
                // Each shard answers once; whoever asked may have stopped waiting.
                let _ = sender.try_send(answer(shard));
            };
            (Question(Arc::new(question)), receiver)
        });
        let mut answers = Vec::with_capacity(shards);
        // The channel ends when every shard has answered, or cannot any more.
        while let Ok(Some(answer)) = timeout_at(until, receiver.recv()).await {
            answers.push(answer);
        }
        let silent_workers = shards.saturating_sub(answers.len());
        Answers { answers, silent_workers }
    }
}

struct Answers<T> {
    answers: Vec<T>,
    silent_workers: usize,
}

type Entry<'a> = (u64, &'a Rc<Connection>);

fn nanos(begun_at: Instant, connection: &Connection) -> u64 {
    let age = connection.timers.opened_at.saturating_duration_since(begun_at);
    u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)
}

fn compare((one_nanos, one): &Entry<'_>, (other_nanos, other): &Entry<'_>) -> Ordering {
    one_nanos.cmp(other_nanos).then_with(|| one.id().cmp(other.id()))
}

fn is_behind((nanos, connection): &Entry<'_>, after: &ConnectionPlace) -> bool {
    (*nanos, &**connection.id()) > (after.nanos, after.id.as_str())
}

fn details<U: 'static, D>(
    connection: &Connection,
    now: Instant,
    describe: impl Fn(&U) -> D,
) -> ConnectionDetails<D> {
    let (received_at, polled_at) =
        (connection.timers.received_at.get(), connection.link.polled_at(now));
    let (waiting_messages, waiting_bytes) = connection.waiting();
    let groups = connection.groups.borrow();
    let mut groups: Vec<_> = groups.iter().map(|joined| joined.group.to_string()).collect();
    groups.sort_unstable();
    let at = |instant| wall_time(instant, now);
    ConnectionDetails {
        id: connection.id().to_string(),
        user: describe(&connection.user::<U>()),
        since: at(connection.timers.opened_at),
        transport: connection.transport(),
        protocol: connection.protocol.get(),
        groups,
        waiting_messages,
        waiting_bytes,
        waiting_bytes_max: connection.options.connection.output_bytes_max,
        heard_at: at(polled_at.map_or(received_at, |polled_at| polled_at.max(received_at))),
        expires_at: connection.link.expires_at().map(at),
    }
}

/// The system clock's time at that instant, as far as it has not been set since.
fn wall_time(instant: Instant, now: Instant) -> SystemTime {
    let (past, ahead) =
        (now.saturating_duration_since(instant), instant.saturating_duration_since(now));
    let wall_now = SystemTime::now();
    wall_now.checked_sub(past).and_then(|time| time.checked_add(ahead)).unwrap_or(wall_now)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::signalr::hub::handle::{Publication, ShardReceiver};
    use crate::signalr::{Audience, SerializedMessage};

    /// A hub with room for one message per shard, and a shard that does nothing.
    fn stuck_shard() -> (HubHandle, ShardReceiver, Arc<AtomicBool>) {
        let handle = HubHandle::new(1, Arc::default());
        let has_gap = Arc::new(AtomicBool::new(false));
        let receiver = handle.add_shard(Arc::clone(&has_gap), Arc::default());
        (handle, receiver, has_gap)
    }

    async fn silent_workers(handle: &HubHandle) -> usize {
        let page = handle.survey(Selection::default(), None, 10, |(): &()| ()).await;
        let closed = handle.close_selected(Selection::default(), CloseReason::Aborted).await;
        assert_eq!((page.total, closed.count), (0, 0));
        assert_eq!(page.silent_workers, closed.silent_workers);
        page.silent_workers
    }

    #[actix_web::test]
    async fn a_worker_that_does_not_answer_is_counted_and_not_waited_for() {
        let (handle, shard, has_gap) = stuck_shard();
        assert_eq!(silent_workers(&handle).await, 1);
        assert!(!has_gap.load(std::sync::atomic::Ordering::Acquire));
        drop(shard);
        assert_eq!(silent_workers(&handle).await, 0, "it is gone with all that it had");
    }

    #[actix_web::test]
    async fn a_question_that_a_full_worker_has_no_room_for_closes_nothing() {
        let (handle, _shard, has_gap) = stuck_shard();
        let message = SerializedMessage::call("Event", ());
        let publication = Publication { position: Some(1), audience: Audience::All, message };
        handle.publish(Arc::new(publication));
        assert_eq!(silent_workers(&handle).await, 1);
        assert!(!has_gap.load(std::sync::atomic::Ordering::Acquire));
    }
}
