//! The connections of one worker thread.
//!
//! A connection lives on the thread that accepted it, and so do its queue and its
//! group memberships: delivering a publication takes no lock and wakes no other
//! thread. A [`HubHandle`] puts each publication into the queue of every shard;
//! one queue per shard keeps the publications in order.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_web::rt;
use tokio::sync::{mpsc, watch};

use super::audience::Audience;
use super::client::{Connection, Membership};
use super::close::CloseReason;
use super::counts::ShardCounts;
use super::error::HubError;
use super::handle::{ConnectionAction, HubHandle, Publication, ShardMessage, ShardReceiver};
use super::message::SerializedMessage;
use crate::signalr::connection::{Bound, ConnectionId, TransportKind};
use crate::signalr::options::HubOptions;
use crate::signalr::protocol::HubMessage;

/// See the module.
#[derive(Debug)]
pub(super) struct Shard {
    options: Rc<HubOptions>,
    handle: HubHandle,
    number: usize,
    table: RefCell<Vec<Rc<Connection>>>,
    by_id: RefCell<HashMap<ConnectionId, Rc<Connection>>>,
    groups: RefCell<Members>,
    users: RefCell<Members>,
    /// The highest place delivered.
    position: watch::Sender<u64>,
    /// Counts deliveries, to tell which connections one has reached.
    publication: Cell<u64>,
    counts: Arc<ShardCounts>,
}

type Members = HashMap<Rc<str>, Vec<Rc<Connection>>>;

/// Publications that are delivered before the connections get to send: as many as
/// may share one write, few enough that nothing else on the thread waits long.
const DELIVERIES_PER_TURN: usize = 64;

/// Between two turns of a drain.
const DRAIN_INTERVAL: Duration = Duration::from_millis(20);

/// How often timers are looked at; the reference server's granularity.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl Shard {
    /// Starts one on the current worker thread.
    pub(super) fn start(handle: &HubHandle, options: Rc<HubOptions>) -> Rc<Self> {
        let has_gap = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(ShardCounts::default());
        let ShardReceiver { number, position, queue } =
            handle.add_shard(Arc::clone(&has_gap), Arc::clone(&counts));
        let shard = Rc::new(Self {
            options,
            handle: handle.clone(),
            number,
            table: RefCell::default(),
            by_id: RefCell::default(),
            groups: RefCell::default(),
            users: RefCell::default(),
            position: watch::Sender::new(position),
            publication: Cell::new(0),
            counts,
        });
        rt::spawn(Rc::clone(&shard).deliver_all(queue, has_gap));
        rt::spawn(Rc::clone(&shard).sweep_forever());
        shard
    }

    pub(super) fn handle(&self) -> &HubHandle {
        &self.handle
    }

    /// The place of the last publication that was delivered.
    pub(super) fn position(&self) -> u64 {
        *self.position.borrow()
    }

    /// Waits until all up to this place has been delivered.
    pub(super) async fn delivered(&self, position: u64) {
        let mut delivered = self.position.subscribe();
        // The sender is ours.
        let _ = delivered.wait_for(|delivered| *delivered >= position).await;
    }

    pub(super) fn next_result(&self) -> u64 {
        self.handle.next_result()
    }

    /// Takes in a connection.
    pub(super) fn add(&self, connection: &Rc<Connection>) {
        let mut table = self.table.borrow_mut();
        connection.slot.set(table.len());
        table.push(Rc::clone(connection));
        self.counts.connections.store(table.len(), Ordering::Relaxed);
        self.counts.of_kind(connection.transport(), None).fetch_add(1, Ordering::Relaxed);
        self.handle.tallies().opened(connection.transport());
    }

    /// Makes a connection whose handshake has succeeded one that can be addressed.
    pub(super) fn make_addressable(&self, connection: &Rc<Connection>) {
        if connection.slot.get() == usize::MAX {
            return;
        }
        let kind = |protocol| self.counts.of_kind(connection.transport(), protocol);
        kind(None).fetch_sub(1, Ordering::Relaxed);
        kind(connection.protocol.get()).fetch_add(1, Ordering::Relaxed);
        self.by_id.borrow_mut().insert(Rc::clone(connection.id()), Rc::clone(connection));
        if let Some(user_id) = connection.link.user_id() {
            let mut users = self.users.borrow_mut();
            let of_user = users.entry(Rc::clone(user_id)).or_default();
            connection.user_place.set(of_user.len());
            of_user.push(Rc::clone(connection));
            count(&self.counts.users, &users);
        }
    }

    /// Forgets a connection and its memberships. May be called twice.
    pub(super) fn remove(&self, connection: &Rc<Connection>) {
        let slot = connection.slot.replace(usize::MAX);
        if slot == usize::MAX {
            return;
        }
        let kind = self.counts.of_kind(connection.transport(), connection.protocol.get());
        kind.fetch_sub(1, Ordering::Relaxed);
        let mut table = self.table.borrow_mut();
        table.swap_remove(slot);
        if let Some(moved) = table.get(slot) {
            moved.slot.set(slot);
        }
        self.counts.connections.store(table.len(), Ordering::Relaxed);
        drop(table);
        self.by_id.borrow_mut().remove(connection.id());
        for joined in connection.groups.take() {
            self.remove_member(&joined.group, joined.place);
        }
        self.remove_from_user(connection);
    }

    fn remove_from_user(&self, connection: &Connection) {
        let place = connection.user_place.replace(usize::MAX);
        let Some(user_id) = connection.link.user_id().filter(|_| place != usize::MAX) else {
            return;
        };
        let mut users = self.users.borrow_mut();
        if let Some(moved) = take_out(&mut users, user_id, place) {
            moved.user_place.set(place);
        }
        count(&self.counts.users, &users);
    }

    /// Makes the connection a member of all these groups; or of none, when it may not be
    /// in so many.
    pub(super) fn join_all<'a>(
        &self,
        connection: &Rc<Connection>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), HubError> {
        if connection.slot.get() == usize::MAX {
            // It is closing: nothing will be delivered to it.
            return Ok(());
        }
        let mut joined = connection.groups.borrow_mut();
        let is_in = |joined: &[Membership], name: &str| {
            joined.iter().any(|membership| membership.group.as_ref() == name)
        };
        let mut new: Vec<&str> = names.into_iter().filter(|name| !is_in(&joined, name)).collect();
        new.sort_unstable();
        new.dedup();
        if joined.len() + new.len() > self.options.groups_per_connection_max {
            self.handle.links().refuse(Bound::Groups);
            let groups_max = self.options.groups_per_connection_max;
            return Err(HubError::Refused(format!(
                "too_many_groups: a connection may be in {groups_max} groups at a time"
            )));
        }
        let mut groups = self.groups.borrow_mut();
        for name in new {
            let group: Rc<str> = groups
                .get_key_value(name)
                .map_or_else(|| Rc::from(name), |(group, _)| Rc::clone(group));
            let members = groups.entry(Rc::clone(&group)).or_default();
            let (place, since) = (members.len(), self.position());
            joined.push(Membership { group, place, since });
            members.push(Rc::clone(connection));
        }
        count(&self.counts.groups, &groups);
        Ok(())
    }

    /// Ends the connection's membership, if it has one.
    pub(super) fn leave(&self, connection: &Rc<Connection>, group: &str) {
        let mut joined = connection.groups.borrow_mut();
        let Some(at) = joined.iter().position(|joined| joined.group.as_ref() == group) else {
            return;
        };
        let Membership { group, place, .. } = joined.swap_remove(at);
        drop(joined);
        self.remove_member(&group, place);
    }

    fn remove_member(&self, group: &Rc<str>, place: usize) {
        let mut groups = self.groups.borrow_mut();
        if let Some(moved) = take_out(&mut groups, group, place) {
            let mut joined = moved.groups.borrow_mut();
            if let Some(membership) = joined.iter_mut().find(|joined| joined.group == *group) {
                membership.place = place;
            }
        }
        count(&self.counts.groups, &groups);
    }

    /// Delivers to the connections of this thread at once, and puts the publication on
    /// its way to those of the others.
    pub(super) fn publish(&self, audience: Audience, message: SerializedMessage) {
        let publication = Arc::new(Publication { position: None, audience, message });
        self.deliver(&publication);
        self.handle.to_shards(&ShardMessage::Publish(publication), Some(self.number));
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
                if catch_unwind(AssertUnwindSafe(|| self.handle_message(&message))).is_err() {
                    log::error!("a delivery panicked; closing the connections of its worker");
                    self.close_all(&CloseReason::ServerShutdown);
                }
            }
            if has_gap.swap(false, Ordering::AcqRel) {
                log::warn!("a worker's publication queue overflowed; closing its connections");
                self.handle.tallies().overflowed();
                self.close_all(&CloseReason::ServerShutdown);
            }
            // Let the connections write before the next turn.
            tokio::task::yield_now().await;
        }
    }

    fn handle_message(self: &Rc<Self>, message: &ShardMessage) {
        match message {
            ShardMessage::Publish(publication) => self.deliver(publication),
            ShardMessage::StartAt(position) => {
                self.position.send_replace(self.position().max(*position));
            }
            ShardMessage::CloseAll(reason) => self.close_all(reason),
            ShardMessage::Drain(reason, over) => {
                rt::spawn(Rc::clone(self).drain(reason.clone(), *over));
            }
            ShardMessage::One(one) => {
                let connection = self.by_id.borrow().get(one.id.as_str()).map(Rc::clone);
                if let Some(connection) = connection
                    && let Some(action) = one.take()
                {
                    self.act(&connection, action);
                }
            }
            ShardMessage::Ask(question) => question.put_to(self),
        }
    }

    /// Whoever waits for the answer may have stopped waiting.
    fn act(&self, connection: &Rc<Connection>, action: ConnectionAction) {
        match action {
            ConnectionAction::Close(reason) => connection.close(reason),
            ConnectionAction::Leave { group, is_done } => {
                self.leave(connection, &group);
                let _ = is_done.send(Ok(()));
            }
            ConnectionAction::Join { group, is_done } => {
                let _ = is_done.send(self.join_all(connection, [group.as_str()]));
            }
            ConnectionAction::Ask { target, arguments, sender } => {
                let Some(protocol) = connection.protocol.get() else {
                    return;
                };
                match arguments.payloads(protocol) {
                    Ok(arguments) => {
                        connection.ask(self.next_result(), &target, arguments, sender);
                    }
                    Err(text) => {
                        let _ = sender.send(Err(HubError::failed(text)));
                    }
                }
            }
        }
    }

    fn deliver(&self, publication: &Publication) {
        if let Some(position) = publication.position {
            if position <= self.position() {
                return;
            }
            self.position.send_replace(position);
        }
        let this_one = self.publication.get() + 1;
        self.publication.set(this_one);
        let (message, now) = (&publication.message, Instant::now());
        let count = Cell::new(0);
        let send = |member: &Connection| {
            count.set(count.get() + 1);
            match publication.position {
                Some(_) => member.send_positioned(message, now),
                None => member.send_shared(message, now),
            }
        };
        let send_once = |member: &Connection| {
            if member.reached_by.replace(this_one) != this_one {
                send(member);
            }
        };
        let is_meant =
            |member: &Connection, except: &[String]| !except.iter().any(|id| **id == **member.id());
        match &publication.audience {
            Audience::AnyOf(names) => each_member(&self.groups.borrow(), names, send_once),
            Audience::Groups(names) => each_member(&self.groups.borrow(), names, send),
            Audience::Users(ids) => each_member(&self.users.borrow(), ids, send_once),
            Audience::All => self.table.borrow().iter().for_each(|member| send(member)),
            Audience::AllExcept(ids) => {
                let table = self.table.borrow();
                table.iter().filter(|member| is_meant(member, ids)).for_each(|member| send(member));
            }
            Audience::GroupExcept(name, ids) => {
                each_member(&self.groups.borrow(), std::slice::from_ref(name), |member| {
                    if is_meant(member, ids) {
                        send(member);
                    }
                });
            }
            Audience::Connections(ids) => {
                let by_id = self.by_id.borrow();
                ids.iter().filter_map(|id| by_id.get(id.as_str())).for_each(|m| send_once(m));
            }
        }
        self.counts.deliveries.fetch_add(count.get(), Ordering::Relaxed);
    }

    fn close_all(&self, reason: &CloseReason) {
        for connection in self.connections() {
            connection.close(reason.clone());
        }
    }

    /// Ends all connections evenly over a time.
    async fn drain(self: Rc<Self>, reason: CloseReason, over: Duration) {
        let turns = over.as_millis().div_ceil(DRAIN_INTERVAL.as_millis()).max(1);
        let all = self.connections();
        let per_turn = all.len().div_ceil(usize::try_from(turns).unwrap_or(usize::MAX)).max(1);
        let mut ticks = tokio::time::interval(DRAIN_INTERVAL);
        for some in all.chunks(per_turn) {
            ticks.tick().await;
            for connection in some {
                connection.close(reason.clone());
            }
        }
    }

    pub(super) fn connections(&self) -> Vec<Rc<Connection>> {
        self.table.borrow().iter().map(Rc::clone).collect()
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
        for connection in self.connections() {
            match self.overdue(&connection, now) {
                Some(reason) => connection.close(reason),
                None => self.ping(&connection, now, ping),
            }
            if connection.link.may_reconnect() {
                // The session acknowledges what it has received.
                connection.link.nudge();
            }
        }
    }

    fn overdue(&self, connection: &Connection, now: Instant) -> Option<CloseReason> {
        let timers = &connection.timers;
        let options = &self.options;
        if connection.protocol.get().is_none() {
            let age = now.saturating_duration_since(timers.opened_at);
            (age > options.handshake_timeout).then_some(CloseReason::HandshakeFailed)
        } else if connection.is_stuck(now) {
            Some(CloseReason::Unacknowledged)
        } else {
            // Who polls shows that it lives by that.
            let may_time_out = timers.client_pings.get()
                && !timers.is_dispatching.get()
                && connection.transport() != TransportKind::LongPolling;
            (may_time_out && timers.silent_for(now) > options.client_timeout)
                .then_some(CloseReason::ClientTimeout)
        }
    }

    fn ping(&self, connection: &Connection, now: Instant, ping: &SerializedMessage) {
        if connection.transport() == TransportKind::LongPolling {
            return;
        }
        let pinged_at = &connection.timers.pinged_at;
        if now.saturating_duration_since(pinged_at.get()) >= self.options.keep_alive_interval {
            pinged_at.set(now);
            connection.send_shared(ping, now);
        }
    }
}

/// Hands every member of the named groups to the function, group by group.
fn each_member(members: &Members, names: &[String], function: impl Fn(&Connection)) {
    for group in names.iter().filter_map(|name| members.get(name.as_str())) {
        group.iter().for_each(|member| function(member));
    }
}

/// Takes a member out; answers the one that has its place from here.
fn take_out(members: &mut Members, name: &Rc<str>, place: usize) -> Option<Rc<Connection>> {
    let group = members.get_mut(name)?;
    group.swap_remove(place);
    let moved = group.get(place).map(Rc::clone);
    if group.is_empty() {
        members.remove(name);
    }
    moved
}

fn count(counter: &AtomicUsize, members: &Members) {
    counter.store(members.len(), Ordering::Relaxed);
}
