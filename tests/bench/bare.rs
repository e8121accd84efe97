//! The transaction of a reschedule without a server: what one thread reaches with the
//! same statements, on the same tables, one command per transaction.

use std::marker::PhantomData;
use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;

use crate::commands::Round;
use crate::{Failure, site};

// The columns that these statements name. The server's own schema is not used: what is
// measured here must not change with the code that it is compared with.
diesel::table! {
    jobs (id) {
        id -> Text,
        region -> Text,
        status -> Text,
        start_utc -> Text,
        end_utc -> Text,
        version -> BigInt,
    }
}

diesel::table! {
    job_assignments (job_id, contractor_id) {
        job_id -> Text,
        contractor_id -> Text,
        start_utc -> Text,
        end_utc -> Text,
        is_live -> Bool,
    }
}

diesel::table! {
    outbox (sequence) {
        sequence -> BigInt,
        event_id -> Text,
        event_type -> Text,
        schema_version -> BigInt,
        job_id -> Text,
        region -> Text,
        payload -> Text,
        published_to -> Text,
        actor_id -> Text,
        correlation_id -> Text,
        occurred_at -> Text,
        created_at -> Text,
    }
}

diesel::table! {
    event_log (sequence) {
        sequence -> BigInt,
        event_id -> Text,
        payload -> Text,
        published_to -> Text,
        occurred_at -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(jobs, job_assignments);

/// As the server sets them for each of its connections, but that nobody else copies the
/// write-ahead log back: at 16 MB, which suits the bare side better than SQLite's 4. The
/// file itself is in WAL mode since the server made it.
const PRAGMAS: &str = "
    PRAGMA busy_timeout = 500;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA wal_autocheckpoint = 4000;
";

/// What the outbox holds of an event besides its place and its job.
#[derive(Queryable)]
struct EventTexts {
    event_id: String,
    payload: String,
    published_to: String,
    occurred_at: String,
}

/// A job as a transaction loads it.
#[derive(Queryable)]
struct JobRow {
    region: String,
    status: String,
    start_utc: String,
    end_utc: String,
    version: i64,
    contractor_id: String,
}

/// A database that a server made and filled, and that nobody else uses any more.
pub struct BareDatabase {
    connection: SqliteConnection,
    jobs: Vec<String>,
    next_job: usize,
    /// A real event, to be written again and again.
    event: EventTexts,
}

impl BareDatabase {
    /// Opens the file; it holds these jobs, and events of which the last one is a
    /// reschedule.
    pub fn open(file: &Path, jobs: Vec<String>) -> Result<Self, Failure> {
        let path = file.to_str().ok_or("the database's path is not UTF-8")?;
        let mut connection = SqliteConnection::establish(path)?;
        connection.batch_execute(PRAGMAS)?;
        let event = last_event(&mut connection)?;
        Ok(Self { connection, jobs, next_job: 0, event })
    }

    /// Moves one job after the other, as fast as it can.
    pub fn run(&mut self, warm_up: Duration, duration: Duration) -> Result<Round, Failure> {
        let mut round = Round::default();
        let from = Instant::now() + warm_up;
        let until = from + duration;
        loop {
            let start = Instant::now();
            if start >= until {
                break;
            }
            self.move_next_job()?;
            let end = Instant::now();
            if start >= from && end <= until {
                round.count(end - start);
            }
        }
        round.elapsed = duration;
        Ok(round)
    }

    fn move_next_job(&mut self) -> Result<(), Failure> {
        let job = &self.jobs[self.next_job];
        self.next_job = (self.next_job + 1) % self.jobs.len();
        let event = &self.event;
        self.connection.immediate_transaction(|connection| move_job(connection, job, event))
    }
}

/// The last event, wherever it stands: the server may have been stopped before it was
/// in the log.
fn last_event(connection: &mut SqliteConnection) -> Result<EventTexts, Failure> {
    let waiting = outbox::table
        .order(outbox::sequence.desc())
        .select((outbox::event_id, outbox::payload, outbox::published_to, outbox::occurred_at))
        .first(connection)
        .optional()?;
    if let Some(event) = waiting {
        return Ok(event);
    }
    Ok(event_log::table
        .order(event_log::sequence.desc())
        .select((
            event_log::event_id,
            event_log::payload,
            event_log::published_to,
            event_log::occurred_at,
        ))
        .first(connection)?)
}

/// One reschedule: the job and its contractor's time are read, the job and its
/// assignment written, a sequence taken and the event put into the outbox.
fn move_job(
    connection: &mut SqliteConnection,
    id: &str,
    event: &EventTexts,
) -> Result<(), Failure> {
    let assigned = job_assignments::job_id.eq(jobs::id);
    let job: JobRow = jobs::table
        .inner_join(job_assignments::table.on(assigned))
        .filter(jobs::id.eq(id))
        .select((
            jobs::region,
            jobs::status,
            jobs::start_utc,
            jobs::end_utc,
            jobs::version,
            job_assignments::contractor_id,
        ))
        .first(connection)?;
    let is_elsewhere = |[start, end]: &[&str; 2]| *start != job.start_utc && *end != job.end_utc;
    let [start, end] = site::WINDOWS.into_iter().find(is_elsewhere).ok_or("no other window")?;

    let busy: Vec<String> = job_assignments::table
        .filter(job_assignments::contractor_id.eq(&job.contractor_id))
        .filter(job_assignments::start_utc.lt(end))
        .filter(job_assignments::end_utc.gt(start))
        .filter(job_assignments::is_live)
        .select(job_assignments::job_id)
        .load(connection)?;
    if job.status != "scheduled" || busy.iter().any(|other| other != id) {
        return Err(format!("job {id} cannot be moved").into());
    }

    let moved = Update::<Jobs>::of(&[start, end, &event.occurred_at, id], Some(job.version))
        .execute(connection)?;
    if moved != 1 {
        return Err(format!("job {id} is no longer at version {}", job.version).into());
    }
    Update::<Assignments>::of(&[start, end, id], None).execute(connection)?;
    let sequence: i64 = Update::<Sequence>::of(&[], None).get_result(connection)?;
    diesel::insert_into(outbox::table)
        .values((
            outbox::sequence.eq(sequence),
            outbox::event_id.eq(&event.event_id),
            outbox::event_type.eq("JobRescheduled"),
            outbox::schema_version.eq(1),
            outbox::job_id.eq(id),
            outbox::region.eq(&job.region),
            outbox::payload.eq(&event.payload),
            outbox::published_to.eq(&event.published_to),
            outbox::actor_id.eq("dispatcher-north"),
            outbox::correlation_id.eq(&event.event_id),
            outbox::occurred_at.eq(&event.occurred_at),
            outbox::created_at.eq(&event.occurred_at),
        ))
        .execute(connection)?;
    Ok(())
}

/// An update that stays prepared. Diesel prepares its own updates anew each time, which
/// would make this side slower than it has to be.
struct Update<'a, S> {
    texts: &'a [&'a str],
    version: Option<i64>,
    statement: PhantomData<S>,
}

/// The text of an update: the question marks are for texts, then for the version.
trait Statement: 'static {
    const TEXT: &str;
}

struct Jobs;

impl Statement for Jobs {
    const TEXT: &str = "UPDATE jobs
        SET start_utc = ?, end_utc = ?, updated_at = ?, version = version + 1
        WHERE id = ? AND version = ?";
}

struct Assignments;

impl Statement for Assignments {
    const TEXT: &str = "UPDATE job_assignments SET start_utc = ?, end_utc = ? WHERE job_id = ?";
}

struct Sequence;

impl Statement for Sequence {
    const TEXT: &str = "UPDATE event_sequence SET last = last + 1 RETURNING last";
}

impl<'a, S> Update<'a, S> {
    fn of(texts: &'a [&'a str], version: Option<i64>) -> Self {
        Self { texts, version, statement: PhantomData }
    }
}

impl<S: Statement> QueryFragment<Sqlite> for Update<'_, S> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let mut parts = S::TEXT.split('?');
        out.push_sql(parts.next().unwrap_or_default());
        for text in self.texts {
            out.push_bind_param::<Text, str>(text)?;
            out.push_sql(parts.next().unwrap_or_default());
        }
        if let Some(version) = &self.version {
            out.push_bind_param::<BigInt, i64>(version)?;
            out.push_sql(parts.next().unwrap_or_default());
        }
        Ok(())
    }
}

impl<S: Statement> QueryId for Update<'_, S> {
    type QueryId = Update<'static, S>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<S> Query for Update<'_, S> {
    type SqlType = BigInt;
}

impl<S> RunQueryDsl<SqliteConnection> for Update<'_, S> {}
