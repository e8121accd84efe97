//! Connections without a hub: bytes in, bytes out, over whichever transport the
//! client has.

use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{FutureExt as _, LocalBoxFuture};

use super::connection::{
    Accepted, ConnectionId, Endpoint, EndpointSetup, Identity, Inbound, Link, LinkInput,
    TransportEnd, TransportKind,
};
use super::options::ConnectionOptions;
use super::protocol::TransferFormat;
use super::transport::websocket_frames::CloseStatus;

/// Bytes that wait for a client before whoever sends more has to wait.
const PAUSE_OUTPUT_BYTES: usize = 64 * 1024;

/// A connection of a client, for an application that speaks a protocol of its own.
/// It ends when it is dropped.
pub struct RawConnection<U> {
    link: Rc<Link>,
    input: LinkInput,
    format: TransferFormat,
    user: U,
}

impl<U> RawConnection<U> {
    /// The connection's public name.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        Rc::clone(&self.link.id)
    }

    /// Who it belongs to, as it began: later requests only prolong it.
    #[must_use]
    pub fn user(&self) -> &U {
        &self.user
    }

    /// How its bytes move.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        self.link.transport
    }

    /// The next bytes of the client's stream, cut anywhere; none once it has ended.
    pub async fn receive(&mut self) -> Option<Bytes> {
        loop {
            match self.input.next().await? {
                Inbound::Bytes(bytes) if bytes.is_empty() => {}
                Inbound::Bytes(bytes) => return Some(bytes),
                Inbound::Nudge | Inbound::Reattached => {}
                Inbound::Renewal(renewal) => {
                    if !self.link.outlives(renewal.expires_at) {
                        self.link.extend(renewal.expires_at);
                    }
                    renewal.answer(Ok(()));
                }
                Inbound::End(end) => {
                    let status = match end {
                        TransportEnd::Violation(violation) => violation.into(),
                        TransportEnd::ClosedByClient
                        | TransportEnd::Lost
                        | TransportEnd::SlowConsumer
                        | TransportEnd::Expired => CloseStatus::Normal,
                    };
                    self.link.close(status, Instant::now());
                    return None;
                }
            }
        }
    }

    /// Sends one unit; waits while much is waiting already. After the end it goes nowhere.
    pub async fn send(&self, unit: &[u8]) {
        let outbound = &self.link.outbound;
        // One who always may send, as to a client that is gone, lets others run as well.
        tokio::task::coop::consume_budget().await;
        std::future::poll_fn(|context| outbound.poll_room(PAUSE_OUTPUT_BYTES, context)).await;
        self.link.push(self.link.transport.frame(self.format, unit), Instant::now());
    }
}

impl<U> Drop for RawConnection<U> {
    fn drop(&mut self) {
        self.link.close(CloseStatus::Normal, Instant::now());
    }
}

impl<U> fmt::Debug for RawConnection<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawConnection").field("link", &self.link).finish_non_exhaustive()
    }
}

type Handler<U> = dyn Fn(RawConnection<U>) -> LocalBoxFuture<'static, ()> + Send + Sync;

/// Raw connections that can be mounted in every worker of a server. Clones are the same.
pub struct ConnectionServer<U: 'static> {
    options: ConnectionOptions,
    format: TransferFormat,
    setup: Arc<EndpointSetup<U>>,
    handler: Arc<Handler<U>>,
}

impl<U: 'static> Clone for ConnectionServer<U> {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            format: self.format,
            setup: Arc::clone(&self.setup),
            handler: Arc::clone(&self.handler),
        }
    }
}

impl<U: Send + 'static> ConnectionServer<U> {
    /// Mounted nowhere yet. `authenticate` sees every request, and refuses by status;
    /// `handler` runs once per connection. Stateful reconnect needs a protocol that
    /// knows of it, so there is none here.
    pub fn new<A, F>(
        options: ConnectionOptions,
        format: TransferFormat,
        authenticate: impl Fn(&HttpRequest) -> A + Send + Sync + 'static,
        handler: impl Fn(RawConnection<U>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        A: Future<Output = Result<Identity<U>, StatusCode>> + 'static,
        F: Future<Output = ()> + 'static,
    {
        let options = ConnectionOptions { stateful_reconnect: false, ..options };
        Self {
            setup: Arc::new(EndpointSetup::new(&options, authenticate)),
            options,
            format,
            handler: Arc::new(move |connection| handler(connection).boxed_local()),
        }
    }

    /// Connections of this server, until nothing of them is left.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.setup.counts().links()
    }

    /// Handlers and whatever else runs for a connection.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.setup.counts().tasks()
    }

    /// Mounts it on a path of one worker's app. Must run on the worker's thread, as an
    /// app's `configure` does.
    pub fn configure(&self, path: &str, config: &mut web::ServiceConfig) {
        let host = self.setup.start_host();
        let (handler, format) = (Arc::clone(&self.handler), self.format);
        let runner = Rc::clone(&host);
        let endpoint = Endpoint {
            setup: Arc::clone(&self.setup),
            options: Rc::new(self.options.clone()),
            host,
            handler: Rc::new(move |accepted: Accepted<U>| {
                let Accepted { link, input, user } = accepted;
                runner.spawn(handler(RawConnection { link, input, format, user }));
            }),
        };
        endpoint.mount(path, config);
    }
}
