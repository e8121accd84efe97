//! One connection's conversation, from its handshake to its end.
//!
//! State:      where the connection is in its life, bytes that wait to be read, and
//!             what runs for it.
//! Listens to: its link's input, in which nudges tell it to look for requests to
//!             close and for room that has come free; and its own calls as they finish.
//! Speaks to:  the hub's methods, and its connection's output queue; waits for neither.
//! Stops here: whatever goes wrong with one client. A method that panics fails its
//!             invocation; a session that panics takes its own connection along.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Instant;

use actix::prelude::*;
use bytes::BytesMut;
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::Hub;
use super::caller::{Call, HubCaller};
use super::client::Connection;
use super::close::{CLOSE_NAMES, CloseReason};
use super::connection_log;
use super::error::HubError;
use super::pace::Pace;
use super::renewals::Renewals;
use super::stateful::Received;
use super::upload::UploadBuffer;
use super::worker::HubWorker;
use crate::signalr::connection::{Accepted, Inbound, LinkInput, TaskCount, TransportEnd};
use crate::signalr::protocol::{
    HandshakeError, HandshakeRequest, HubMessage, MessageReader, ProtocolError, ProtocolKind,
    TransferFormat, encode_handshake_response, read_handshake,
};
use crate::signalr::transport::websocket_frames::CloseStatus;

/// One connection.
pub(super) struct Session<H: Hub> {
    pub(super) worker: Rc<HubWorker<H>>,
    pub(super) connection: Rc<Connection>,
    input: Option<LinkInput>,
    state: State,
    pub(super) renewals: Renewals,
    /// A message that waits for a call that runs, or for room; nothing behind it is read.
    waiting: Option<HubMessage>,
    /// Calls that run and are no streams.
    pub(super) running: usize,
    /// Streams to the client that run, by the ids of their invocations. A tree, as most
    /// connections have none, and an empty one is small.
    pub(super) streams: Rc<RefCell<BTreeMap<String, CancellationToken>>>,
    /// Streams from the client that are not at their end, by their ids.
    pub(super) uploads: BTreeMap<String, Rc<UploadBuffer>>,
    /// Messages that have come.
    messages_in: u64,
    /// What has come, on a connection that may reconnect.
    received: Option<Box<Received>>,
    /// How many calls there may be; none where nobody has said.
    pub(super) pace: Option<Box<Pace>>,
    _count: TaskCount,
}

/// Where a connection is in its life. Nothing is delivered before `Open`'s reader exists.
enum State {
    /// The client has not said yet which protocol it speaks.
    AwaitingHandshake { buffer: BytesMut, scanned: usize },
    /// The hub is asked whether it takes the connection; messages wait.
    Connecting(MessageReader),
    /// Messages are dispatched.
    Open(MessageReader),
    /// The end has been announced; nothing is read any more.
    Closing,
    /// The disconnected hook has run as well; only calls that run are waited for.
    Closed,
}

impl<H: Hub> Session<H> {
    pub(super) fn new(worker: Rc<HubWorker<H>>, accepted: Accepted<H::User>) -> Self {
        let Accepted { link, input, user } = accepted;
        let options = Rc::clone(&worker.options);
        let connection = Connection::new(link, Rc::new(user), options, Instant::now());
        Self {
            connection: Rc::new(connection),
            input: Some(input),
            state: State::AwaitingHandshake { buffer: BytesMut::new(), scanned: 0 },
            renewals: Renewals::default(),
            waiting: None,
            running: 0,
            streams: Rc::default(),
            uploads: BTreeMap::new(),
            messages_in: 0,
            received: None,
            pace: worker.options.invocations_per_second_max.map(Pace::new).map(Box::new),
            _count: worker.shard.handle().links().task(),
            worker,
        }
    }

    pub(super) fn caller(&self, call: Rc<Call>) -> HubCaller<H> {
        HubCaller {
            connection: Rc::clone(&self.connection),
            shard: Rc::clone(&self.worker.shard),
            call,
            hub: PhantomData,
        }
    }

    pub(super) fn hook_caller(&self, is_connected_hook: bool) -> HubCaller<H> {
        self.caller(Rc::new(Call {
            is_connected_hook,
            holds_gate: Cell::new(false),
            cancellation: None,
        }))
    }

    /// Reads on, as far as the bytes reach and calls that run allow.
    pub(super) fn advance(&mut self, ctx: &mut Context<Self>) {
        if matches!(self.state, State::AwaitingHandshake { .. }) {
            self.shake_hands(ctx);
        }
        self.begin_renewal(ctx);
        loop {
            if let Some(waiting) = self.waiting.take() {
                self.waiting = self.dispatch(waiting, ctx);
            }
            let State::Open(reader) = &mut self.state else {
                break;
            };
            if self.waiting.is_some() {
                break;
            }
            match reader.next_message() {
                Ok(Some(message)) => {
                    self.messages_in += 1;
                    self.connection.timers.received_at.set(Instant::now());
                    if self.is_new(&message) {
                        self.waiting = Some(message);
                    }
                }
                Ok(None) => break,
                Err(error) => self.end(CloseReason::Protocol(error), ctx),
            }
        }
        self.regulate_input();
    }

    /// Whether messages are dispatched.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Counts what is counted; false for what has been received before.
    fn is_new(&mut self, message: &HubMessage) -> bool {
        match &mut self.received {
            Some(received) if message.is_trackable() => received.is_new(),
            Some(_) | None => true,
        }
    }

    /// Lets input flow while it is being read, and only then: what has been taken
    /// from the transport and not read is at most one piece of it.
    fn regulate_input(&self) {
        let must_wait = match &self.state {
            State::AwaitingHandshake { .. } | State::Closing | State::Closed => false,
            State::Connecting(_) => true,
            State::Open(_) => self.waiting.is_some(),
        };
        let is_dispatching = must_wait || self.connection.gated.get() > 0;
        self.connection.timers.is_dispatching.set(is_dispatching);
        if must_wait {
            self.connection.link.shut_gate();
        } else {
            self.connection.link.open_gate();
        }
    }

    fn shake_hands(&mut self, ctx: &mut Context<Self>) {
        let State::AwaitingHandshake { buffer, scanned } = &mut self.state else {
            return;
        };
        let bytes_max = self.worker.options.message_bytes_max;
        let request = match read_handshake(buffer, scanned, bytes_max) {
            Ok(None) => return,
            Ok(Some(request)) => request,
            Err(error) => return self.refuse_handshake(&error, ctx),
        };
        let left_over = std::mem::take(buffer);
        let HandshakeRequest { protocol, version } = request;
        if !self.connection.transport().transfer_formats().contains(&protocol.transfer_format()) {
            let protocol = protocol.name().to_owned();
            return self.refuse_handshake(&HandshakeError::BinaryOnText { protocol }, ctx);
        }
        self.connection.protocol.set(Some(protocol));
        self.answer_handshake(Ok(()));
        self.agree_on_reconnecting(version);
        self.worker.shard.make_addressable(&self.connection);
        connection_log::opened(&self.connection);
        self.state = State::Connecting(MessageReader::new(protocol, bytes_max, left_over));
        self.connect(ctx);
    }

    /// Version 1 has no messages for it, whatever was negotiated.
    fn agree_on_reconnecting(&mut self, version: i64) {
        if version < STATEFUL_VERSION_MIN {
            self.connection.link.forbid_reconnect();
        } else if self.connection.link.may_reconnect() {
            self.connection.keep_copies();
            self.received = Some(Box::default());
        }
    }

    fn refuse_handshake(&mut self, error: &HandshakeError, ctx: &mut Context<Self>) {
        if let HandshakeError::Malformed(detail) = error {
            log::debug!(connection_id = &**self.connection.id(), detail; "a handshake is not understood");
        }
        self.answer_handshake(Err(error));
        self.end(CloseReason::HandshakeFailed, ctx);
    }

    /// A refusal is text; a success is in the format of what follows.
    fn answer_handshake(&self, result: Result<(), &HandshakeError>) {
        let mut response = BytesMut::new();
        encode_handshake_response(result, self.worker.options.detailed_errors, &mut response);
        let protocol = self.connection.protocol.get();
        let format = protocol.map_or(TransferFormat::Text, ProtocolKind::transfer_format);
        self.connection.push_untracked(self.connection.transport().frame(format, &response));
    }

    /// Asks the hub whether it takes the connection.
    fn connect(&mut self, ctx: &mut Context<Self>) {
        let hook = Rc::clone(&self.worker.hub).connected(self.hook_caller(true));
        let hook = AssertUnwindSafe(hook).catch_unwind();
        ctx.spawn(hook.into_actor(self).map(|outcome, session, ctx| {
            let outcome =
                outcome.unwrap_or_else(|_| Err(HubError::failed("the connected hook panicked")));
            if !matches!(session.state, State::Connecting(_)) {
                // It ended meanwhile; a hook that has run must be paired all the same.
                match outcome {
                    Ok(()) => session.disconnect(None, ctx),
                    Err(_) => session.stop_when_idle(ctx),
                }
                return;
            }
            match outcome {
                Ok(()) => {
                    if let State::Connecting(reader) =
                        std::mem::replace(&mut session.state, State::Closing)
                    {
                        session.state = State::Open(reader);
                    }
                    session.advance(ctx);
                }
                Err(error) => session.end(CloseReason::ConnectedHookFailed(error), ctx),
            }
        }));
    }

    /// Acts on a message, or gives it back when it has to wait.
    fn dispatch(&mut self, message: HubMessage, ctx: &mut Context<Self>) -> Option<HubMessage> {
        match message {
            HubMessage::Invocation { .. } | HubMessage::StreamInvocation { .. } => {
                return self.invoke(message, ctx);
            }
            HubMessage::StreamItem { invocation_id, item } => {
                return self.take_item(invocation_id, item);
            }
            HubMessage::Completion { invocation_id, outcome } => {
                self.take_completion(&invocation_id, outcome);
            }
            HubMessage::CancelInvocation { invocation_id } => {
                if let Some(cancellation) = self.streams.borrow().get(&invocation_id) {
                    cancellation.cancel();
                }
            }
            HubMessage::Ping => self.connection.timers.client_pings.set(true),
            HubMessage::Close { error, .. } => self.end(CloseReason::ClientClosed(error), ctx),
            HubMessage::Ack { sequence_id } => self.connection.acknowledge(sequence_id),
            HubMessage::Sequence { sequence_id } => {
                if let Some(received) = &mut self.received
                    && received.resume_at(sequence_id).is_err()
                {
                    let error = ProtocolError::InvalidData(SEQUENCE_TOO_HIGH.to_owned());
                    self.end(CloseReason::Protocol(error), ctx);
                }
            }
        }
        None
    }

    /// Looks at what is not in the input: requests to close, acknowledgements that are
    /// due, and whether what waits can go on.
    fn look_around(&mut self, ctx: &mut Context<Self>) {
        match (&self.state, self.connection.take_close_request()) {
            (State::AwaitingHandshake { .. }, Some(CloseReason::HandshakeFailed)) => {
                self.refuse_handshake(&HandshakeError::Canceled, ctx);
            }
            // Too late: it has shaken hands since.
            (_, Some(CloseReason::HandshakeFailed)) => {}
            (_, Some(reason)) => self.end(reason, ctx),
            (_, None) => {}
        }
        if let Some(received) = &mut self.received
            && let Some(sequence_id) = received.take_acknowledgement()
        {
            self.connection.send(&HubMessage::Ack { sequence_id });
        }
        self.advance(ctx);
    }

    /// Goes on with another socket: what the old one left unfinished is void.
    fn resume(&mut self, ctx: &mut Context<Self>) {
        match &mut self.state {
            State::AwaitingHandshake { buffer, scanned } => {
                buffer.clear();
                *scanned = 0;
                self.connection.link.outbound.attach();
            }
            State::Connecting(reader) | State::Open(reader) => {
                reader.reset();
                self.connection.resume();
            }
            State::Closing | State::Closed => {}
        }
        self.advance(ctx);
    }

    /// Ends the connection: announces it where that can reach the client, and lets
    /// the transport close behind what waits. May be called twice; the first counts.
    pub(super) fn end(&mut self, reason: CloseReason, ctx: &mut Context<Self>) {
        self.end_with(reason, CloseStatus::Normal, ctx);
    }

    fn end_with(&mut self, reason: CloseReason, status: CloseStatus, ctx: &mut Context<Self>) {
        if matches!(self.state, State::Closing | State::Closed) {
            return;
        }
        let was = std::mem::replace(&mut self.state, State::Closing);
        log::debug!(connection_id = &**self.connection.id(), reason:?; "a connection ends");
        self.note_end(reason.place());
        self.waiting = None;
        self.renewals.clear();
        self.worker.shard.remove(&self.connection);
        if let Some(close) = reason.close_message(self.worker.options.detailed_errors) {
            self.connection.send(&close);
        }
        self.connection.link.close(status, Instant::now());
        self.connection.forget_waiting();
        for upload in std::mem::take(&mut self.uploads).into_values() {
            upload.finish(Err(HubError::Exception(CONNECTION_CLOSED.to_owned())));
        }
        for cancellation in self.streams.borrow().values() {
            cancellation.cancel();
        }
        match was {
            State::Open(_) => self.disconnect(reason.failure(), ctx),
            // The hook that runs comes here when it is done.
            State::Connecting(_) if !matches!(reason, CloseReason::ConnectedHookFailed(_)) => {}
            State::Connecting(_)
            | State::AwaitingHandshake { .. }
            | State::Closing
            | State::Closed => self.stop_when_idle(ctx),
        }
    }

    /// Counts the end, and logs it.
    fn note_end(&self, reason: usize) {
        self.worker.shard.handle().tallies().closed(reason);
        connection_log::closed(&self.connection, CLOSE_NAMES[reason], self.messages_in);
    }

    /// Tells the hub that the connection has ended.
    fn disconnect(&mut self, failure: Option<String>, ctx: &mut Context<Self>) {
        let hook = Rc::clone(&self.worker.hub).disconnected(self.hook_caller(false), failure);
        let hook = AssertUnwindSafe(hook).catch_unwind();
        ctx.spawn(hook.into_actor(self).map(|outcome, session, ctx| {
            if outcome.is_err() {
                let id = &**session.connection.id();
                log::error!(connection_id = id; "the disconnected hook panicked");
            }
            session.stop_when_idle(ctx);
        }));
    }

    fn stop_when_idle(&mut self, ctx: &mut Context<Self>) {
        self.state = State::Closed;
        self.stop_if_idle(ctx);
    }

    /// Stops once nothing runs any more: a call that has begun goes to its end.
    pub(super) fn stop_if_idle(&mut self, ctx: &mut Context<Self>) {
        if matches!(self.state, State::Closed) && self.running == 0 {
            ctx.stop();
        }
    }
}

/// The version of the hub protocols from which on connections may reconnect.
const STATEFUL_VERSION_MIN: i64 = 2;

const SEQUENCE_TOO_HIGH: &str = "Sequence ID greater than amount of messages we've received.";

const CONNECTION_CLOSED: &str = "The underlying connection was closed.";

impl<H: Hub> Actor for Session<H> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.worker.shard.add(&self.connection);
        if let Some(input) = self.input.take() {
            ctx.add_stream(input);
        }
    }
}

impl<H: Hub> Drop for Session<H> {
    /// Runs however the actor ends, also by a panic: nothing of it stays behind.
    fn drop(&mut self) {
        self.worker.shard.remove(&self.connection);
        self.connection.forget_waiting();
        for cancellation in self.streams.borrow().values() {
            cancellation.cancel();
        }
        if !matches!(self.state, State::Closing | State::Closed) {
            self.note_end(CloseReason::PANICKED);
            self.connection.link.abort();
            self.connection.link.close(CloseStatus::InternalError, Instant::now());
        }
    }
}

impl<H: Hub> StreamHandler<Inbound> for Session<H> {
    fn handle(&mut self, inbound: Inbound, ctx: &mut Self::Context) {
        let end = match inbound {
            Inbound::Bytes(bytes) => {
                match &mut self.state {
                    State::AwaitingHandshake { buffer, .. } => buffer.extend_from_slice(&bytes),
                    State::Connecting(reader) | State::Open(reader) => reader.feed(&bytes),
                    State::Closing | State::Closed => return,
                }
                return self.advance(ctx);
            }
            Inbound::Nudge => return self.look_around(ctx),
            Inbound::Renewal(renewal) => return self.take_renewal(renewal, ctx),
            Inbound::Reattached => return self.resume(ctx),
            Inbound::End(end) => end,
        };
        match end {
            TransportEnd::ClosedByClient => self.end_of_input(ctx),
            TransportEnd::Lost => self.end(CloseReason::TransportLost, ctx),
            TransportEnd::SlowConsumer => self.end(CloseReason::SlowConsumer, ctx),
            TransportEnd::Expired => self.end(CloseReason::AuthenticationExpired, ctx),
            TransportEnd::Violation(violation) => {
                let error = ProtocolError::InvalidData("bad WebSocket frame".to_owned());
                self.end_with(CloseReason::Protocol(error), violation.into(), ctx);
            }
        }
    }

    /// The input's last word has been heard; calls that run go on.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl<H: Hub> Session<H> {
    /// The client has closed the transport: properly, if not inside of a message.
    fn end_of_input(&mut self, ctx: &mut Context<Self>) {
        let is_whole = match &self.state {
            State::Open(reader) | State::Connecting(reader) => reader.finish(),
            State::AwaitingHandshake { .. } | State::Closing | State::Closed => Ok(()),
        };
        let reason = is_whole.map_or_else(CloseReason::Protocol, |()| CloseReason::TransportClosed);
        self.end(reason, ctx);
    }
}
