//! How many events are written to the event log in a second?
//!
//! A server starts on a database whose outbox is full, as after a log that was away, and
//! takes the events from there in batches. Beside it, in turns, the same batches are
//! written to an equal database without a server: one connection, the same statements,
//! and the events in memory. So a server that reads the outbox and clears it as well
//! cannot reach the bare side.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use crate::database::{Database, Home, Sampled};
use crate::report::{Table, fixed, grouped, median, range};
use crate::server::{Places, Server};
use crate::{Failure, Plan, process};

/// Events per transaction, as the server has it.
const BATCH_EVENTS: usize = 500;

/// As the server sets them for the connection that writes the log beside the jobs: what a
/// loss of power takes is written again.
const SQLITE_SESSION: &str = "
    PRAGMA synchronous = NORMAL;
    PRAGMA foreign_keys = ON;
    PRAGMA wal_autocheckpoint = 65536;
";
const POSTGRES_SESSION: &str = "
    SET synchronous_commit = off;
    SET enable_seqscan = off;
    SET plan_cache_mode = force_generic_plan;
";

/// Who writes, as the rows say.
const NODE_ID: &str = "bench";

/// Runs the bench.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "database",
        "events",
        "logged/s",
        "server CPU, µs/event",
        "bare/s",
        "× bare",
        "by round",
    ]);
    for (name, home) in Home::both()? {
        let full = Sampled::make(&home, "waiting")?;
        full.fill_outbox(plan.log_events)?;
        let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut cpu_us = Vec::new();
        for round in 0..plan.log_rounds {
            let (rate, us) =
                server_round(&home.copy(&format!("server_{round}"), "waiting")?, plan)?;
            let bare_rate = bare_round(&home.copy(&format!("bare_{round}"), "waiting")?)?;
            ratios.push(rate / bare_rate);
            ours.push(rate);
            bare.push(bare_rate);
            cpu_us.push(us);
        }
        table.row(vec![
            name.to_owned(),
            grouped(plan.log_events as f64),
            grouped(median(&ours)),
            fixed(median(&cpu_us), 1),
            grouped(median(&bare)),
            fixed(median(&ratios), 2),
            range(&ratios),
        ]);
    }
    table.print("Event log: a full outbox after a start, in batches of 500");
    Ok(())
}

/// Has a server log what the outbox holds. Answers the events per second, from its first
/// answer on, and its CPU time for each in µs.
fn server_round(url: &str, plan: &Plan) -> Result<(f64, f64), Failure> {
    let mut database = Database::open(url)?;
    let last = database.number("SELECT last AS number FROM event_sequence")?;
    let server = Server::start_on(&Places::one(url.to_owned()))?;
    let (start, already) = (Instant::now(), database.last_logged()?);
    database.await_logged(last)?;
    let elapsed = start.elapsed();
    if already >= last {
        return Err("all was logged before the clock started; more events are needed".into());
    }
    let cpu = process::cpu_time(server.pid())?;
    let rate = (last - already) as f64 / elapsed.as_secs_f64();
    Ok((rate, cpu.as_secs_f64() * 1e6 / plan.log_events as f64))
}

/// Writes what the outbox holds to the log; answers the events per second.
fn bare_round(url: &str) -> Result<f64, Failure> {
    match Database::open(url)? {
        Database::Sqlite(connection) => bare_sqlite(connection, url),
        Database::Postgres(connection) => bare_postgres(connection, url),
    }
}

diesel::table! {
    event_log (sequence) {
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
        published_at -> Nullable<Text>,
        logged_at -> Text,
        node_id -> Text,
    }
}

diesel::table! {
    event_log_groups (group_name, sequence) {
        group_name -> Text,
        sequence -> BigInt,
    }
}

/// An event in the outbox. Ids are texts, as times are where they are not needed.
#[derive(QueryableByName)]
struct Event {
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = Text)]
    event_id: String,
    #[diesel(sql_type = Text)]
    event_type: String,
    #[diesel(sql_type = BigInt)]
    schema_version: i64,
    #[diesel(sql_type = Text)]
    job_id: String,
    #[diesel(sql_type = Text)]
    region: String,
    #[diesel(sql_type = Text)]
    payload: String,
    #[diesel(sql_type = Text)]
    published_to: String,
    #[diesel(sql_type = Text)]
    actor_id: String,
    #[diesel(sql_type = Text)]
    correlation_id: String,
    #[diesel(sql_type = Text)]
    occurred_at: String,
}

fn bare_sqlite(mut connection: SqliteConnection, url: &str) -> Result<f64, Failure> {
    let events: Vec<Event> =
        diesel::sql_query("SELECT * FROM outbox ORDER BY sequence").load(&mut connection)?;
    Database::open(url)?.run("PRAGMA wal_checkpoint(TRUNCATE)")?;
    diesel::connection::SimpleConnection::batch_execute(&mut connection, SQLITE_SESSION)?;
    let groups: Vec<Vec<String>> = events
        .iter()
        .map(|event| serde_json::from_str(&event.published_to))
        .collect::<Result<_, _>>()?;
    let start = Instant::now();
    for (batch, groups) in events.chunks(BATCH_EVENTS).zip(groups.chunks(BATCH_EVENTS)) {
        connection.immediate_transaction(|connection| {
            let mut one_by_one = batch.iter().zip(groups);
            one_by_one.try_for_each(|(event, groups)| insert_sqlite(connection, event, groups))
        })?;
    }
    Ok(rate(events.len(), start.elapsed()))
}

fn insert_sqlite(
    connection: &mut SqliteConnection,
    event: &Event,
    groups: &[String],
) -> QueryResult<()> {
    diesel::insert_into(event_log::table)
        .values((
            event_log::sequence.eq(event.sequence),
            event_log::event_id.eq(&event.event_id),
            event_log::event_type.eq(&event.event_type),
            event_log::schema_version.eq(event.schema_version),
            event_log::job_id.eq(&event.job_id),
            event_log::region.eq(&event.region),
            event_log::payload.eq(&event.payload),
            event_log::published_to.eq(&event.published_to),
            event_log::actor_id.eq(&event.actor_id),
            event_log::correlation_id.eq(&event.correlation_id),
            event_log::occurred_at.eq(&event.occurred_at),
            event_log::logged_at.eq(&event.occurred_at),
            event_log::node_id.eq(NODE_ID),
        ))
        .on_conflict(event_log::sequence)
        .do_nothing()
        .execute(connection)?;
    for group in groups {
        diesel::insert_into(event_log_groups::table)
            .values((
                event_log_groups::group_name.eq(group),
                event_log_groups::sequence.eq(event.sequence),
            ))
            .on_conflict_do_nothing()
            .execute(connection)?;
    }
    Ok(())
}

fn bare_postgres(mut connection: PgConnection, url: &str) -> Result<f64, Failure> {
    let events: Vec<Event> = diesel::sql_query(
        "SELECT sequence, event_id::text, event_type, schema_version, job_id::text, region,
                payload::text, published_to::text, actor_id, correlation_id, occurred_at::text
         FROM outbox ORDER BY sequence",
    )
    .load(&mut connection)?;
    let batches: Vec<Batch> =
        events.chunks(BATCH_EVENTS).map(Batch::of).collect::<Result<_, _>>()?;
    Database::open(url)?.run("CHECKPOINT")?;
    diesel::connection::SimpleConnection::batch_execute(&mut connection, POSTGRES_SESSION)?;
    let start = Instant::now();
    for batch in &batches {
        connection.transaction(|connection| batch.execute(connection))?;
    }
    Ok(rate(events.len(), start.elapsed()))
}

fn rate(events: usize, elapsed: Duration) -> f64 {
    events as f64 / elapsed.as_secs_f64()
}

/// Events as a value per column.
#[derive(Default)]
struct Batch {
    logged_at: DateTime<Utc>,
    sequences: Vec<i64>,
    event_ids: Vec<Uuid>,
    event_types: Vec<String>,
    schema_versions: Vec<i64>,
    job_ids: Vec<Uuid>,
    regions: Vec<String>,
    payloads: Vec<String>,
    groups: Vec<String>,
    actor_ids: Vec<String>,
    correlation_ids: Vec<String>,
    times: Vec<DateTime<Utc>>,
    published: Vec<Option<DateTime<Utc>>>,
}

impl Batch {
    fn of(events: &[Event]) -> Result<Self, Failure> {
        let mut batch = Self { logged_at: Utc::now(), ..Self::default() };
        for event in events {
            batch.sequences.push(event.sequence);
            batch.event_ids.push(event.event_id.parse()?);
            batch.event_types.push(event.event_type.clone());
            batch.schema_versions.push(event.schema_version);
            batch.job_ids.push(event.job_id.parse()?);
            batch.regions.push(event.region.clone());
            batch.payloads.push(event.payload.clone());
            batch.groups.push(event.published_to.clone());
            batch.actor_ids.push(event.actor_id.clone());
            batch.correlation_ids.push(event.correlation_id.clone());
            batch.times.push(batch.logged_at);
            batch.published.push(None);
        }
        Ok(batch)
    }
}

/// The statement that the server has for it: `?` stands for a value.
const INSERT: &str = "
    WITH logged AS (
        INSERT INTO event_log (
            sequence, event_id, event_type, schema_version, job_id, region, payload,
            published_to, actor_id, correlation_id, occurred_at, published_at, logged_at, node_id)
        SELECT sequence, event_id, event_type, schema_version, job_id, region, payload::json,
               published_to::json, actor_id, correlation_id, occurred_at, published_at, ?, ?
        FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AS new (
            sequence, event_id, event_type, schema_version, job_id, region, payload, published_to,
            actor_id, correlation_id, occurred_at, published_at)
        ON CONFLICT (sequence) DO NOTHING
        RETURNING sequence, published_to
    )
    INSERT INTO event_log_groups (group_name, sequence)
    SELECT json_array_elements_text(published_to), sequence FROM logged
    ON CONFLICT DO NOTHING";

impl QueryFragment<Pg> for Batch {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut parts = INSERT.split('?');
        let mut text = |out: &mut AstPass<'_, 'b, Pg>| {
            out.push_sql(parts.next().unwrap_or_default());
        };
        text(&mut out);
        out.push_bind_param::<Timestamptz, _>(&self.logged_at)?;
        text(&mut out);
        out.push_bind_param::<Text, str>(NODE_ID)?;
        text(&mut out);
        out.push_bind_param::<Array<BigInt>, _>(&self.sequences)?;
        text(&mut out);
        out.push_bind_param::<Array<SqlUuid>, _>(&self.event_ids)?;
        text(&mut out);
        out.push_bind_param::<Array<Text>, _>(&self.event_types)?;
        text(&mut out);
        out.push_bind_param::<Array<BigInt>, _>(&self.schema_versions)?;
        text(&mut out);
        out.push_bind_param::<Array<SqlUuid>, _>(&self.job_ids)?;
        let texts =
            [&self.regions, &self.payloads, &self.groups, &self.actor_ids, &self.correlation_ids];
        for column in texts {
            text(&mut out);
            out.push_bind_param::<Array<Text>, _>(column)?;
        }
        text(&mut out);
        out.push_bind_param::<Array<Timestamptz>, _>(&self.times)?;
        text(&mut out);
        out.push_bind_param::<Array<Nullable<Timestamptz>>, _>(&self.published)?;
        text(&mut out);
        Ok(())
    }
}

impl QueryId for Batch {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<PgConnection> for Batch {}
impl RunQueryDsl<PgConnection> for &Batch {}
