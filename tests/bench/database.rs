//! Databases that a bench prepares for a server, and looks into.

use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::rescheduler::Rescheduler;
use crate::server::{self, Places, Server};
use crate::{Failure, site};

/// Where the sample event comes from.
const REGION: &str = "north";

/// How long the log may take until it holds what it should.
const LOG_TIMEOUT: Duration = Duration::from_secs(180);

/// How often it is looked whether it does.
const LOG_LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A connection of the bench's own.
pub enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

impl Database {
    /// Opens one that is there.
    pub fn open(url: &str) -> Result<Self, Failure> {
        let Some(file) = url.strip_prefix("sqlite://") else {
            return Ok(Self::Postgres(PgConnection::establish(url)?));
        };
        let mut connection = SqliteConnection::establish(file)?;
        connection.batch_execute("PRAGMA busy_timeout = 5000")?;
        Ok(Self::Sqlite(connection))
    }

    /// Carries statements out.
    pub fn run(&mut self, statements: &str) -> Result<(), Failure> {
        match self {
            Self::Sqlite(connection) => connection.batch_execute(statements)?,
            Self::Postgres(connection) => connection.batch_execute(statements)?,
        }
        Ok(())
    }

    /// The one number that a query answers, which it calls `number`.
    pub fn number(&mut self, query: &str) -> Result<u64, Failure> {
        let query = diesel::sql_query(query);
        let Number { number } = match self {
            Self::Sqlite(connection) => query.get_result(connection)?,
            Self::Postgres(connection) => query.get_result(connection)?,
        };
        Ok(u64::try_from(number)?)
    }

    /// The one text that a query answers, which it calls `text`.
    pub fn text(&mut self, query: &str) -> Result<String, Failure> {
        let query = diesel::sql_query(query);
        let Line { text } = match self {
            Self::Sqlite(connection) => query.get_result(connection)?,
            Self::Postgres(connection) => query.get_result(connection)?,
        };
        Ok(text)
    }

    /// The last sequence that the log holds.
    pub fn last_logged(&mut self) -> Result<u64, Failure> {
        self.number("SELECT coalesce(max(sequence), 0) AS number FROM event_log")
    }

    /// Waits until the log holds all up to a sequence.
    pub fn await_logged(&mut self, last: u64) -> Result<(), Failure> {
        let deadline = Instant::now() + LOG_TIMEOUT;
        while self.last_logged()? < last {
            if Instant::now() > deadline {
                return Err(format!("the log does not come to {last}").into());
            }
            thread::sleep(LOG_LOOK_INTERVAL);
        }
        Ok(())
    }
}

/// What databases are made in.
pub enum Home {
    Sqlite(TempDir),
    Postgres(Cluster),
}

impl Home {
    /// One of each kind, with its name.
    pub fn both() -> Result<[(&'static str, Self); 2], Failure> {
        Ok([
            ("SQLite", Self::Sqlite(server::folder()?)),
            ("PostgreSQL", Self::Postgres(Cluster::start()?)),
        ])
    }

    /// Makes an empty database; answers its URL.
    pub fn create(&self, name: &str) -> Result<String, Failure> {
        match self {
            Self::Sqlite(folder) => {
                Ok(server::sqlite_url(&folder.path().join(format!("{name}.db"))))
            }
            Self::Postgres(cluster) => cluster.create(name, "template0"),
        }
    }

    /// Makes a copy of a database that nobody uses; answers its URL.
    pub fn copy(&self, name: &str, of: &str) -> Result<String, Failure> {
        match self {
            Self::Sqlite(folder) => {
                let path = |name| folder.path().join(format!("{name}.db"));
                let (from, to) = (path(of), path(name));
                Database::open(&server::sqlite_url(&from))?
                    .run("PRAGMA wal_checkpoint(TRUNCATE)")?;
                std::fs::copy(from, &to)?;
                Ok(server::sqlite_url(&to))
            }
            Self::Postgres(cluster) => cluster.create(name, of),
        }
    }
}

/// A database that a server has made, with one job, and in its log the two events of it,
/// of which the last, a reschedule, is a sample for others. No server uses it any more.
pub struct Sampled {
    pub url: String,
    /// The sample's sequence.
    pub last: u64,
}

impl Sampled {
    /// Makes one.
    pub fn make(home: &Home, name: &str) -> Result<Self, Failure> {
        let url = home.create(name)?;
        let server = Server::start_on(&Places::one(url.clone()))?;
        let jobs = site::make_jobs(server.address(), REGION, 1)?;
        let token = site::token("dispatcher", REGION)?;
        let mut rescheduler = Rescheduler::open(server.address(), &token, &jobs[0])?;
        rescheduler.reschedule()?;
        let last = rescheduler.last_sequence();
        Database::open(&url)?.await_logged(last)?;
        Ok(Self { url, last })
    }

    /// Adds events like the sample to the outbox, as if the log had been away.
    pub fn fill_outbox(&self, count: usize) -> Result<(), Failure> {
        let database = &mut Database::open(&self.url)?;
        self.fill(database, "outbox (created_at", "sample.logged_at", count, 1)
    }

    /// Adds events like the sample to the log, the first one in the first of the
    /// [`regions`](region), the next one in the next, and so on.
    pub fn fill_log(&self, count: usize, regions: usize) -> Result<(), Failure> {
        let database = &mut Database::open(&self.url)?;
        let table = "event_log (published_at, logged_at, node_id";
        let values = "sample.published_at, sample.logged_at, sample.node_id";
        self.fill(database, table, values, count, regions)?;
        let announced = match database {
            Database::Sqlite(_) => "SELECT value, sequence FROM event_log, json_each(published_to)",
            Database::Postgres(_) => {
                "SELECT json_array_elements_text(published_to), sequence FROM event_log"
            }
        };
        let last = self.last;
        database.run(&format!(
            "INSERT INTO event_log_groups (group_name, sequence) {announced} WHERE sequence > {last}"
        ))?;
        if let Database::Postgres(_) = database {
            // As a server that has run for a while has done it.
            database.run("VACUUM ANALYZE")?;
        }
        Ok(())
    }

    /// Fills a table, named with the columns that outbox and log do not share.
    fn fill(
        &self,
        database: &mut Database,
        table: &str,
        values: &str,
        count: usize,
        regions: usize,
    ) -> Result<(), Failure> {
        let (sample, first, last) = (self.last, self.last + 1, self.last + count as u64);
        let region = format!("'region-' || ((n.n - {first}) % {regions})");
        let (numbers, id, text, json) = match database {
            Database::Sqlite(_) => (
                format!(
                    "(WITH RECURSIVE n (n) AS
                        (VALUES ({first}) UNION ALL SELECT n + 1 FROM n WHERE n < {last})
                      SELECT n FROM n) AS n"
                ),
                "printf('%08x-0000-4000-8000-%012x', n.n, n.n)",
                "",
                "",
            ),
            Database::Postgres(_) => (
                format!("generate_series({first}, {last}) AS n (n)"),
                "(lpad(to_hex(n.n), 8, '0') || '-0000-4000-8000-'
                    || lpad(to_hex(n.n), 12, '0'))::uuid",
                "::text",
                "::json",
            ),
        };
        database.run(&format!(
            "INSERT INTO {table}, sequence, event_id, event_type, schema_version, job_id, region,
                payload, published_to, actor_id, correlation_id, occurred_at)
             SELECT {values}, n.n, {id}, sample.event_type, sample.schema_version, sample.job_id, {region},
                replace(replace(sample.payload{text}, '\"sequence\":{sample},',
                                '\"sequence\":' || n.n || ','),
                        '\"region\":\"{REGION}\"', '\"region\":\"' || {region} || '\"'){json},
                replace(sample.published_to{text}, 'dispatch/{REGION}',
                        'dispatch/' || {region}){json},
                sample.actor_id, sample.correlation_id, sample.occurred_at
             FROM {numbers}, event_log AS sample
             WHERE sample.sequence = {sample};
             UPDATE event_sequence SET last = {last};"
        ))
    }
}

/// The region of this number that events were spread over.
pub fn region(number: usize) -> String {
    format!("region-{number}")
}
