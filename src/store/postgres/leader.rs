//! Which of several nodes writes the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::{PgConnection, RunQueryDsl};

use super::connection::Connector;
use super::statements::TakeLead;
use crate::store::StoreError;

/// How long it is taken for granted that the server still knows of the role.
const TERM: Duration = Duration::from_secs(1);

/// A role that one session of the database has: an advisory lock, on a connection of its
/// own. The server gives it to somebody else when that connection ends.
///
/// For a moment two nodes may both believe to have it. The log does not suffer: an event's
/// place in it can be taken once.
pub(super) struct Leader {
    connector: Connector,
    held: Mutex<Option<Held>>,
}

struct Held {
    connection: PgConnection,
    is_leader: bool,
    asked_at: Instant,
}

impl Leader {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, held: Mutex::default() }
    }

    /// Whether this node has the role; takes it if nobody has.
    pub(super) fn leads(&self) -> Result<bool, StoreError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Held { is_leader, asked_at, .. }) = held.as_ref()
            && asked_at.elapsed() < TERM
        {
            return Ok(*is_leader);
        }
        let (mut connection, is_leader) = match held.take() {
            Some(former) => (former.connection, former.is_leader),
            None => (self.connector.connect()?, false),
        };
        // Asking is also the proof that the connection lives. With an error it ends here,
        // and with it the role.
        let is_leader = TakeLead { is_leader }.get_result(&mut connection)?;
        *held = Some(Held { connection, is_leader, asked_at: Instant::now() });
        Ok(is_leader)
    }
}
