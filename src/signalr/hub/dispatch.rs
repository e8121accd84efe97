//! The calls of one connection: which may run, how they run, and what their callers
//! are told.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Instant;

use actix::prelude::*;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::Hub;
use super::caller::Call;
use super::client::Connection;
use super::close::CloseReason;
use super::error::{
    CallFailure, HubError, binding_error, invocation_error, streaming_error, unknown_method_error,
};
use super::methods::{Prepared, ResultStream, Running};
use super::pace::Verdict;
use super::session::Session;
use crate::signalr::connection::Bound;
use crate::signalr::protocol::{CompletionOutcome, HubMessage, Payload};

/// A call as its message has it.
struct Invocation {
    id: Option<String>,
    target: String,
    arguments: Vec<Payload>,
    stream_ids: Vec<String>,
    wants_stream: bool,
}

impl<H: Hub> Session<H> {
    /// Runs a call, or gives its message back when it has to wait for another one.
    pub(super) fn invoke(
        &mut self,
        message: HubMessage,
        ctx: &mut Context<Self>,
    ) -> Option<HubMessage> {
        if self.has_to_wait(&message) {
            return Some(message);
        }
        if self.connection.link.has_expired(Instant::now()) {
            // The timer that would have ended it is looked at once a second.
            self.end(CloseReason::AuthenticationExpired, ctx);
            return None;
        }
        let verdict = self.pace.as_ref().map_or(Verdict::Allowed, |pace| pace.judge());
        if verdict != Verdict::Allowed {
            self.refuse_call(message, verdict, ctx);
            return None;
        }
        let invocation = match message {
            HubMessage::Invocation { invocation_id, target, arguments, stream_ids } => {
                let (id, wants_stream) = (invocation_id, false);
                Invocation { id, target, arguments, stream_ids, wants_stream }
            }
            HubMessage::StreamInvocation { invocation_id, target, arguments, stream_ids } => {
                let (id, wants_stream) = (Some(invocation_id), true);
                Invocation { id, target, arguments, stream_ids, wants_stream }
            }
            _ => return None,
        };
        match self.prepare(&invocation) {
            Ok(prepared) => self.start(invocation, prepared, ctx),
            Err(text) => self.complete(invocation.id, CompletionOutcome::Error(text)),
        }
        None
    }

    /// Does not carry a call out that was one too many. Who wants no answer to it hears of
    /// it when the connection ends, if there are many more.
    fn refuse_call(&mut self, message: HubMessage, verdict: Verdict, ctx: &mut Context<Self>) {
        self.worker.shard.handle().links().refuse(Bound::Invocations);
        if verdict == Verdict::Unheeded {
            return self.end(CloseReason::TooManyInvocations, ctx);
        }
        let id = match message {
            HubMessage::Invocation { invocation_id, .. } => invocation_id,
            HubMessage::StreamInvocation { invocation_id, .. } => Some(invocation_id),
            _ => None,
        };
        let per_second = self.worker.options.invocations_per_second_max.map_or(0, NonZeroU32::get);
        let text = format!("rate_limited: a connection may make {per_second} calls per second");
        self.complete(id, CompletionOutcome::Error(text));
    }

    /// Calls whose results are no streams pass one after the other; so do those that
    /// cannot be made, since their answers must not overtake.
    fn has_to_wait(&self, message: &HubMessage) -> bool {
        let HubMessage::Invocation { target, stream_ids, .. } = message else {
            return false;
        };
        let is_gated = stream_ids.is_empty()
            && self.worker.methods.get(target).is_none_or(|method| method.is_gated());
        let is_full = self.connection.gated.get() >= self.worker.options.parallel_invocations_max;
        is_gated && (is_full || self.renewals.hold_calls_up())
    }

    /// Binds the arguments, and checks what there is to check; the first failure is
    /// the answer.
    fn prepare(&self, invocation: &Invocation) -> Result<Prepared<H>, String> {
        let options = &self.worker.options;
        let target = &invocation.target;
        let method = self.worker.methods.get(target).ok_or_else(|| unknown_method_error(target))?;
        let name = method.name;
        let link = &self.connection.link;
        let prepared = method
            .prepare(&invocation.arguments, options.upload_items_max, link)
            .map_err(|error| binding_error(name, &error, options.detailed_errors))?;
        if !method.is_for(&self.connection.user::<H::User>()) {
            return Err(format!("Failed to invoke '{target}' because user is unauthorized"));
        }
        match (method.is_streaming, invocation.wants_stream) {
            (true, false) => {
                return Err(format!(
                    "The client attempted to invoke the streaming '{name}' method with a \
                     non-streaming invocation."
                ));
            }
            (false, true) => {
                return Err(format!(
                    "The client attempted to invoke the non-streaming '{name}' method with a \
                     streaming invocation."
                ));
            }
            (true, true) | (false, false) => {}
        }
        self.check_streams(invocation, method.streams)
            .map_err(|error| invocation_error(name, &error, options.detailed_errors))?;
        Ok(prepared)
    }

    /// Whether the call has as many streams as the method takes, and they can be told
    /// from others and are not too many.
    fn check_streams(&self, invocation: &Invocation, expected: usize) -> Result<(), HubError> {
        let sent = invocation.stream_ids.len();
        if sent != expected {
            let text = format!("Client sent {sent} stream(s), Hub method expects {expected}.");
            return Err(HubError::Exception(text));
        }
        let streams = self.streams.borrow();
        if invocation.wants_stream
            && let Some(id) = &invocation.id
            && streams.contains_key(id)
        {
            return Err(HubError::Refused(format!("Invocation ID '{id}' is already in use.")));
        }
        for (at, id) in invocation.stream_ids.iter().enumerate() {
            if self.uploads.contains_key(id) || invocation.stream_ids[..at].contains(id) {
                let text = format!("Stream ID '{id}' is already in use.");
                return Err(HubError::Exception(text));
            }
        }
        let more = sent + usize::from(invocation.wants_stream);
        let all = streams.len() + self.uploads.len() + more;
        if more > 0 && all > self.worker.options.streams_per_connection_max {
            return Err(HubError::Exception("the connection has too many streams".to_owned()));
        }
        Ok(())
    }

    fn start(&mut self, invocation: Invocation, prepared: Prepared<H>, ctx: &mut Context<Self>) {
        let (Some(protocol), Some(method)) =
            (self.connection.protocol.get(), self.worker.methods.get(&invocation.target))
        else {
            return;
        };
        let (name, is_gated) = (method.name, method.is_gated());
        for (id, upload) in invocation.stream_ids.iter().zip(&prepared.uploads) {
            self.uploads.insert(id.clone(), Rc::clone(upload));
        }
        let cancellation = invocation.wants_stream.then(|| self.connection.ended().child_token());
        let call = Rc::new(Call {
            is_connected_hook: false,
            holds_gate: Cell::new(is_gated),
            cancellation: cancellation.clone(),
        });
        if is_gated {
            self.connection.gated.set(self.connection.gated.get() + 1);
        }
        let hub = Rc::clone(&self.worker.hub);
        let caller = self.caller(Rc::clone(&call));
        self.running += 1;
        // The method may panic before its future exists.
        let running =
            std::panic::catch_unwind(AssertUnwindSafe(|| prepared.start(hub, caller, protocol)));
        let Ok(running) = running else {
            self.finish_call(&invocation.stream_ids, &call);
            self.complete(invocation.id, panicked(name, self.worker.options.detailed_errors));
            return;
        };
        match running {
            Running::Value(value) => {
                let value = AssertUnwindSafe(value).catch_unwind();
                ctx.spawn(value.into_actor(self).map(move |outcome, session, ctx| {
                    session.finish_call(&invocation.stream_ids, &call);
                    session.finish_value(name, invocation.id, outcome, ctx);
                    session.advance(ctx);
                    session.stop_if_idle(ctx);
                }));
            }
            Running::Stream(starting) => {
                let id = invocation.id.unwrap_or_default();
                let cancellation = cancellation.unwrap_or_default();
                self.streams.borrow_mut().insert(id.clone(), cancellation.clone());
                let task = StreamTask {
                    name,
                    id,
                    cancellation,
                    connection: Rc::clone(&self.connection),
                    streams: Rc::clone(&self.streams),
                };
                let task = AssertUnwindSafe(task.run(starting)).catch_unwind();
                ctx.spawn(task.into_actor(self).map(move |outcome, session, ctx| {
                    if outcome.is_err() {
                        log::error!(method:% = name; "the stream of a hub method panicked");
                    }
                    session.finish_call(&invocation.stream_ids, &call);
                    session.advance(ctx);
                    session.stop_if_idle(ctx);
                }));
            }
        }
    }

    /// A call has ended: so have the streams that were sent along with it.
    fn finish_call(&mut self, stream_ids: &[String], call: &Call) {
        self.running -= 1;
        if call.holds_gate.replace(false) {
            self.connection.gated.set(self.connection.gated.get() - 1);
        }
        for id in stream_ids {
            self.uploads.remove(id);
        }
    }

    fn finish_value(
        &mut self,
        name: &str,
        id: Option<String>,
        outcome: Result<Result<Payload, CallFailure>, Box<dyn std::any::Any + Send>>,
        ctx: &mut Context<Self>,
    ) {
        let detailed_errors = self.worker.options.detailed_errors;
        let outcome = match outcome {
            Ok(Ok(value)) => CompletionOutcome::Value(value),
            Ok(Err(CallFailure::Hub(error))) => {
                CompletionOutcome::Error(invocation_error(name, &error, detailed_errors))
            }
            Ok(Err(CallFailure::Unserializable(text))) => {
                log::error!(method = name, error = text; "the result of a hub method cannot be written");
                return self.end(CloseReason::Unserializable(text), ctx);
            }
            Err(_) => panicked(name, detailed_errors),
        };
        self.complete(id, outcome);
    }

    /// Answers an invocation, if anybody waits for its answer.
    fn complete(&self, invocation_id: Option<String>, outcome: CompletionOutcome) {
        if let Some(invocation_id) = invocation_id {
            self.connection.send(&HubMessage::Completion { invocation_id, outcome });
        }
    }

    /// An item of an upload; given back while there is no room for it. One for a
    /// stream that is not known is late.
    pub(super) fn take_item(&mut self, invocation_id: String, item: Payload) -> Option<HubMessage> {
        let upload = self.uploads.get(&invocation_id)?;
        if !upload.has_room() {
            return Some(HubMessage::StreamItem { invocation_id, item });
        }
        upload.push(item);
        None
    }

    /// The end of an upload, or the answer to a call of ours; else it is late.
    pub(super) fn take_completion(&mut self, id: &str, outcome: CompletionOutcome) {
        if let Some(upload) = self.uploads.remove(id) {
            upload.finish(match outcome {
                CompletionOutcome::Error(text) => Err(HubError::Exception(text)),
                // Some clients send a value at a stream's end: it means nothing.
                CompletionOutcome::Void | CompletionOutcome::Value(_) => Ok(()),
            });
            return;
        }
        let answer = match outcome {
            CompletionOutcome::Error(text) => Err(HubError::Exception(text)),
            CompletionOutcome::Value(value) => Ok(value),
            CompletionOutcome::Void => match self.connection.protocol.get() {
                Some(protocol) => Ok(Payload::null(protocol)),
                None => return,
            },
        };
        self.connection.answer(id, answer);
    }
}

fn panicked(name: &str, detailed_errors: bool) -> CompletionOutcome {
    let error = HubError::failed("the method panicked");
    CompletionOutcome::Error(invocation_error(name, &error, detailed_errors))
}

/// A stream on its way to the client.
struct StreamTask {
    name: &'static str,
    id: String,
    cancellation: CancellationToken,
    connection: Rc<Connection>,
    streams: Rc<RefCell<BTreeMap<String, CancellationToken>>>,
}

impl Drop for StreamTask {
    /// Its id is free again, however it ended.
    fn drop(&mut self) {
        self.streams.borrow_mut().remove(&self.id);
    }
}

impl StreamTask {
    async fn run(
        self,
        starting: futures_util::future::LocalBoxFuture<'static, Result<ResultStream, HubError>>,
    ) {
        let items = AssertUnwindSafe(self.send_items(starting)).catch_unwind();
        let ended = tokio::select! {
            biased;
            // First, since a method is to begin, also when it is cancelled at once.
            ended = items => ended.unwrap_or_else(|_| {
                let error = HubError::failed("the stream panicked");
                Err(StreamFailure::Told(self.told_while_streaming(&error)))
            }),
            // The stream is dropped, which is how its code learns of it.
            () = self.cancellation.cancelled() => Ok(()),
        };
        let outcome = match ended {
            Ok(()) => CompletionOutcome::Void,
            Err(StreamFailure::Told(text)) => CompletionOutcome::Error(text),
            Err(StreamFailure::Unserializable(text)) => {
                log::error!(method:% = self.name, error = text; "an item of a hub method cannot be written");
                return self.connection.close(CloseReason::Unserializable(text));
            }
        };
        let invocation_id = self.id.clone();
        self.connection.send(&HubMessage::Completion { invocation_id, outcome });
    }

    async fn send_items(
        &self,
        starting: futures_util::future::LocalBoxFuture<'static, Result<ResultStream, HubError>>,
    ) -> Result<(), StreamFailure> {
        let detailed_errors = self.connection.options.detailed_errors;
        let mut items = starting.await.map_err(|error| {
            StreamFailure::Told(invocation_error(self.name, &error, detailed_errors))
        })?;
        loop {
            // Before the item is there: what it says is as of the moment it is sent.
            self.connection.room().await;
            let Some(item) = items.next().await else {
                break;
            };
            let item = item.map_err(|failure| match failure {
                CallFailure::Hub(error) => StreamFailure::Told(self.told_while_streaming(&error)),
                CallFailure::Unserializable(text) => StreamFailure::Unserializable(text),
            })?;
            if self.cancellation.is_cancelled() {
                // Nobody waits for more; and a stream that always has more would never stop.
                break;
            }
            let invocation_id = self.id.clone();
            self.connection.send(&HubMessage::StreamItem { invocation_id, item });
        }
        Ok(())
    }

    fn told_while_streaming(&self, error: &HubError) -> String {
        streaming_error(self.name, error, self.connection.options.detailed_errors)
    }
}

/// Why a stream ended before its end.
enum StreamFailure {
    /// The client gets this text.
    Told(String),
    /// An item cannot be written.
    Unserializable(String),
}
