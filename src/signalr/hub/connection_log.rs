//! A line in the log for each connection's beginning, and one for its end.

use log::kv::Value;

use super::client::Connection;
use crate::signalr::protocol::ProtocolKind;

/// The connection has shaken hands.
pub(super) fn opened(connection: &Connection) {
    let Some(target) = connection.options.log_connections else {
        return;
    };
    let peer = connection.link.peer();
    log::info!(
        target: target,
        connection_id = &**connection.id(), transport = connection.transport().name(),
        protocol = connection.protocol.get().map(ProtocolKind::name),
        sub = connection.link.user_id().map(|id| &**id), peer = peer.as_ref().map(Value::from_display);
        "connection opened"
    );
}

/// The connection has ended, perhaps before it shook hands: then it has no protocol.
pub(super) fn closed(connection: &Connection, reason: &'static str, messages_in: u64) {
    let Some(target) = connection.options.log_connections else {
        return;
    };
    let duration = connection.timers.opened_at.elapsed();
    let peer = connection.link.peer();
    log::info!(
        target: target,
        connection_id = &**connection.id(), reason, transport = connection.transport().name(),
        protocol = connection.protocol.get().map(ProtocolKind::name),
        duration_ms = duration.as_micros() as f64 / 1000.0, messages_in,
        messages_out = connection.messages_out(),
        sub = connection.link.user_id().map(|id| &**id), peer = peer.as_ref().map(Value::from_display);
        "connection closed"
    );
}
