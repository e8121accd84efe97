//! One connection below any protocol: bytes in, whole units out, over whichever
//! transport it has.
//!
//! A link lives on the worker thread where its transport started. Whoever handles the
//! connection reads a `LinkInput` and pushes frames into the link's output; it never
//! learns how they move. A link ends when both sides have: its handler by
//! [`Link::close`], its transport by going away.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use socket2::Socket;

use super::host::LinkHost;
use super::inbound::{Inbound, LinkInput, Source, SourceEvent, TransportEnd, Violation};
use super::outbound::Outbound;
use super::poll_turns::PollTurns;
use super::registry::{Place, Reconnect};
use super::renewal::{Renewal, instant_of};
use super::transport_kind::TransportKind;
use super::waker_slot::WakerSlot;
use crate::signalr::options::ConnectionOptions;
use crate::signalr::transport::websocket_frames::{CloseStatus, close_frame, pong_frame};

/// A connection's public name, which other users may learn.
pub type ConnectionId = Rc<str>;

/// See the module.
#[repr(C)]
pub(in crate::signalr) struct Link {
    pub(in crate::signalr) outbound: Outbound,
    pub(in crate::signalr) transport: TransportKind,
    flags: Flags,
    pub(in crate::signalr) id: ConnectionId,
    /// What its requests name it by; its key in the host's table.
    pub(super) token: Rc<str>,
    user_id: Option<Rc<str>>,
    peer: Option<SocketAddr>,
    source: RefCell<Source>,
    reader: WakerSlot,
    /// Brought by requests, and not heard yet by the handler.
    renewals: RefCell<VecDeque<Renewal>>,
    socket: RefCell<Weak<Socket>>,
    expires_at: Cell<Option<Instant>>,
    /// The same as the credentials say it.
    credentials_end: Cell<Option<SystemTime>>,
    /// Since when it has no transport, while it may get one.
    inactive_since: Cell<Option<Instant>>,
    /// Since when the client is expected to answer our close.
    closing_since: Cell<Option<Instant>>,
    reconnect: Arc<Reconnect>,
    /// Of a connection that polls.
    polls: Option<Box<PollTurns>>,
    options: Rc<ConnectionOptions>,
    host: std::rc::Weak<LinkHost>,
    _place: Place,
}

#[derive(Debug, Default)]
struct Flags {
    /// Nothing is read while the handler cannot take more.
    is_shut: Cell<bool>,
    is_nudged: Cell<bool>,
    is_reattached: Cell<bool>,
    /// The transport's last word, until the handler has heard it.
    end: Cell<Option<TransportEnd>>,
    has_ended: Cell<bool>,
    /// The client has closed the socket properly, or can no longer.
    peer_is_done: Cell<bool>,
    handler_is_done: Cell<bool>,
    transport_is_gone: Cell<bool>,
    /// Whether the socket is another worker thread's.
    is_remote: Cell<bool>,
}

/// What a link starts with.
pub(super) struct LinkStart {
    pub(super) id: String,
    pub(super) token: String,
    pub(super) user_id: Option<String>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) transport: TransportKind,
    pub(super) source: Source,
    pub(super) socket: Weak<Socket>,
    pub(super) expires_at: Option<SystemTime>,
    pub(super) reconnect: Arc<Reconnect>,
    pub(super) place: Place,
}

impl Link {
    pub(super) fn new(
        start: LinkStart,
        options: &Rc<ConnectionOptions>,
        host: &Rc<LinkHost>,
        now: Instant,
    ) -> Rc<Self> {
        let polls = (start.transport == TransportKind::LongPolling).then(Box::default);
        Rc::new(Self {
            outbound: Outbound::new(options.output_bytes_max, now),
            transport: start.transport,
            flags: Flags::default(),
            id: start.id.into(),
            token: start.token.into(),
            user_id: start.user_id.map(Rc::from),
            peer: start.peer,
            source: RefCell::new(start.source),
            reader: WakerSlot::default(),
            renewals: RefCell::default(),
            socket: RefCell::new(start.socket),
            expires_at: Cell::new(start.expires_at.map(|at| instant_of(at, now))),
            credentials_end: Cell::new(start.expires_at),
            inactive_since: Cell::new(None),
            closing_since: Cell::new(None),
            reconnect: start.reconnect,
            polls,
            options: Rc::clone(options),
            host: Rc::downgrade(host),
            _place: start.place,
        })
    }

    /// The one reader of what comes in.
    pub(super) fn input(self: &Rc<Self>) -> LinkInput {
        LinkInput::new(Rc::clone(self))
    }

    /// Who the connection belongs to.
    pub(in crate::signalr) fn user_id(&self) -> Option<&Rc<str>> {
        self.user_id.as_ref()
    }

    /// The other end of the socket that the connection began on.
    pub(in crate::signalr) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Whether the connection may go on with another socket.
    pub(in crate::signalr) fn may_reconnect(&self) -> bool {
        self.reconnect.is_possible()
    }

    /// From here a lost socket is the connection's end.
    pub(in crate::signalr) fn forbid_reconnect(&self) {
        self.reconnect.set(false);
        if self.flags.transport_is_gone.get() {
            self.tell_end(TransportEnd::Lost);
        }
    }

    /// Nothing more is read until [`open_gate`](Self::open_gate).
    pub(in crate::signalr) fn shut_gate(&self) {
        self.flags.is_shut.set(true);
    }

    /// Input flows again.
    pub(in crate::signalr) fn open_gate(&self) {
        if self.flags.is_shut.replace(false) {
            self.reader.wake();
        }
    }

    /// Has the handler look at its own affairs, also while the gate is shut.
    pub(in crate::signalr) fn nudge(&self) {
        if !self.flags.is_nudged.replace(true) {
            self.reader.wake();
        }
    }

    /// Sends a unit that is framed already. One that does not fit aborts the connection.
    pub(in crate::signalr) fn push(&self, frame: Bytes, now: Instant) {
        if self.outbound.push(frame, now).is_err() {
            self.cut_slow();
        }
    }

    /// Aborts the connection of a client that does not read, and counts it.
    pub(in crate::signalr) fn cut_slow(&self) {
        if let Some(host) = self.host.upgrade() {
            host.count_slow_cut();
        }
        self.abort();
    }

    /// Cuts the socket, as the only thing that reaches a client which does not read.
    pub(in crate::signalr) fn abort(&self) {
        self.forbid_reconnect();
        self.outbound.discard();
        self.flags.peer_is_done.set(true);
        abort_socket(&self.socket.take());
        self.tell_end(TransportEnd::SlowConsumer);
    }

    /// The handler's last word: what has been sent still goes out, then the transport
    /// is closed. May be called twice; the first counts.
    pub(in crate::signalr) fn close(self: &Rc<Self>, status: CloseStatus, now: Instant) {
        if self.flags.handler_is_done.replace(true) {
            return;
        }
        self.reconnect.set(false);
        self.flags.has_ended.set(true);
        self.renewals.take();
        if self.flags.transport_is_gone.get() {
            self.dispose();
            return;
        }
        match self.transport {
            TransportKind::WebSockets => {
                // One that does not fit belongs to a client that does not read.
                self.push(close_frame(status), now);
                self.outbound.close();
                self.closing_since.set(Some(now));
                self.finish_socket();
            }
            TransportKind::ServerSentEvents | TransportKind::LongPolling => self.outbound.end(),
        }
    }

    /// The transport of this attachment is done with, for whatever reason.
    pub(in crate::signalr) fn transport_gone(&self, attachment: u32, now: Instant) {
        if attachment != self.outbound.attachment() || self.flags.transport_is_gone.get() {
            return;
        }
        *self.socket.borrow_mut() = Weak::new();
        if self.flags.handler_is_done.get() {
            self.dispose();
        } else if self.may_reconnect() {
            self.outbound.detach();
            self.flags.transport_is_gone.set(true);
            *self.source.borrow_mut() = Source::None;
            self.inactive_since.set(Some(now));
        } else {
            self.flags.transport_is_gone.set(true);
            self.outbound.discard();
            self.tell_end(TransportEnd::Lost);
        }
    }

    /// Another socket takes the place of the one that there is or was. False when the
    /// connection may not go on.
    pub(super) fn reattach(&self, source: Source, socket: Weak<Socket>) -> bool {
        if !self.may_reconnect() || self.flags.handler_is_done.get() {
            return false;
        }
        abort_socket(&self.socket.take());
        self.outbound.detach();
        *self.source.borrow_mut() = source;
        *self.socket.borrow_mut() = socket;
        self.flags.is_remote.set(true);
        self.inactive_since.set(None);
        self.flags.transport_is_gone.set(false);
        self.flags.is_reattached.set(true);
        self.reader.wake();
        true
    }

    /// Ends the connection as its client asks for it by a request.
    pub(super) fn terminate(self: &Rc<Self>) {
        if let Some(polls) = &self.polls {
            polls.terminate();
        }
        self.flags.transport_is_gone.set(true);
        if self.flags.handler_is_done.get() {
            self.dispose();
        } else {
            self.tell_end(TransportEnd::ClosedByClient);
        }
    }

    pub(in crate::signalr) fn options(&self) -> &ConnectionOptions {
        &self.options
    }

    /// Whose turn it is, on a connection that polls.
    pub(in crate::signalr) fn polls(&self) -> Option<&PollTurns> {
        self.polls.as_deref()
    }

    /// A poll has begun or ended: only a connection without one can time out.
    pub(in crate::signalr) fn set_polled(&self, is_polled: bool, now: Instant) {
        self.inactive_since.set((!is_polled).then_some(now));
    }

    /// When a client that polls last had a poll open; none for others.
    pub(in crate::signalr) fn polled_at(&self, now: Instant) -> Option<Instant> {
        self.polls.as_ref().map(|_| self.inactive_since.get().unwrap_or(now))
    }

    /// When the client's token ends.
    pub(in crate::signalr) fn expires_at(&self) -> Option<Instant> {
        self.expires_at.get()
    }

    /// Has the handler decide about newer credentials. Where none does, or too many wait,
    /// they are dropped, and whoever waits for that finds out.
    pub(super) fn renew(&self, renewal: Renewal) {
        let mut renewals = self.renewals.borrow_mut();
        if !self.flags.handler_is_done.get() && renewals.len() < RENEWALS_MAX {
            renewals.push_back(renewal);
            self.reader.wake();
        }
    }

    /// The handler has taken credentials that end then.
    pub(in crate::signalr) fn extend(&self, expires_at: Option<SystemTime>) {
        self.expires_at.set(expires_at.map(|at| instant_of(at, Instant::now())));
        self.credentials_end.set(expires_at);
    }

    /// Whether credentials that end then end before those that count.
    pub(in crate::signalr) fn outlives(&self, expires_at: Option<SystemTime>) -> bool {
        let of = self.credentials_end.get();
        expires_at.is_some_and(|expires_at| of.is_none_or(|of| of > expires_at))
    }

    /// Whether the user's credentials have ended.
    pub(in crate::signalr) fn has_expired(&self, now: Instant) -> bool {
        self.expires_at.get().is_some_and(|at| now >= at)
    }

    /// What was sent last has been taken by a client that polls: nothing is left.
    pub(in crate::signalr) fn drained(&self) {
        self.dispose();
    }

    /// Looks at the timers once.
    pub(super) fn sweep(&self, now: Instant) {
        let options = &self.options;
        let has_passed = |since: Option<Instant>, limit: Duration| {
            since.is_some_and(|since| now.saturating_duration_since(since) > limit)
        };
        // Who polls takes nothing in between; that it polls is what is looked at.
        let is_stalled = self.transport != TransportKind::LongPolling
            && self.outbound.stalled_for(now) > options.send_timeout;
        if has_passed(self.inactive_since.get(), options.disconnect_timeout) {
            self.time_out();
        } else if is_stalled {
            self.cut_slow();
        } else if has_passed(self.closing_since.get(), options.close_timeout) {
            self.abort();
        } else if self.has_expired(now) {
            self.tell_end(TransportEnd::Expired);
        }
    }

    /// Nobody came back.
    fn time_out(&self) {
        self.inactive_since.set(None);
        self.flags.transport_is_gone.set(true);
        self.reconnect.set(false);
        self.outbound.discard();
        if self.flags.handler_is_done.get() {
            self.dispose();
        } else {
            self.tell_end(TransportEnd::Lost);
        }
    }

    /// The next thing that came in.
    pub(super) fn poll_inbound(&self, context: &mut Context<'_>) -> Poll<Inbound> {
        loop {
            if let Some(end) = self.flags.end.take() {
                return Poll::Ready(Inbound::End(end));
            }
            if self.flags.is_reattached.replace(false) {
                return Poll::Ready(Inbound::Reattached);
            }
            if self.flags.is_nudged.replace(false) {
                return Poll::Ready(Inbound::Nudge);
            }
            if let Some(renewal) = self.renewals.borrow_mut().pop_front() {
                return Poll::Ready(Inbound::Renewal(renewal));
            }
            if self.flags.handler_is_done.get() {
                // From here whoever awaits the client's close is the one reader.
                return Poll::Pending;
            }
            self.reader.register(context);
            if self.flags.is_shut.get() || self.flags.has_ended.get() {
                return Poll::Pending;
            }
            let Poll::Ready(event) = self.source.borrow_mut().poll_event(context) else {
                return Poll::Pending;
            };
            match event {
                SourceEvent::Bytes(bytes) => return Poll::Ready(Inbound::Bytes(bytes)),
                SourceEvent::Ping(payload) => self.push(pong_frame(&payload), Instant::now()),
                SourceEvent::End(end) => self.source_ended(end),
            }
        }
    }

    fn source_ended(&self, end: TransportEnd) {
        *self.source.borrow_mut() = Source::None;
        match end {
            TransportEnd::ClosedByClient => {
                self.flags.peer_is_done.set(true);
                self.reconnect.set(false);
                self.tell_end(end);
            }
            TransportEnd::Lost => {
                self.flags.peer_is_done.set(true);
                self.transport_gone(self.outbound.attachment(), Instant::now());
            }
            TransportEnd::Violation(_) | TransportEnd::SlowConsumer | TransportEnd::Expired => {
                self.reconnect.set(false);
                self.tell_end(end);
            }
        }
    }

    /// Reads on until the client's close has come, so that the socket is not closed
    /// under it, and then closes the socket.
    ///
    /// actix-web would keep it open for a while, for a client that has not read its
    /// answer yet. This one has, or has said that it does not care.
    fn finish_socket(self: &Rc<Self>) {
        let Some(host) = self.host.upgrade() else {
            return;
        };
        let link = Rc::clone(self);
        host.spawn(async move {
            std::future::poll_fn(|context| link.poll_peer_close(context)).await;
            std::future::poll_fn(|context| link.outbound.poll_drained(context)).await;
            link.outbound.end();
            // On another thread some of the output may still be on its way to the socket.
            if !link.flags.is_remote.get()
                && let Some(socket) = link.socket.borrow().upgrade()
            {
                // A socket that is closed by now is what is wanted.
                let _ = socket.shutdown(std::net::Shutdown::Write);
            }
        });
    }

    fn poll_peer_close(&self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.flags.peer_is_done.get() || self.flags.transport_is_gone.get() {
                return Poll::Ready(());
            }
            self.reader.register(context);
            match self.source.borrow_mut().poll_event(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(SourceEvent::Bytes(_) | SourceEvent::Ping(_)) => {}
                Poll::Ready(SourceEvent::End(_)) => self.flags.peer_is_done.set(true),
            }
        }
    }

    /// The handler hears the transport's last word once.
    fn tell_end(&self, end: TransportEnd) {
        if !self.flags.has_ended.replace(true) {
            self.flags.end.set(Some(end));
        }
        self.reader.wake();
    }

    /// Nothing of the connection stays behind. May be called twice.
    fn dispose(&self) {
        self.flags.transport_is_gone.set(true);
        self.outbound.discard();
        *self.source.borrow_mut() = Source::None;
        self.reader.wake();
        if let Some(host) = self.host.upgrade() {
            host.remove(&self.token);
        }
    }
}

/// Credentials that wait for the handler, which hears of them as soon as it runs.
const RENEWALS_MAX: usize = 8;

/// Cuts a socket off, whatever is still to be sent on it.
pub(in crate::signalr) fn abort_socket(socket: &Weak<Socket>) {
    if let Some(socket) = socket.upgrade() {
        // A socket that is closed by now is what is wanted.
        let _ = socket.set_linger(Some(Duration::ZERO));
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }
}

impl From<Violation> for CloseStatus {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Protocol => Self::Protocol,
            Violation::InvalidUtf8 => Self::InvalidUtf8,
            Violation::TooBig => Self::TooBig,
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("id", &self.id)
            .field("transport", &self.transport)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}
