//! The methods of a hub, by name.

use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::LocalBoxStream;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use serde::Serialize;

use super::Hub;
use super::arguments::{ArgumentSource, BindArguments};
use super::caller::HubCaller;
use super::error::{BindError, CallFailure, HubError};
use super::upload::UploadBuffer;
use crate::signalr::connection::Link;
use crate::signalr::protocol::{Payload, ProtocolKind};

/// The methods that clients may call.
pub struct Methods<H: Hub> {
    by_lower_name: HashMap<String, Method<H>>,
}

/// One of them.
pub(super) struct Method<H: Hub> {
    /// As declared: error texts use it whatever case the client wrote.
    pub(super) name: &'static str,
    /// Whether its results are a stream.
    pub(super) is_streaming: bool,
    /// How many streams the client sends along.
    pub(super) streams: usize,
    authorize: Option<Box<Authorize<H>>>,
    prepare: Box<Prepare<H>>,
}

type Authorize<H> = dyn Fn(&<H as Hub>::User) -> bool;

type Start<H> = dyn FnOnce(Rc<H>, HubCaller<H>, ProtocolKind) -> Running;

type Prepare<H> = dyn Fn(&[Payload], usize, &Rc<Link>) -> Result<Prepared<H>, BindError>;

/// A call whose arguments are bound.
pub(super) struct Prepared<H: Hub> {
    /// Where the items of its upload streams go.
    pub(super) uploads: Vec<Rc<UploadBuffer>>,
    start: Box<Start<H>>,
}

/// A call that has begun.
pub(super) enum Running {
    /// Its one result.
    Value(LocalBoxFuture<'static, Result<Payload, CallFailure>>),
    /// Its stream, once it has one.
    Stream(LocalBoxFuture<'static, Result<ResultStream, HubError>>),
}

pub(super) type ResultStream = LocalBoxStream<'static, Result<Payload, CallFailure>>;

impl<H: Hub> Methods<H> {
    /// No methods.
    #[must_use]
    pub fn new() -> Self {
        Self { by_lower_name: HashMap::new() }
    }

    /// What they are called, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.by_lower_name.values().map(|method| method.name).collect();
        names.sort_unstable();
        names
    }

    /// One more method, with one result; nothing counts as null. Names are matched in
    /// any case. Its call goes to its end, also when the client is gone.
    ///
    /// Its arguments are a tuple: `(String, UploadStream<u32>)`.
    #[must_use]
    pub fn method<A, R, F, Fut>(self, name: &'static str, function: F) -> Self
    where
        A: BindArguments,
        R: Serialize,
        F: Fn(Rc<H>, HubCaller<H>, A) -> Fut + Clone + 'static,
        Fut: Future<Output = Result<R, HubError>> + 'static,
    {
        self.add::<A>(name, false, move |hub, caller, arguments, protocol| {
            let running = function(hub, caller, arguments);
            Running::Value(Box::pin(async move {
                let result = running.await?;
                protocol.payload(&result).map_err(CallFailure::Unserializable)
            }))
        })
    }

    /// One more method, whose results are a stream. When the client cancels it, or is
    /// gone, the stream is dropped, and [`HubCaller::cancelled`] says so.
    #[must_use]
    pub fn stream_method<A, S, T, F, Fut>(self, name: &'static str, function: F) -> Self
    where
        A: BindArguments,
        S: Stream<Item = Result<T, HubError>> + 'static,
        T: Serialize,
        F: Fn(Rc<H>, HubCaller<H>, A) -> Fut + Clone + 'static,
        Fut: Future<Output = Result<S, HubError>> + 'static,
    {
        self.add::<A>(name, true, move |hub, caller, arguments, protocol| {
            let starting = function(hub, caller, arguments);
            let items = starting.map(move |stream| {
                stream.map(|stream| {
                    stream
                        .map(move |item| {
                            protocol.payload(&item?).map_err(CallFailure::Unserializable)
                        })
                        .boxed_local()
                })
            });
            Running::Stream(items.boxed_local())
        })
    }

    /// Lets only these users call the method, which has been added.
    #[must_use]
    pub fn authorize(mut self, name: &str, may: impl Fn(&H::User) -> bool + 'static) -> Self {
        if let Some(method) = self.by_lower_name.get_mut(&name.to_ascii_lowercase()) {
            method.authorize = Some(Box::new(may));
        } else {
            debug_assert!(false, "{name} has not been added");
        }
        self
    }

    fn add<A: BindArguments>(
        mut self,
        name: &'static str,
        is_streaming: bool,
        start: impl Fn(Rc<H>, HubCaller<H>, A, ProtocolKind) -> Running + Clone + 'static,
    ) -> Self {
        let prepare = move |payloads: &[Payload], items_max: usize, link: &Rc<Link>| {
            if payloads.len() != A::COUNT {
                return Err(BindError::Count { provided: payloads.len(), expected: A::COUNT });
            }
            let mut source = ArgumentSource::new(payloads, items_max, link);
            let arguments = A::bind(&mut source).map_err(|detail| {
                log::debug!(method = name, detail; "arguments of a hub method do not bind");
                BindError::Type
            })?;
            let (uploads, start) = (source.uploads, start.clone());
            let start =
                Box::new(move |hub, caller, protocol| start(hub, caller, arguments, protocol));
            Ok(Prepared { uploads, start })
        };
        let method = Method {
            name,
            is_streaming,
            streams: A::STREAMS,
            authorize: None,
            prepare: Box::new(prepare),
        };
        self.by_lower_name.insert(name.to_ascii_lowercase(), method);
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&Method<H>> {
        match self.by_lower_name.get(name) {
            Some(method) => Some(method),
            None => self.by_lower_name.get(&name.to_ascii_lowercase()),
        }
    }
}

impl<H: Hub> Default for Methods<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: Hub> Method<H> {
    /// Whether this user may call it.
    pub(super) fn is_for(&self, user: &H::User) -> bool {
        self.authorize.as_ref().is_none_or(|may| may(user))
    }

    /// Whether calls pass the gate that keeps them one after the other.
    pub(super) fn is_gated(&self) -> bool {
        !self.is_streaming && self.streams == 0
    }

    /// Binds the arguments; runs nothing yet.
    pub(super) fn prepare(
        &self,
        payloads: &[Payload],
        upload_items_max: usize,
        link: &Rc<Link>,
    ) -> Result<Prepared<H>, BindError> {
        (self.prepare)(payloads, upload_items_max, link)
    }
}

impl<H: Hub> Prepared<H> {
    pub(super) fn start(self, hub: Rc<H>, caller: HubCaller<H>, protocol: ProtocolKind) -> Running {
        (self.start)(hub, caller, protocol)
    }
}
