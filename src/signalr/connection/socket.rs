//! The sockets of connections: how they are set up, and the handle by which one is cut.

use std::any::Any;
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::{SockRef, Socket};

/// Bytes that the kernel may hold for one connection. Without it Linux keeps up to
/// 4 MB for a client that does not read.
const SOCKET_SEND_BUFFER_BYTES: usize = 128 * 1024;

/// How long sent bytes may stay unacknowledged before the kernel gives the
/// connection up: the last resort for a peer that has vanished.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Prepares an accepted socket, and keeps a second handle of it beside the
/// connection so that a client which does not read can be cut off. For
/// `HttpServer::on_connect`, before `bind`; without it such a client is cut off
/// by the kernel only.
pub fn remember_socket(io: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = tcp_stream(io) else {
        return;
    };
    let socket = SockRef::from(stream);
    let prepared = socket
        .set_send_buffer_size(SOCKET_SEND_BUFFER_BYTES)
        .and_then(|()| socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT)))
        .and_then(|()| socket.set_keepalive(true));
    if let Err(error) = prepared {
        // The peer may be gone by now; if not, the defaults serve it.
        log::debug!(error:%; "a socket's options could not be set");
    }
    match socket.try_clone() {
        Ok(handle) => {
            extensions.insert(Arc::new(handle));
        }
        Err(error) => log::warn!(error:%; "there is no second handle for a socket"),
    }
}

/// The stream of bytes below whatever is spoken on it.
fn tcp_stream(io: &dyn Any) -> Option<&TcpStream> {
    let encrypted = || io.downcast_ref::<TlsStream<TcpStream>>().map(|tls| tls.get_ref().0);
    io.downcast_ref::<TcpStream>().or_else(encrypted)
}

/// The handle lives as long as the socket's own connection; whoever has this only
/// borrows it, since a handle of its own would keep the socket open.
pub(super) fn socket_of(request: &HttpRequest) -> Weak<Socket> {
    request.conn_data::<Arc<Socket>>().map_or_else(Weak::new, Arc::downgrade)
}
