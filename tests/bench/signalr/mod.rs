//! The SignalR library on its own, as its test server shows it.

mod crowd;
mod listener;
pub mod stalled;
mod test_server;
pub mod transports;
