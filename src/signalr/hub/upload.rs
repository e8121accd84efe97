//! A stream from the client, on its way to the method that reads it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::Stream;
use serde::de::DeserializeOwned;

use super::error::HubError;
use crate::signalr::connection::{Link, WakerSlot};
use crate::signalr::protocol::Payload;

/// Items that came and were not read. Bounded: what does not fit stays unread in the
/// connection, and so does everything behind it, until the method reads.
pub(super) struct UploadBuffer {
    items: RefCell<VecDeque<Payload>>,
    items_max: usize,
    end: RefCell<Option<Result<(), HubError>>>,
    reader: WakerSlot,
    /// The method does not read any more.
    is_abandoned: Cell<bool>,
    /// Whose input waits for room.
    link: Rc<Link>,
}

impl UploadBuffer {
    pub(super) fn new(items_max: usize, link: Rc<Link>) -> Rc<Self> {
        Rc::new(Self {
            items: RefCell::default(),
            items_max: items_max.max(1),
            end: RefCell::default(),
            reader: WakerSlot::default(),
            is_abandoned: Cell::new(false),
            link,
        })
    }

    /// Whether one more item can be taken; when the method is gone, it can.
    pub(super) fn has_room(&self) -> bool {
        self.is_abandoned.get() || self.items.borrow().len() < self.items_max
    }

    /// Takes an item, for which there is room. One for a method that is gone goes nowhere.
    pub(super) fn push(&self, item: Payload) {
        if !self.is_abandoned.get() {
            self.items.borrow_mut().push_back(item);
            self.reader.wake();
        }
    }

    /// Nothing more comes. May be called twice; the first counts.
    pub(super) fn finish(&self, end: Result<(), HubError>) {
        self.end.borrow_mut().get_or_insert(end);
        self.reader.wake();
    }

    fn abandon(&self) {
        self.is_abandoned.set(true);
        self.items.take();
        self.link.nudge();
    }

    fn poll_item(&self, context: &mut Context<'_>) -> Poll<Option<Result<Payload, HubError>>> {
        let was_full = !self.has_room();
        if let Some(item) = self.items.borrow_mut().pop_front() {
            if was_full {
                self.link.nudge();
            }
            return Poll::Ready(Some(Ok(item)));
        }
        match &mut *self.end.borrow_mut() {
            Some(Ok(())) => Poll::Ready(None),
            // The failure is told once; then the stream is at its end.
            Some(end) => {
                let failure = std::mem::replace(end, Ok(()));
                Poll::Ready(failure.err().map(Err))
            }
            None => {
                self.reader.register(context);
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for UploadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadBuffer").field("items", &self.items.borrow().len()).finish()
    }
}

/// A stream that the client sends along with a call: an argument of a method.
///
/// Its items come as they are sent, each as a `T`; an item that is none, an end with
/// an error, and a lost connection are failures, after which nothing comes. While
/// nobody reads it, the client's further messages wait.
#[derive(Debug)]
pub struct UploadStream<T> {
    buffer: Rc<UploadBuffer>,
    item: PhantomData<fn() -> T>,
}

impl<T> UploadStream<T> {
    pub(super) fn new(buffer: Rc<UploadBuffer>) -> Self {
        Self { buffer, item: PhantomData }
    }
}

impl<T: DeserializeOwned> Stream for UploadStream<T> {
    type Item = Result<T, HubError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Poll::Ready(item) = self.buffer.poll_item(context) else {
            return Poll::Pending;
        };
        Poll::Ready(item.map(|item| {
            item?.bind().map_err(|detail| {
                log::debug!(detail; "an item of an upload does not bind");
                self.buffer.finish(Ok(()));
                self.buffer.abandon();
                HubError::Exception("Failed to bind Stream message.".to_owned())
            })
        }))
    }
}

impl<T> Drop for UploadStream<T> {
    fn drop(&mut self) {
        self.buffer.abandon();
    }
}
