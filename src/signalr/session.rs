//! One connection, from its handshake to its end.
//!
//! State:      where the connection is in its life, bytes that wait to be read, and
//!             how many invocations run.
//! Listens to: its transport's input, its own invocations as they finish, and
//!             `CloseConnection` (from the shard's sweep, or anybody who ends it).
//! Speaks to:  the hub's methods, and its connection's output queue; waits for neither.
//! Stops here: whatever goes wrong with one client. A method that panics fails its
//!             invocation; a session that panics takes its own connection along.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Instant;

use actix::prelude::*;
use actix_web::web;
use bytes::BytesMut;
use futures_util::FutureExt as _;

use super::close::CloseReason;
use super::connection::{CloseConnection, Connection};
use super::hub::{Hub, HubCaller, HubError, binding_error, invocation_error, unknown_method_error};
use super::protocol::{
    CompletionOutcome, HandshakeError, HubMessage, MessageReader, Payload, ProtocolError,
    encode_handshake_response, read_handshake,
};
use super::transport::websocket_frames::{InboundFrames, InboundGate, close_frame, pong_frame};
use super::transport::{Inbound, Violation, frame};
use super::worker::HubWorker;

/// Where a session's input comes from.
pub(super) struct SessionInput {
    /// The socket's bytes.
    pub(super) payload: web::Payload,
    /// The negotiated token, if any; released when the session ends.
    pub(super) token: Option<String>,
}

/// One connection.
pub(super) struct Session<H: Hub> {
    worker: Rc<HubWorker<H>>,
    connection: Rc<Connection>,
    user: Rc<H::User>,
    token: Option<String>,
    payload: Option<web::Payload>,
    gate: Rc<InboundGate>,
    state: State,
    running: usize,
    /// An invocation that waits for a running one; nothing behind it is read.
    waiting: Option<HubMessage>,
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
}

impl<H: Hub> Session<H> {
    pub(super) fn new(
        worker: Rc<HubWorker<H>>,
        connection: Rc<Connection>,
        user: H::User,
        input: SessionInput,
    ) -> Self {
        Self {
            worker,
            connection,
            user: Rc::new(user),
            token: input.token,
            payload: Some(input.payload),
            gate: Rc::default(),
            state: State::AwaitingHandshake { buffer: BytesMut::new(), scanned: 0 },
            running: 0,
            waiting: None,
        }
    }

    fn caller(&self) -> HubCaller<H> {
        HubCaller {
            connection: Rc::clone(&self.connection),
            shard: Rc::clone(&self.worker.shard),
            user: Rc::clone(&self.user),
        }
    }

    /// Reads on, as far as the bytes reach and invocations allow.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        if matches!(self.state, State::AwaitingHandshake { .. }) {
            self.shake_hands(ctx);
        }
        loop {
            if let Some(waiting) = self.waiting.take()
                && let Some(still_waiting) = self.dispatch(waiting, ctx)
            {
                self.waiting = Some(still_waiting);
            }
            let State::Open(reader) = &mut self.state else {
                break;
            };
            if self.waiting.is_some() {
                break;
            }
            match reader.next_message() {
                Ok(Some(message)) => {
                    self.connection.timers.received_at.set(Instant::now());
                    self.waiting = Some(message);
                }
                Ok(None) => break,
                Err(error) => self.end(CloseReason::Protocol(error), ctx),
            }
        }
        self.regulate_input();
    }

    /// Lets input flow while it is being read, and only then: what has been taken
    /// from the socket and not read is at most one frame.
    fn regulate_input(&self) {
        let must_wait = match &self.state {
            State::AwaitingHandshake { .. } | State::Closing => false,
            State::Connecting(_) => true,
            State::Open(_) => self.waiting.is_some(),
        };
        self.connection.timers.is_dispatching.set(must_wait || self.running > 0);
        if must_wait {
            self.gate.shut();
        } else {
            self.gate.open();
        }
    }

    fn shake_hands(&mut self, ctx: &mut Context<Self>) {
        let State::AwaitingHandshake { buffer, scanned } = &mut self.state else {
            return;
        };
        let options = &self.worker.options;
        match read_handshake(buffer, scanned, options.message_bytes_max) {
            Ok(None) => {}
            Ok(Some(request)) => {
                let left_over = std::mem::take(buffer);
                self.connection.protocol.set(Some(request.protocol));
                self.answer_handshake(Ok(()));
                let reader =
                    MessageReader::new(request.protocol, options.message_bytes_max, left_over);
                self.state = State::Connecting(reader);
                self.connect(ctx);
            }
            Err(error) => self.refuse_handshake(&error, ctx),
        }
    }

    fn refuse_handshake(&mut self, error: &HandshakeError, ctx: &mut Context<Self>) {
        if let HandshakeError::Malformed(detail) = error {
            log::debug!("connection {}: {detail}", self.connection.id);
        }
        self.answer_handshake(Err(error));
        self.end(CloseReason::HandshakeFailed, ctx);
    }

    fn answer_handshake(&self, result: Result<(), &HandshakeError>) {
        let mut response = BytesMut::new();
        encode_handshake_response(result, &mut response);
        let protocol =
            self.connection.protocol.get().unwrap_or(super::protocol::ProtocolKind::Json);
        // The first frame of a connection always fits.
        let _ = self
            .connection
            .outbound
            .push(frame(self.connection.transport, protocol, &response), Instant::now());
    }

    /// Asks the hub whether it takes the connection.
    fn connect(&mut self, ctx: &mut Context<Self>) {
        let hook = Rc::clone(&self.worker.hub).connected(self.caller());
        let hook = AssertUnwindSafe(hook).catch_unwind();
        ctx.spawn(hook.into_actor(self).map(|outcome, session, ctx| {
            let State::Connecting(_) = &session.state else {
                // It ended meanwhile; a hook that has run must be paired all the same.
                match outcome {
                    Ok(Ok(())) => session.disconnect(None, ctx),
                    Ok(Err(_)) | Err(_) => ctx.stop(),
                }
                return;
            };
            match outcome {
                Ok(Ok(())) => {
                    if let State::Connecting(reader) =
                        std::mem::replace(&mut session.state, State::Closing)
                    {
                        session.state = State::Open(reader);
                    }
                    session.advance(ctx);
                }
                Ok(Err(
                    HubError::Refused(text) | HubError::Exception(text) | HubError::Failed(text),
                )) => session.end(CloseReason::ConnectedHookFailed(text), ctx),
                Err(_) => session
                    .end(CloseReason::ConnectedHookFailed("the hook panicked".to_owned()), ctx),
            }
        }));
    }

    /// Acts on a message, or gives it back when it has to wait.
    fn dispatch(&mut self, message: HubMessage, ctx: &mut Context<Self>) -> Option<HubMessage> {
        match message {
            HubMessage::Invocation { .. }
                if self.running >= self.worker.options.parallel_invocations_max =>
            {
                return Some(message);
            }
            HubMessage::Invocation { invocation_id, target, arguments, .. } => {
                self.invoke(invocation_id, &target, &arguments, ctx);
            }
            HubMessage::StreamInvocation { invocation_id, target, .. } => {
                let error = self.worker.methods.get(&target).map_or_else(
                    || unknown_method_error(&target),
                    |method| {
                        format!(
                            "The client attempted to invoke the non-streaming '{}' method with \
                             a streaming invocation.",
                            method.name
                        )
                    },
                );
                self.complete(Some(invocation_id), CompletionOutcome::Error(error));
            }
            HubMessage::Ping => self.connection.timers.client_pings.set(true),
            HubMessage::Close { error, .. } => self.end(CloseReason::ClientClosed(error), ctx),
            // Late, unknown or unsolicited: each is to be ignored.
            HubMessage::StreamItem { .. }
            | HubMessage::Completion { .. }
            | HubMessage::CancelInvocation { .. }
            | HubMessage::Ack { .. }
            | HubMessage::Sequence { .. } => {}
        }
        None
    }

    fn invoke(
        &mut self,
        invocation_id: Option<String>,
        target: &str,
        arguments: &[Payload],
        ctx: &mut Context<Self>,
    ) {
        let Some(protocol) = self.connection.protocol.get() else {
            return;
        };
        let Some(method) = self.worker.methods.get(target) else {
            let error = unknown_method_error(target);
            self.complete(invocation_id, CompletionOutcome::Error(error));
            return;
        };
        let detailed_errors = self.worker.options.detailed_errors;
        let hub = Rc::clone(&self.worker.hub);
        let name = method.name;
        let running = match method.call(hub, self.caller(), arguments, protocol) {
            Ok(running) => running,
            Err(error) => {
                let error = binding_error(name, &error, detailed_errors);
                self.complete(invocation_id, CompletionOutcome::Error(error));
                return;
            }
        };
        self.running += 1;
        let running = AssertUnwindSafe(running).catch_unwind();
        ctx.spawn(running.into_actor(self).map(move |outcome, session, ctx| {
            session.running -= 1;
            let outcome = match outcome {
                Ok(Ok(value)) => CompletionOutcome::Value(value),
                Ok(Err(error)) => {
                    CompletionOutcome::Error(invocation_error(name, error, detailed_errors))
                }
                Err(_) => CompletionOutcome::Error(invocation_error(
                    name,
                    HubError::Failed("the method panicked".to_owned()),
                    detailed_errors,
                )),
            };
            session.complete(invocation_id, outcome);
            session.advance(ctx);
        }));
    }

    /// Answers an invocation, if anybody waits for its answer.
    fn complete(&self, invocation_id: Option<String>, outcome: CompletionOutcome) {
        if let Some(invocation_id) = invocation_id {
            self.connection.send(&HubMessage::Completion { invocation_id, outcome });
        }
    }

    /// Ends the connection: announces it where that can reach the client, and lets
    /// the transport close behind what waits. May be called twice; the first counts.
    fn end(&mut self, reason: CloseReason, ctx: &mut Context<Self>) {
        self.end_with(reason, None, ctx);
    }

    fn end_with(
        &mut self,
        reason: CloseReason,
        violation: Option<Violation>,
        ctx: &mut Context<Self>,
    ) {
        let was = std::mem::replace(&mut self.state, State::Closing);
        if matches!(was, State::Closing) {
            return;
        }
        log::debug!("connection {} ends: {reason:?}", self.connection.id);
        self.waiting = None;
        self.worker.shard.remove(&self.connection);
        if let Some(close) = reason.close_message(self.worker.options.detailed_errors) {
            self.connection.send(&close);
        }
        // A queue without room belongs to a client that does not read: it is aborted.
        if self.connection.outbound.push(close_frame(violation), Instant::now()).is_err() {
            self.connection.abort();
        }
        self.connection.outbound.finish();
        match was {
            State::Open(_) => self.disconnect(reason.failure(), ctx),
            // The hook that runs comes here when it is done.
            State::Connecting(_) if !matches!(reason, CloseReason::ConnectedHookFailed(_)) => {}
            State::Connecting(_) | State::AwaitingHandshake { .. } | State::Closing => ctx.stop(),
        }
    }

    /// Tells the hub that the connection has ended, and stops.
    fn disconnect(&mut self, failure: Option<String>, ctx: &mut Context<Self>) {
        let hook = Rc::clone(&self.worker.hub).disconnected(self.caller(), failure);
        let hook = AssertUnwindSafe(hook).catch_unwind();
        ctx.spawn(hook.into_actor(self).map(|outcome, session, ctx| {
            if outcome.is_err() {
                log::error!("connection {}: the disconnected hook panicked", session.connection.id);
            }
            ctx.stop();
        }));
    }
}

impl<H: Hub> Actor for Session<H> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.connection.set_session(ctx.address().recipient());
        self.worker.shard.add(&self.connection);
        if let Some(payload) = self.payload.take() {
            let frame_bytes_max = self.worker.options.frame_bytes_max;
            ctx.add_stream(InboundFrames::new(payload, frame_bytes_max, Rc::clone(&self.gate)));
        }
    }
}

impl<H: Hub> Drop for Session<H> {
    /// Runs however the actor ends, also by a panic: nothing of it stays behind.
    fn drop(&mut self) {
        self.worker.shard.remove(&self.connection);
        self.connection.forget_session();
        self.worker.release(self.token.as_deref());
        if matches!(self.state, State::Closing) {
            self.connection.outbound.finish();
        } else {
            self.connection.abort();
        }
    }
}

impl<H: Hub> StreamHandler<Inbound> for Session<H> {
    fn handle(&mut self, inbound: Inbound, ctx: &mut Self::Context) {
        match inbound {
            Inbound::Bytes(bytes) => match &mut self.state {
                State::AwaitingHandshake { buffer, .. } => buffer.extend_from_slice(&bytes),
                State::Connecting(reader) | State::Open(reader) => reader.feed(&bytes),
                State::Closing => return,
            },
            Inbound::Ping(payload) => {
                if self.connection.outbound.push(pong_frame(&payload), Instant::now()).is_err() {
                    self.connection.abort();
                }
                return;
            }
            Inbound::Close => {
                self.end(CloseReason::ClientClosed(None), ctx);
                return;
            }
            Inbound::Violation(violation) => {
                let error = ProtocolError::InvalidData("bad WebSocket frame".to_owned());
                self.end_with(CloseReason::Protocol(error), Some(violation), ctx);
                return;
            }
        }
        self.advance(ctx);
    }

    /// The transport is gone. What it ended inside of a message does not matter:
    /// nobody is left to be told.
    fn finished(&mut self, ctx: &mut Self::Context) {
        self.end(CloseReason::TransportLost, ctx);
    }
}

impl<H: Hub> Handler<CloseConnection> for Session<H> {
    type Result = ();

    fn handle(&mut self, message: CloseConnection, ctx: &mut Self::Context) {
        match (&self.state, message.0) {
            (State::AwaitingHandshake { .. }, CloseReason::HandshakeFailed) => {
                self.refuse_handshake(&HandshakeError::Canceled, ctx);
            }
            (_, reason) => self.end(reason, ctx),
        }
    }
}
