//! Connections to a server, and the transactions on them.
//!
//! The server may be away when a pool is made, and go and come at any time: a pool
//! connects in the background for as long as it takes. While nothing can be reached,
//! callers are told so at once, but for one now and then who tries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::r2d2::R2D2Connection;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::{Connection, PgConnection, RunQueryDsl};
use r2d2::{ManageConnection, NopErrorHandler, Pool, PooledConnection};

use super::statements::{TransactionState, WritableState};
use super::{migrations, parameters};
use crate::store::migrations::Contents;
use crate::store::pool::{CountedPool, PoolNames, PoolState};
use crate::store::{StoreError, url};

/// How long a caller waits for a connection before it is told that there is none.
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a start waits for the first one of a server that answers.
const FIRST_CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// While nothing can be reached: who waits for a connection, once in this time.
const TRY_INTERVAL: Duration = Duration::from_millis(250);

/// Lists run side by side.
const READ_CONNECTIONS_MAX: u32 = 4;

/// A batch, and beside it what is removed from outbox and idempotency keys.
const WRITE_CONNECTIONS_MAX: u32 = 2;

/// How long it is asked what became of a commit whose connection was lost.
const OUTCOME_TIME_MAX: Duration = Duration::from_secs(3);

/// How long to wait before it is asked again.
const OUTCOME_ASK_INTERVAL: Duration = Duration::from_millis(50);

/// For connections that write jobs. Whoever waits for a lock of another node longer than
/// half a second is told that the store is unavailable, and a node that stands still in
/// the middle of a transaction holds the others up for two. The statements always find
/// few rows by an index; a planner that knows an empty table's statistics would not see
/// that, and planning each one anew takes longer than it does. Compiling them takes longer
/// still, and a plan that may not walk a table looks dear enough for it.
const JOB_WRITE_SETTINGS: &str = "
    SET statement_timeout = '1s';
    SET lock_timeout = '500ms';
    SET idle_in_transaction_session_timeout = '2s';
    SET enable_seqscan = off;
    SET plan_cache_mode = force_generic_plan;
    SET jit = off;
";

/// For connections that write the log: nobody waits for them. They do wait for the disk,
/// also beside the jobs. The writer knows how far it has come; a server that forgot some
/// of that, and this process not with it, would leave a gap behind.
const LOG_WRITE_SETTINGS: &str = "
    SET statement_timeout = '10s';
    SET idle_in_transaction_session_timeout = '10s';
    SET enable_seqscan = off;
    SET plan_cache_mode = force_generic_plan;
    SET jit = off;
";

/// For connections that read: a page of an index, and what belongs to its rows. A planner
/// that underrates the log, because it has grown since it was looked at, would collect and
/// sort all that is behind the page, or walk the log from its first event on.
const READ_SETTINGS: &str = "
    SET statement_timeout = '5s';
    SET idle_in_transaction_session_timeout = '10s';
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET jit = off;
";

/// For connections that look at a database without changing it.
const LOOK_SETTINGS: &str = "SET default_transaction_read_only = on; SET jit = off;";

/// Whatever the database's own default is: what is read after a wait for a lock must be new.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// What a database is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Commands.
    Jobs,
    /// The log, be it beside the jobs or in a database of its own.
    Log,
    /// To look at, for as long as it takes.
    Reading,
}

impl Purpose {
    fn write_settings(self) -> String {
        match self {
            Self::Jobs => JOB_WRITE_SETTINGS.to_owned(),
            Self::Log => LOG_WRITE_SETTINGS.to_owned(),
            Self::Reading => LOOK_SETTINGS.to_owned(),
        }
    }

    fn read_settings(self) -> String {
        if self == Self::Reading { LOOK_SETTINGS } else { READ_SETTINGS }.to_owned()
    }
}

/// A database: some connections to write, some to read.
pub(super) struct Database {
    writes: CountedPool<Manager>,
    reads: CountedPool<Manager>,
    outage: Outage,
}

/// A transaction's id, by which the server knows later what became of it.
pub(super) type TransactionId = i64;

impl Database {
    /// Needs no server yet.
    pub(super) fn new(connector: &Connector, purpose: Purpose) -> Self {
        let names = match purpose {
            Purpose::Jobs | Purpose::Reading => PoolNames::JOBS,
            Purpose::Log => PoolNames::EVENT_LOG,
        };
        let pool = |connections_max: u32, settings: String| {
            Pool::builder()
                .max_size(connections_max)
                .connection_timeout(CONNECTION_TIMEOUT)
                .idle_timeout(None)
                // A round trip per transaction that a failed begin makes good.
                .test_on_check_out(false)
                // Who waited for a connection gets the error, and handles it.
                .error_handler(Box::new(NopErrorHandler))
                .build_unchecked(Manager { connector: connector.clone(), settings })
        };
        Self {
            writes: CountedPool::new(
                names.writes,
                pool(WRITE_CONNECTIONS_MAX, purpose.write_settings()),
            ),
            reads: CountedPool::new(
                names.reads,
                pool(READ_CONNECTIONS_MAX, purpose.read_settings()),
            ),
            outage: Outage::default(),
        }
    }

    /// Waits for the first connection of each kind, if there is a server to connect to.
    /// Pools make them in the background, which on a busy machine takes longer than a
    /// caller is to wait for one.
    pub(super) fn await_connections(&self) {
        for pool in [&self.writes, &self.reads] {
            // If there is none after all, whoever asks for one finds out.
            let _ = pool.get_timeout(FIRST_CONNECTION_TIMEOUT);
        }
    }

    /// One transaction that writes. An error rolls it back.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut open = self.begin(&self.writes, BEGIN)?;
        let value = open.work(work)?;
        open.end("COMMIT").map_err(StoreError::from)?;
        Ok(value)
    }

    /// One transaction that writes and is committed only if `is_wanted` says so at its
    /// end. If the connection is lost just then, the server is asked what became of it.
    pub(super) fn write_if<T>(
        &self,
        is_wanted: &dyn Fn() -> bool,
        work: impl FnOnce(&mut PgConnection) -> Result<(T, Option<TransactionId>), StoreError>,
    ) -> Result<T, StoreError> {
        let mut open = self.begin(&self.writes, BEGIN)?;
        let (value, id) = open.work(work)?;
        if !is_wanted() {
            open.is_suspect = open.end("ROLLBACK").is_err();
            return Err(StoreError::late());
        }
        match open.end("COMMIT") {
            Ok(()) => Ok(value),
            Err(error) if is_lost(&error) => {
                drop(open);
                let error = StoreError::from(error);
                let Some(id) = id else {
                    return Err(StoreError::OutcomeUnknown(error.to_string()));
                };
                if self.was_committed(id, &error)? { Ok(value) } else { Err(error) }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// One transaction that reads: all its statements see the same snapshot.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut open = self.begin(&self.reads, BEGIN_SNAPSHOT)?;
        let value = open.work(work)?;
        open.end("COMMIT").map_err(StoreError::from)?;
        Ok(value)
    }

    pub(super) fn pools(&self) -> Vec<PoolState> {
        vec![self.writes.counted_state(), self.reads.counted_state()]
    }

    /// That the database answers and can be written.
    pub(super) fn ping(&self) -> Result<(), StoreError> {
        self.write(|connection| {
            let is_read_only: bool = WritableState {}.get_result(connection)?;
            if is_read_only {
                return Err(StoreError::Unavailable("the database is read-only".to_owned()));
            }
            Ok(())
        })
    }

    /// Begins a transaction on a connection that the server still knows. A pool may have
    /// kept some to a server that has been restarted since; nothing has been asked of
    /// them yet, so another one is as good.
    fn begin(
        &self,
        pool: &CountedPool<Manager>,
        begin: &str,
    ) -> Result<PooledConnection<Manager>, StoreError> {
        let mut stale = 0;
        loop {
            let mut open = self.connection(pool)?;
            match open.end(begin) {
                Ok(()) => return Ok(open),
                Err(_) if stale < pool.max_size() => stale += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn connection(
        &self,
        pool: &CountedPool<Manager>,
    ) -> Result<PooledConnection<Manager>, StoreError> {
        if let Some(open) = pool.try_get() {
            return Ok(open);
        }
        if !self.outage.may_try() {
            return Err(StoreError::Unavailable("the database cannot be reached".to_owned()));
        }
        let _waits = pool.wait();
        match pool.get() {
            Ok(open) => {
                self.outage.ends();
                Ok(open)
            }
            Err(error) => {
                if pool.state().connections == 0 {
                    self.outage.goes_on();
                }
                Err(error.into())
            }
        }
    }

    /// What became of a transaction whose connection was lost while it was committed.
    fn was_committed(&self, id: TransactionId, lost: &StoreError) -> Result<bool, StoreError> {
        let until = Instant::now() + OUTCOME_TIME_MAX;
        loop {
            let state = self.read(|connection| {
                Ok(TransactionState { id }.get_result::<Option<String>>(connection)?)
            });
            match state.as_ref().map(Option::as_deref) {
                Ok(Some("committed")) => return Ok(true),
                Ok(Some("aborted")) => return Ok(false),
                _ if Instant::now() >= until => {
                    return Err(StoreError::OutcomeUnknown(lost.to_string()));
                }
                // It is being ended still, or the server is not back yet.
                _ => std::thread::sleep(OUTCOME_ASK_INTERVAL),
            }
        }
    }
}

/// Whether the connection is gone, as opposed to a statement that was refused.
fn is_lost(error: &Error) -> bool {
    use DatabaseErrorKind::{
        CheckViolation, ExclusionViolation, ForeignKeyViolation, NotNullViolation,
        ReadOnlyTransaction, SerializationFailure, UniqueViolation,
    };
    !matches!(
        error,
        Error::DatabaseError(
            CheckViolation
                | ExclusionViolation
                | ForeignKeyViolation
                | NotNullViolation
                | ReadOnlyTransaction
                | SerializationFailure
                | UniqueViolation,
            _,
        )
    )
}

/// Whether nothing can be reached for now.
#[derive(Debug)]
struct Outage {
    opened_at: Instant,
    /// Milliseconds since then; before that time nobody tries. 0 is that all is well.
    next_try: AtomicU64,
}

impl Default for Outage {
    fn default() -> Self {
        Self { opened_at: Instant::now(), next_try: AtomicU64::new(0) }
    }
}

impl Outage {
    fn now(&self) -> u64 {
        u64::try_from(self.opened_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn later(&self) -> u64 {
        let pause = u64::try_from(TRY_INTERVAL.as_millis()).unwrap_or(u64::MAX);
        self.now().saturating_add(pause)
    }

    /// Whether to wait for a connection: always while all is well, else one of all who
    /// ask, now and then.
    fn may_try(&self) -> bool {
        let next_try = self.next_try.load(Ordering::Acquire);
        if next_try == 0 {
            return true;
        }
        let is_time = next_try <= self.now();
        let order = Ordering::AcqRel;
        is_time
            && self
                .next_try
                .compare_exchange(next_try, self.later(), order, Ordering::Relaxed)
                .is_ok()
    }

    fn goes_on(&self) {
        self.next_try.store(self.later(), Ordering::Release);
    }

    fn ends(&self) {
        self.next_try.store(0, Ordering::Release);
    }
}

/// How to come to a database, and what must be so before it is used. Clones share what
/// they found out.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    url: Arc<str>,
    contents: Contents,
    migrate: bool,
    /// Whether the database has been found in order, or made so. Held meanwhile.
    is_prepared: Arc<Mutex<bool>>,
}

impl Connector {
    /// For a database with these tables; it gets what migrations it lacks if `migrate`.
    pub(super) fn new(url: &str, contents: Contents, migrate: bool) -> Self {
        let url = parameters::with_defaults(url).into();
        Self { url, contents, migrate, is_prepared: Arc::default() }
    }

    /// For a database that is there and in order, and stays as it is.
    pub(super) fn reading(url: &str, contents: Contents) -> Result<Self, StoreError> {
        let connector = Self::new(url, contents, false);
        connector.try_once()?;
        Ok(connector)
    }

    /// A connection to a database that is in order.
    pub(super) fn connect(&self) -> Result<PgConnection, StoreError> {
        let mut connection = self.establish()?;
        let mut is_prepared = self.is_prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_prepared {
            self.prepare(&mut connection)?;
            *is_prepared = true;
        }
        Ok(connection)
    }

    /// Connects once, to say what is wrong.
    pub(super) fn try_once(&self) -> Result<(), StoreError> {
        self.connect().map(|_| ())
    }

    /// The names of the migrations that the database lacks.
    pub(super) fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        migrations::pending(&mut self.establish()?, self.contents)
    }

    fn establish(&self) -> Result<PgConnection, StoreError> {
        PgConnection::establish(&self.url).map_err(|error| {
            StoreError::Unavailable(format!("{}: {error}", url::without_password(self.shown())))
        })
    }

    fn prepare(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let pending = migrations::pending(connection, self.contents)?;
        if pending.is_empty() {
            Ok(())
        } else if self.migrate {
            migrations::apply(connection, self.contents)
        } else {
            let (shown, names) = (url::without_password(self.shown()), pending.join(", "));
            Err(StoreError::NotMigrated(format!("{shown} lacks the migrations {names}")))
        }
    }

    /// The URL without what was added to it.
    fn shown(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }
}

/// Makes connections of one kind.
#[derive(Debug)]
pub(super) struct Manager {
    connector: Connector,
    settings: String,
}

impl ManageConnection for Manager {
    type Connection = OpenConnection;
    type Error = StoreError;

    fn connect(&self) -> Result<OpenConnection, StoreError> {
        let mut connection = self.connector.connect()?;
        connection.batch_execute(&self.settings)?;
        Ok(OpenConnection { connection, is_suspect: false })
    }

    fn is_valid(&self, open: &mut OpenConnection) -> Result<(), StoreError> {
        Ok(open.connection.batch_execute("SELECT 1")?)
    }

    fn has_broken(&self, open: &mut OpenConnection) -> bool {
        open.is_suspect || std::thread::panicking() || open.connection.is_broken()
    }
}

/// A connection of a pool.
pub(super) struct OpenConnection {
    connection: PgConnection,
    /// Something failed on it; the next caller gets another one.
    is_suspect: bool,
}

impl OpenConnection {
    /// What a transaction does. The server rolls back what a dropped connection began.
    fn work<T>(
        &mut self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let outcome = work(&mut self.connection);
        self.is_suspect = outcome.is_err();
        outcome
    }

    /// Begins or ends a transaction.
    fn end(&mut self, statement: &str) -> Result<(), Error> {
        let outcome = self.connection.batch_execute(statement);
        self.is_suspect = outcome.is_err();
        outcome
    }
}
