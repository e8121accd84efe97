//! The store on a real database, of the kind that the tests run on; `sqlite/` is about
//! SQLite's files, and uses them on any run.

mod commit;
mod cursor;
mod event_log;
mod idempotency;
mod laws;
mod reads;
pub mod site;
mod sqlite;
mod verify;
