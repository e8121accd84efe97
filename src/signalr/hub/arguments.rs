//! Arguments: what a client sends becomes what a method takes, and the other way round.

use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::upload::{UploadBuffer, UploadStream};
use crate::signalr::connection::Link;
use crate::signalr::protocol::{Payload, ProtocolKind};

/// What arguments are taken from.
pub struct ArgumentSource<'a> {
    payloads: std::slice::Iter<'a, Payload>,
    /// One for each stream argument, in their order.
    pub(super) uploads: Vec<Rc<UploadBuffer>>,
    upload_items_max: usize,
    link: &'a Rc<Link>,
}

impl<'a> ArgumentSource<'a> {
    pub(super) fn new(
        payloads: &'a [Payload],
        upload_items_max: usize,
        link: &'a Rc<Link>,
    ) -> Self {
        Self { payloads: payloads.iter(), uploads: Vec::new(), upload_items_max, link }
    }
}

/// One argument of a method: any type that serde reads, or an [`UploadStream`].
pub trait Argument: Sized + 'static {
    /// Whether the client sends it as a stream, beside the other arguments.
    const IS_STREAM: bool;

    /// Takes the next one; an error says why it does not convert.
    fn take(source: &mut ArgumentSource<'_>) -> Result<Self, String>;
}

impl<T: DeserializeOwned + 'static> Argument for T {
    const IS_STREAM: bool = false;

    fn take(source: &mut ArgumentSource<'_>) -> Result<Self, String> {
        source.payloads.next().ok_or_else(|| "there is no argument".to_owned())?.bind()
    }
}

impl<T: DeserializeOwned + 'static> Argument for UploadStream<T> {
    const IS_STREAM: bool = true;

    fn take(source: &mut ArgumentSource<'_>) -> Result<Self, String> {
        let buffer = UploadBuffer::new(source.upload_items_max, Rc::clone(source.link));
        source.uploads.push(Rc::clone(&buffer));
        Ok(Self::new(buffer))
    }
}

/// The arguments of a method: a tuple whose members are bound one by one.
pub trait BindArguments: Sized + 'static {
    /// How many arguments there are that are no streams.
    const COUNT: usize;
    /// How many are streams.
    const STREAMS: usize;

    /// The arguments as their types; an error says which does not convert.
    fn bind(source: &mut ArgumentSource<'_>) -> Result<Self, String>;
}

/// What a client's method is called with: a tuple.
pub trait SendArguments {
    /// Each member in the protocol's bytes; an error says why it cannot be written.
    fn payloads(&self, protocol: ProtocolKind) -> Result<Vec<Payload>, String>;
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Argument),*> BindArguments for ($($name,)*) {
            const COUNT: usize = 0 $(+ if $name::IS_STREAM { 0 } else { 1 })*;
            const STREAMS: usize = 0 $(+ if $name::IS_STREAM { 1 } else { 0 })*;

            fn bind(_source: &mut ArgumentSource<'_>) -> Result<Self, String> {
                Ok(($($name::take(_source)?,)*))
            }
        }

        impl<$($name: Serialize),*> SendArguments for ($($name,)*) {
            fn payloads(&self, _protocol: ProtocolKind) -> Result<Vec<Payload>, String> {
                Ok(vec![$(_protocol.payload(&self.$index)?),*])
            }
        }
    };
}

tuples!();
tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
