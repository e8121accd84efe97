//! What is known of one client's connection on its worker thread, above its link.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::close::CloseReason;
use super::error::HubError;
use super::message::{SerializedMessage, call, framed};
use super::stateful::SentCopies;
use crate::signalr::connection::{ConnectionId, Link, TransportKind};
use crate::signalr::options::HubOptions;
use crate::signalr::protocol::{HubMessage, Payload, ProtocolKind};

/// What session, shard and callers share of a connection. It belongs to one thread,
/// so plain cells do. What a delivery touches comes first.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Connection {
    /// The last publication that reached it, so that two groups do not send it twice.
    pub(super) reached_by: Cell<u64>,
    /// Messages that were sent.
    messages_out: Cell<u64>,
    /// Chosen by the handshake; before it nothing is delivered.
    pub(super) protocol: Cell<Option<ProtocolKind>>,
    /// Whether what is sent goes to the link and nowhere else.
    is_plain: Cell<bool>,
    pub(super) link: Rc<Link>,
    /// The connection's place in the shard's table.
    pub(super) slot: Cell<usize>,
    /// The groups that it is in.
    pub(super) groups: RefCell<Vec<Membership>>,
    /// Its place among the connections of its user.
    pub(super) user_place: Cell<usize>,
    pub(super) timers: Timers,
    /// Gated invocations that run and hold up the next one.
    pub(super) gated: Cell<usize>,
    sent: RefCell<Option<Box<SentCopies>>>,
    held: RefCell<Option<Box<Held>>>,
    close_request: RefCell<Option<Box<CloseReason>>>,
    results: RefCell<BTreeMap<u64, ResultSender>>,
    ended: OnceCell<CancellationToken>,
    /// Of the type that the hub has for users; the one whose credentials count now.
    user: RefCell<Rc<dyn Any>>,
    /// How often it was replaced.
    renewals: Cell<u64>,
    /// Told when it is; few wait for that.
    renewed: OnceCell<Box<Notify>>,
    pub(super) options: Rc<HubOptions>,
}

/// A connection's membership in a group.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) group: Rc<str>,
    /// Its place among the members.
    pub(super) place: usize,
    /// The shard's position when it joined: publications past it have been delivered.
    pub(super) since: u64,
}

/// Who waits for the answer of a client: its value, or its error's text.
pub(super) type ResultSender = oneshot::Sender<Result<Payload, HubError>>;

/// Publications that wait until their subscriber has what came before them.
#[derive(Debug, Default)]
struct Held {
    frames: Vec<Bytes>,
    bytes: usize,
    /// Who wants them to wait.
    holders: usize,
}

/// When things last happened, for the shard's sweep: timers of the actor itself
/// would cost one entry each.
#[derive(Debug)]
pub(super) struct Timers {
    pub(super) opened_at: Instant,
    pub(super) pinged_at: Cell<Instant>,
    pub(super) received_at: Cell<Instant>,
    /// A client is timed out only once it has shown that it pings.
    pub(super) client_pings: Cell<bool>,
    /// While a message is dispatched the client may be silent.
    pub(super) is_dispatching: Cell<bool>,
}

impl Connection {
    pub(super) fn new(
        link: Rc<Link>,
        user: Rc<dyn Any>,
        options: Rc<HubOptions>,
        now: Instant,
    ) -> Self {
        Self {
            reached_by: Cell::new(0),
            messages_out: Cell::new(0),
            protocol: Cell::new(None),
            is_plain: Cell::new(true),
            link,
            slot: Cell::new(usize::MAX),
            groups: RefCell::default(),
            user_place: Cell::new(usize::MAX),
            timers: Timers {
                opened_at: now,
                pinged_at: Cell::new(now),
                received_at: Cell::new(now),
                client_pings: Cell::new(false),
                is_dispatching: Cell::new(false),
            },
            gated: Cell::new(0),
            sent: RefCell::default(),
            held: RefCell::default(),
            close_request: RefCell::default(),
            results: RefCell::default(),
            ended: OnceCell::new(),
            user: RefCell::new(user),
            renewals: Cell::new(0),
            renewed: OnceCell::new(),
            options,
        }
    }

    pub(super) fn id(&self) -> &ConnectionId {
        &self.link.id
    }

    pub(super) fn transport(&self) -> TransportKind {
        self.link.transport
    }

    /// Who it belongs to. Shard and link know no hub's type of users, so it is asked for.
    pub(super) fn user<U: 'static>(&self) -> Rc<U> {
        let user = Rc::clone(&self.user.borrow());
        user.downcast().expect("all of a hub's connections have its users")
    }

    /// From here on it belongs to the same user with these credentials, for so long.
    pub(super) fn renew(&self, user: Rc<dyn Any>, expires_at: Option<SystemTime>) {
        self.user.replace(user);
        self.link.extend(expires_at);
        self.renewals.set(self.renewals.get() + 1);
        if let Some(renewed) = self.renewed.get() {
            renewed.notify_waiters();
        }
    }

    /// How often its user's credentials were renewed.
    pub(super) fn renewals(&self) -> u64 {
        self.renewals.get()
    }

    /// Waits until they have been renewed more often than that.
    pub(super) async fn renewed_since(&self, renewals: u64) {
        let renewed = self.renewed.get_or_init(Box::default);
        while self.renewals.get() == renewals {
            renewed.notified().await;
        }
    }

    /// Messages that wait for the client to read them, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let (messages, bytes) = self.link.outbound.waiting();
        let held = self.held.borrow();
        let held = held.as_ref().map_or((0, 0), |held| (held.frames.len(), held.bytes));
        (messages + held.0, bytes + held.1)
    }

    /// Asks the session to end the connection.
    pub(super) fn close(&self, reason: CloseReason) {
        self.close_request.borrow_mut().get_or_insert_with(|| Box::new(reason));
        self.link.nudge();
    }

    /// What somebody asked for by [`close`](Self::close).
    pub(super) fn take_close_request(&self) -> Option<CloseReason> {
        self.close_request.take().map(|reason| *reason)
    }

    /// Sends a message that is this connection's alone.
    pub(super) fn send(&self, message: &HubMessage) {
        if let Some(protocol) = self.protocol.get() {
            let frame = framed(protocol, self.transport(), message);
            self.push(frame, message.is_trackable(), Instant::now());
        }
    }

    /// Sends a message that many get. The time is asked once for all of them.
    pub(super) fn send_shared(&self, message: &SerializedMessage, now: Instant) {
        if let Some(frame) = self.shared_frame(message) {
            self.push(frame, message.is_trackable(), now);
        }
    }

    fn shared_frame(&self, message: &SerializedMessage) -> Option<Bytes> {
        message.framed(self.protocol.get()?, self.transport()).cloned()
    }

    /// Sends a publication that has a place in its publisher's order.
    pub(super) fn send_positioned(&self, message: &SerializedMessage, now: Instant) {
        if self.is_plain.get() {
            return self.send_shared(message, now);
        }
        let mut held = self.held.borrow_mut();
        let Some(held) = held.as_mut() else {
            return self.send_shared(message, now);
        };
        let Some(frame) = self.shared_frame(message) else {
            return;
        };
        held.bytes += frame.len();
        if held.bytes > self.options.connection.output_bytes_max {
            // It would have a gap; it comes back and resumes.
            self.close(CloseReason::ServerShutdown);
        } else {
            held.frames.push(frame);
        }
    }

    /// Messages that were sent, also those that will not arrive; a second sending to
    /// another socket is none.
    pub(super) fn messages_out(&self) -> u64 {
        self.messages_out.get()
    }

    fn push(&self, frame: Bytes, is_trackable: bool, now: Instant) {
        self.messages_out.set(self.messages_out.get() + 1);
        if self.is_plain.get() || !is_trackable {
            return self.link.push(frame, now);
        }
        // Another handle of the same bytes.
        let kept = self.sent.borrow_mut().as_mut().map(|copies| copies.keep(frame.clone(), now));
        match kept {
            None => self.link.push(frame, now),
            Some(true) => self.send_copies(now),
            Some(false) => self.close(CloseReason::Unacknowledged),
        }
    }

    /// Sends copies as far as acknowledgements allow.
    fn send_copies(&self, now: Instant) {
        if !self.link.outbound.is_attached() {
            return;
        }
        while let Some(copy) = self.sent.borrow_mut().as_mut().and_then(|sent| sent.next_unsent()) {
            self.link.push(copy, now);
        }
    }

    /// Sends a frame that belongs to the transport or the handshake.
    pub(super) fn push_untracked(&self, frame: Bytes) {
        self.link.push(frame, Instant::now());
    }

    /// Keeps positioned publications back, until [`release`](Self::release) has been
    /// called as often.
    pub(super) fn hold(&self) {
        self.held.borrow_mut().get_or_insert_default().holders += 1;
        self.is_plain.set(false);
    }

    /// Sends what was kept back, if nobody else holds it, and goes on as before.
    pub(super) fn release(&self) {
        let mut held = self.held.borrow_mut();
        let Some(holders) = held.as_mut().map(|held| &mut held.holders) else {
            return;
        };
        *holders -= 1;
        if *holders > 0 {
            return;
        }
        let frames = held.take().map(|held| held.frames).unwrap_or_default();
        drop(held);
        self.is_plain.set(self.sent.borrow().is_none());
        let now = Instant::now();
        for frame in frames {
            self.push(frame, true, now);
        }
    }

    /// From here copies of what is sent are kept, for another socket.
    pub(super) fn keep_copies(&self) {
        let options = &self.options;
        let pause = options.stateful_buffer_bytes_max;
        let copies = SentCopies::new(pause, options.connection.output_bytes_max);
        *self.sent.borrow_mut() = Some(Box::new(copies));
        self.is_plain.set(false);
    }

    /// The client has what was sent, up to this number.
    pub(super) fn acknowledge(&self, number: u64) {
        let now = Instant::now();
        if let Some(sent) = self.sent.borrow_mut().as_mut() {
            sent.acknowledge(number, now);
        }
        self.send_copies(now);
        self.link.outbound.wake_paused();
    }

    /// Begins a new socket: says which message comes next, and sends the copies.
    pub(super) fn resume(&self) {
        self.link.outbound.attach();
        let first = self.sent.borrow_mut().as_mut().map(|sent| sent.rewind());
        if let Some(sequence_id) = first {
            self.send(&HubMessage::Sequence { sequence_id });
            self.send_copies(Instant::now());
        }
    }

    /// Whether the client has left too much unacknowledged for too long. Without a
    /// socket it cannot acknowledge; how long that may last is the link's to say.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        !self.is_plain.get()
            && self.link.outbound.is_attached()
            && self.sent.borrow().as_ref().is_some_and(|sent| sent.is_stuck(now))
    }

    /// Waits until a sender that can wait may go on. One that always may, as to a client
    /// that is gone, has to let others run as well.
    pub(super) async fn room(&self) {
        tokio::task::coop::consume_budget().await;
        std::future::poll_fn(|context| self.poll_room(context)).await;
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut sent = self.sent.borrow_mut();
        let blocked = sent.as_mut().filter(|sent| sent.is_blocked());
        let is_blocked = blocked.map(|sent| sent.wait(Instant::now())).is_some();
        // Nothing waits below 0 bytes: that is how to wait for an acknowledgement.
        let bytes = if is_blocked { 0 } else { self.options.pause_output_bytes };
        self.link.outbound.poll_room(bytes, context)
    }

    /// Calls a method of the client and has its answer sent to `sender`; an error
    /// when it cannot be asked.
    pub(super) fn ask(
        &self,
        number: u64,
        target: &str,
        arguments: Vec<Payload>,
        sender: ResultSender,
    ) {
        let mut results = self.results.borrow_mut();
        results.retain(|_, waiting| !waiting.is_closed());
        let refusal = if self.link.outbound.is_over() {
            Some(disconnected(self.id()))
        } else if results.len() >= self.options.client_results_max {
            Some(HubError::Exception("too many client results are awaited".to_owned()))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            // Whoever asked may have stopped waiting.
            let _ = sender.send(Err(refusal));
            return;
        }
        results.insert(number, sender);
        drop(results);
        self.send(&call(target, arguments, Some(result_id(number))));
    }

    /// The client has answered a call of ours; an id that nobody asked by is late.
    pub(super) fn answer(&self, id: &str, answer: Result<Payload, HubError>) {
        let number = id.strip_prefix(RESULT_PREFIX).and_then(|number| number.parse().ok());
        let waiting = number.and_then(|number: u64| self.results.borrow_mut().remove(&number));
        if let Some(waiting) = waiting {
            // Whoever asked may have stopped waiting.
            let _ = waiting.send(answer);
        }
    }

    /// Says, to whoever waits for something of the client, that it is gone.
    pub(super) fn forget_waiting(&self) {
        for (_, waiting) in self.results.take() {
            let _ = waiting.send(Err(disconnected(self.id())));
        }
        self.held.take();
        self.ended().cancel();
    }

    /// Cancelled when the connection ends.
    pub(super) fn ended(&self) -> &CancellationToken {
        self.ended.get_or_init(CancellationToken::new)
    }
}

impl Timers {
    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.received_at.get())
    }
}

/// Tells the ids of our calls from those that the client chooses for its own.
const RESULT_PREFIX: &str = "s";

fn result_id(number: u64) -> String {
    format!("{RESULT_PREFIX}{number}")
}

fn disconnected(id: &str) -> HubError {
    HubError::Exception(format!("Connection '{id}' disconnected."))
}
