//! The store on real SQLite files.

mod checkpoint;
mod commit;
mod event_log;
mod idempotency;
mod laws;
mod migrations;
mod outage;
mod reads;
pub mod site;
mod verify;
