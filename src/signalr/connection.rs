//! What is known of one connection on its worker thread.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use actix::{Message, Recipient};
use socket2::Socket;

use super::close::CloseReason;
use super::message::{SerializedMessage, framed};
use super::outbound::Outbound;
use super::protocol::{HubMessage, ProtocolKind};
use super::transport::TransportKind;

/// A connection's public name, which other users may learn.
pub type ConnectionId = Rc<str>;

/// Tells a session to end its connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct CloseConnection(pub(super) CloseReason);

/// What session, shard and transport share of a connection. It belongs to one
/// thread, so plain cells do. What a delivery touches comes first.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Connection {
    /// The last publication that reached it, so that two groups do not send it twice.
    pub(super) reached_by: Cell<u64>,
    /// Chosen by the handshake; before it nothing is delivered.
    pub(super) protocol: Cell<Option<ProtocolKind>>,
    pub(super) transport: TransportKind,
    pub(super) outbound: Outbound,
    pub(super) id: ConnectionId,
    /// The connection's place in the shard's table.
    pub(super) slot: Cell<usize>,
    /// The groups that it is in, each with its place among their members.
    pub(super) groups: RefCell<Vec<(Rc<str>, usize)>>,
    pub(super) timers: Timers,
    session: RefCell<Option<Recipient<CloseConnection>>>,
    socket: Weak<Socket>,
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
    pub(super) expires_at: Option<Instant>,
}

impl Timers {
    pub(super) fn new(now: Instant, expires_at: Option<Instant>) -> Self {
        Self {
            opened_at: now,
            pinged_at: Cell::new(now),
            received_at: Cell::new(now),
            client_pings: Cell::new(false),
            is_dispatching: Cell::new(false),
            expires_at,
        }
    }

    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.received_at.get())
    }
}

impl Connection {
    pub(super) fn new(
        id: ConnectionId,
        transport: TransportKind,
        outbound: Outbound,
        timers: Timers,
        socket: Weak<Socket>,
    ) -> Self {
        Self {
            id,
            transport,
            outbound,
            protocol: Cell::new(None),
            slot: Cell::new(usize::MAX),
            groups: RefCell::default(),
            reached_by: Cell::new(0),
            timers,
            session: RefCell::default(),
            socket,
        }
    }

    /// Says where the session is, until [`forget_session`](Self::forget_session).
    pub(super) fn set_session(&self, session: Recipient<CloseConnection>) {
        *self.session.borrow_mut() = Some(session);
    }

    /// Ends the circle between session and connection.
    pub(super) fn forget_session(&self) {
        self.session.take();
    }

    /// Asks the session to end. A session that is gone needs no asking; one whose
    /// mailbox is full gets its close at the next sweep.
    pub(super) fn close(&self, reason: CloseReason) {
        if let Some(session) = self.session.borrow().as_ref() {
            // Full or gone are both as described above.
            let _ = session.try_send(CloseConnection(reason));
        }
    }

    /// Sends a message that is this connection's alone. One that does not fit aborts it.
    pub(super) fn send(&self, message: &HubMessage) {
        if let Some(protocol) = self.protocol.get() {
            let frame = framed(protocol, self.transport, message);
            if self.outbound.push(frame, Instant::now()).is_err() {
                self.abort();
            }
        }
    }

    /// Sends a message that many get. The time is asked once for all of them.
    pub(super) fn send_shared(&self, message: &SerializedMessage, now: Instant) {
        if let Some(protocol) = self.protocol.get() {
            let frame = message.framed(protocol, self.transport).clone();
            if self.outbound.push(frame, now).is_err() {
                self.abort();
            }
        }
    }

    /// Cuts the socket, as the only thing that reaches a client which does not read.
    pub(super) fn abort(&self) {
        self.outbound.discard();
        if let Some(socket) = self.socket.upgrade() {
            // A socket that is closed by now is what is wanted.
            let _ = socket.set_linger(Some(Duration::ZERO));
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
        self.close(CloseReason::SlowConsumer);
    }
}
