//! The connections of one worker thread, and how requests that come to other threads
//! reach them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_web::rt;
use tokio::sync::{mpsc, oneshot};

use super::inbound::Source;
use super::link::Link;
use super::registry::Registry;
use super::renewal::Renewal;
use crate::signalr::transport::long_polling::{Poll, serve_poll};
use crate::signalr::transport::websocket::{RemoteSocket, feed_remote_socket};

/// Something for a connection of another worker thread.
#[derive(Debug)]
pub(super) enum HostMessage {
    /// Its client polls.
    Poll { token: String, poll: Poll, renewal: Renewal },
    /// Its client ends it.
    Terminate { token: String },
    /// Its client has another socket for it. Answers whether it was taken.
    Attach {
        token: String,
        socket: RemoteSocket,
        renewal: Renewal,
        is_taken: oneshot::Sender<bool>,
    },
    /// Its client has newer credentials.
    Renew { token: String, renewal: Renewal },
}

/// Messages that wait for one worker thread; the request behind a further one waits.
const MESSAGES_MAX: usize = 1_024;

/// How often timers are looked at; the reference server's granularity.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What there is of connections, over all worker threads.
#[derive(Debug, Default)]
pub(in crate::signalr) struct LinkCounts {
    links: AtomicUsize,
    tasks: AtomicUsize,
    slow_cuts: AtomicU64,
    refusals: [AtomicU64; 4],
}

/// A bound at which something was refused; the value is its place among the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalr) enum Bound {
    /// Connections of all users, reserved ones included.
    Connections = 0,
    /// Connections of one user.
    UserConnections = 1,
    /// Calls per second of a connection.
    Invocations = 2,
    /// Groups of a connection.
    Groups = 3,
}

impl LinkCounts {
    pub(in crate::signalr) fn links(&self) -> usize {
        self.links.load(Ordering::Relaxed)
    }

    pub(in crate::signalr) fn tasks(&self) -> usize {
        self.tasks.load(Ordering::Relaxed)
    }

    /// Connections that were cut because their client did not read, since the start.
    pub(in crate::signalr) fn slow_cuts(&self) -> u64 {
        self.slow_cuts.load(Ordering::Relaxed)
    }

    /// Counts a refusal.
    pub(in crate::signalr) fn refuse(&self, bound: Bound) {
        self.refusals[bound as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often something was refused at this bound, since the start.
    pub(in crate::signalr) fn refused(&self, bound: Bound) -> u64 {
        self.refusals[bound as usize].load(Ordering::Relaxed)
    }

    /// Counts a task for as long as the answer lives.
    pub(in crate::signalr) fn task(self: &Arc<Self>) -> TaskCount {
        self.tasks.fetch_add(1, Ordering::Relaxed);
        TaskCount(Arc::clone(self))
    }
}

/// A task that runs.
#[derive(Debug)]
pub(in crate::signalr) struct TaskCount(Arc<LinkCounts>);

impl Drop for TaskCount {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See the module.
#[derive(Debug)]
pub(in crate::signalr) struct LinkHost {
    registry: Arc<Registry>,
    table: RefCell<HashMap<Rc<str>, Rc<Link>>>,
    inbox: mpsc::Sender<HostMessage>,
    counts: Arc<LinkCounts>,
}

impl LinkHost {
    /// Starts on the current thread.
    pub(super) fn start(registry: Arc<Registry>, counts: Arc<LinkCounts>) -> Rc<Self> {
        let (inbox, messages) = mpsc::channel(MESSAGES_MAX);
        let host = Rc::new(Self { registry, table: RefCell::default(), inbox, counts });
        // Both tasks end with the thread.
        rt::spawn(Rc::clone(&host).handle_all(messages));
        rt::spawn(Rc::clone(&host).sweep_forever());
        host
    }

    /// Where other threads send messages for connections of this one.
    pub(super) fn inbox(&self) -> &mpsc::Sender<HostMessage> {
        &self.inbox
    }

    /// Counts a connection that is cut because its client does not read.
    pub(super) fn count_slow_cut(&self) {
        self.counts.slow_cuts.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes in a connection.
    pub(super) fn add(&self, link: &Rc<Link>) {
        let former = self.table.borrow_mut().insert(Rc::clone(&link.token), Rc::clone(link));
        debug_assert!(former.is_none(), "tokens are random");
        self.counts.links.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets a connection. May be called twice.
    pub(super) fn remove(&self, token: &str) {
        if self.table.borrow_mut().remove(token).is_some() {
            self.registry.release(token);
            self.counts.links.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Runs a task of a connection, and counts it.
    pub(in crate::signalr) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let count = self.counts.task();
        rt::spawn(async move {
            let _count = count;
            task.await;
        });
    }

    fn find(&self, token: &str) -> Option<Rc<Link>> {
        self.table.borrow().get(token).map(Rc::clone)
    }

    async fn handle_all(self: Rc<Self>, mut messages: mpsc::Receiver<HostMessage>) {
        while let Some(message) = messages.recv().await {
            self.handle(message);
        }
    }

    /// A message for a connection that is gone is dropped; its request finds out by
    /// the answer that never comes.
    fn handle(&self, message: HostMessage) {
        match message {
            HostMessage::Poll { token, poll, renewal } => {
                if let Some(link) = self.find(&token) {
                    // The poll does not wait for it: what holds it up may wait for the poll.
                    link.renew(renewal);
                    self.spawn(serve_poll(link, poll));
                }
            }
            HostMessage::Renew { token, renewal } => {
                if let Some(link) = self.find(&token) {
                    link.renew(renewal);
                }
            }
            HostMessage::Terminate { token } => {
                if let Some(link) = self.find(&token) {
                    link.terminate();
                }
            }
            HostMessage::Attach { token, socket, renewal, is_taken } => {
                let link = self.find(&token).filter(|link| self.attach(link, socket));
                let taken = link.map(|link| link.renew(renewal)).is_some();
                // A request that is gone by now loses its socket, which the link notices.
                let _ = is_taken.send(taken);
            }
        }
    }

    fn attach(&self, link: &Rc<Link>, socket: RemoteSocket) -> bool {
        let RemoteSocket { events, frames, socket } = socket;
        if !link.reattach(Source::Remote(events), socket) {
            return false;
        }
        // Not asked by the task, which may begin when yet another socket is there.
        let attachment = link.outbound.attachment();
        self.spawn(feed_remote_socket(Rc::clone(link), attachment, frames));
        true
    }

    async fn sweep_forever(self: Rc<Self>) {
        let mut ticks = rt::time::interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (now, links) = (Instant::now(), self.links());
            links.iter().for_each(|link| link.sweep(now));
            self.registry.forget_outlived(now);
        }
    }

    fn links(&self) -> Vec<Rc<Link>> {
        self.table.borrow().values().map(Rc::clone).collect()
    }
}
