//! How a connection's bytes move: a file per transport, and WebSocket framing.

mod frame_decoder;
pub(super) mod long_polling;
pub(super) mod plain_websocket;
pub(super) mod server_sent_events;
pub(super) mod websocket;
pub(super) mod websocket_frames;
