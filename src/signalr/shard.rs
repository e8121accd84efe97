//! The connections of one worker thread, and the handle that reaches all of them.
//!
//! A connection lives on the thread that accepted it, and so do its queue and its
//! group memberships: delivering a publication takes no lock and wakes no other
//! thread. A [`HubHandle`] puts each publication into the queue of every shard;
//! one queue per shard keeps the publications in order.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use actix_web::rt;
use tokio::sync::mpsc;

use super::close::CloseReason;
use super::connection::Connection;
use super::message::SerializedMessage;
use super::options::HubOptions;
use super::protocol::HubMessage;

/// Who is meant by a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Every connection that is in at least one of these groups; each gets it once.
    AnyOf(Vec<String>),
}

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

/// Reaches every connection of a hub, from any thread, without waiting.
#[derive(Debug, Clone)]
pub struct HubHandle {
    shards: Arc<RwLock<Vec<ShardSender>>>,
    publications_max: usize,
}

#[derive(Debug)]
struct ShardSender {
    queue: mpsc::Sender<ShardMessage>,
    has_gap: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
}

#[derive(Debug, Clone)]
enum ShardMessage {
    Publish(Arc<Publication>),
    CloseAll(CloseReason),
}

impl HubHandle {
    pub(super) fn new(options: &HubOptions) -> Self {
        Self { shards: Arc::default(), publications_max: options.publications_max }
    }

    /// Puts the publication on its way to every member of its audience.
    ///
    /// Never waits. A worker thread whose queue is full closes its connections, as
    /// they would miss something; they come back and resume.
    pub fn publish(&self, publication: Arc<Publication>) {
        self.send(&ShardMessage::Publish(publication));
    }

    /// Ends every connection.
    pub fn close_all(&self, reason: &CloseReason) {
        self.send(&ShardMessage::CloseAll(reason.clone()));
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        let shards = self.shards.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        shards.iter().map(|shard| shard.connections.load(Ordering::Relaxed)).sum()
    }

    fn send(&self, message: &ShardMessage) {
        let mut is_any_gone = false;
        {
            let shards = self.shards.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            for shard in shards.iter() {
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
            let mut shards = self.shards.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            shards.retain(|shard| !shard.queue.is_closed());
        }
    }

    /// Starts a shard on the current worker thread.
    pub(super) fn start_shard(&self, options: HubOptions) -> Rc<Shard> {
        let (queue, receiver) = mpsc::channel(self.publications_max);
        let has_gap = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let shard = Rc::new(Shard {
            options,
            table: RefCell::default(),
            groups: RefCell::default(),
            position: Cell::new(0),
            publication: Cell::new(0),
            connections: Arc::clone(&connections),
        });
        rt::spawn(Rc::clone(&shard).deliver_all(receiver, Arc::clone(&has_gap)));
        rt::spawn(Rc::clone(&shard).sweep_forever());
        let mut shards = self.shards.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        shards.push(ShardSender { queue, has_gap, connections });
        shard
    }
}

/// The connections of one worker thread.
#[derive(Debug)]
pub(super) struct Shard {
    options: HubOptions,
    table: RefCell<Vec<Rc<Connection>>>,
    groups: RefCell<HashMap<Rc<str>, Vec<Rc<Connection>>>>,
    /// The highest place delivered.
    position: Cell<u64>,
    /// Counts deliveries, to tell which connections one has reached.
    publication: Cell<u64>,
    connections: Arc<AtomicUsize>,
}

/// Publications that are delivered before the connections get to send: as many as
/// may share one write, few enough that nothing else on the thread waits long.
const DELIVERIES_PER_TURN: usize = 64;

/// How often timers are looked at; the reference server's granularity.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl Shard {
    /// Takes in a connection.
    pub(super) fn add(&self, connection: &Rc<Connection>) {
        let mut table = self.table.borrow_mut();
        connection.slot.set(table.len());
        table.push(Rc::clone(connection));
        self.connections.store(table.len(), Ordering::Relaxed);
    }

    /// Forgets a connection and its memberships. May be called twice.
    pub(super) fn remove(&self, connection: &Rc<Connection>) {
        let slot = connection.slot.replace(usize::MAX);
        if slot == usize::MAX {
            return;
        }
        let mut table = self.table.borrow_mut();
        table.swap_remove(slot);
        if let Some(moved) = table.get(slot) {
            moved.slot.set(slot);
        }
        self.connections.store(table.len(), Ordering::Relaxed);
        drop(table);
        for (group, place) in connection.groups.take() {
            self.remove_member(&group, place);
        }
    }

    /// Makes the connection a member, which it may be already. False when it may not
    /// be in more groups.
    pub(super) fn join(&self, connection: &Rc<Connection>, group: &str) -> bool {
        let mut joined = connection.groups.borrow_mut();
        if joined.iter().any(|(name, _)| name.as_ref() == group) {
            return true;
        }
        if connection.slot.get() == usize::MAX {
            // It is closing: nothing will be delivered to it.
            return true;
        }
        if joined.len() >= self.options.groups_per_connection_max {
            return false;
        }
        let mut groups = self.groups.borrow_mut();
        let name: Rc<str> = groups
            .get_key_value(group)
            .map_or_else(|| Rc::from(group), |(name, _)| Rc::clone(name));
        let members = groups.entry(Rc::clone(&name)).or_default();
        joined.push((name, members.len()));
        members.push(Rc::clone(connection));
        true
    }

    /// Ends the connection's membership, if it has one.
    pub(super) fn leave(&self, connection: &Rc<Connection>, group: &str) {
        let mut joined = connection.groups.borrow_mut();
        let Some(at) = joined.iter().position(|(name, _)| name.as_ref() == group) else {
            return;
        };
        let (group, place) = joined.swap_remove(at);
        drop(joined);
        self.remove_member(&group, place);
    }

    fn remove_member(&self, group: &Rc<str>, place: usize) {
        let mut groups = self.groups.borrow_mut();
        let Some(members) = groups.get_mut(group) else {
            return;
        };
        members.swap_remove(place);
        if let Some(moved) = members.get(place) {
            let mut joined = moved.groups.borrow_mut();
            if let Some(entry) = joined.iter_mut().find(|(name, _)| name == group) {
                entry.1 = place;
            }
        }
        if members.is_empty() {
            groups.remove(group);
        }
    }

    async fn deliver_all(
        self: Rc<Self>,
        mut queue: mpsc::Receiver<ShardMessage>,
        has_gap: Arc<AtomicBool>,
    ) {
        let mut turn = Vec::with_capacity(DELIVERIES_PER_TURN);
        while queue.recv_many(&mut turn, DELIVERIES_PER_TURN).await > 0 {
            for message in turn.drain(..) {
                // A panic here would silence the whole thread. Members that it kept
                // the message from would have a gap, so all are sent to resume.
                if catch_unwind(AssertUnwindSafe(|| self.handle(&message))).is_err() {
                    log::error!("a delivery panicked; closing the connections of its worker");
                    self.close_all(&CloseReason::ServerShutdown);
                }
            }
            if has_gap.swap(false, Ordering::AcqRel) {
                log::warn!("a worker's publication queue overflowed; closing its connections");
                self.close_all(&CloseReason::ServerShutdown);
            }
            // Let the connections write before the next turn.
            tokio::task::yield_now().await;
        }
    }

    fn handle(&self, message: &ShardMessage) {
        match message {
            ShardMessage::Publish(publication) => self.deliver(publication),
            ShardMessage::CloseAll(reason) => self.close_all(reason),
        }
    }

    fn deliver(&self, publication: &Publication) {
        if let Some(position) = publication.position {
            if position <= self.position.get() {
                return;
            }
            self.position.set(position);
        }
        let this_one = self.publication.get() + 1;
        self.publication.set(this_one);
        let Audience::AnyOf(names) = &publication.audience;
        let (groups, now) = (self.groups.borrow(), Instant::now());
        for members in names.iter().filter_map(|name| groups.get(name.as_str())) {
            for member in members {
                if member.reached_by.replace(this_one) != this_one {
                    member.send_shared(&publication.message, now);
                }
            }
        }
    }

    fn close_all(&self, reason: &CloseReason) {
        let connections: Vec<_> = self.table.borrow().iter().map(Rc::clone).collect();
        for connection in connections {
            connection.close(reason.clone());
        }
    }

    async fn sweep_forever(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ping = SerializedMessage::new(HubMessage::Ping);
        loop {
            ticks.tick().await;
            self.sweep(Instant::now(), &ping);
        }
    }

    /// Looks at every connection's timers once.
    fn sweep(&self, now: Instant, ping: &SerializedMessage) {
        let connections: Vec<_> = self.table.borrow().iter().map(Rc::clone).collect();
        for connection in connections {
            match self.overdue(&connection, now) {
                Some(CloseReason::SlowConsumer) => connection.abort(),
                Some(reason) => connection.close(reason),
                None => self.ping(&connection, now, ping),
            }
        }
    }

    fn overdue(&self, connection: &Connection, now: Instant) -> Option<CloseReason> {
        let timers = &connection.timers;
        let options = &self.options;
        if connection.outbound.stalled_for(now) > options.send_timeout {
            Some(CloseReason::SlowConsumer)
        } else if timers.expires_at.is_some_and(|at| now >= at) {
            Some(CloseReason::AuthenticationExpired)
        } else if connection.protocol.get().is_none() {
            let age = now.saturating_duration_since(timers.opened_at);
            (age > options.handshake_timeout).then_some(CloseReason::HandshakeFailed)
        } else {
            let may_time_out = timers.client_pings.get() && !timers.is_dispatching.get();
            (may_time_out && timers.silent_for(now) > options.client_timeout)
                .then_some(CloseReason::ClientTimeout)
        }
    }

    fn ping(&self, connection: &Connection, now: Instant, ping: &SerializedMessage) {
        let pinged_at = &connection.timers.pinged_at;
        if now.saturating_duration_since(pinged_at.get()) >= self.options.keep_alive_interval {
            pinged_at.set(now);
            connection.send_shared(ping, now);
        }
    }
}
