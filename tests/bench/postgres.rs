//! How many commands are acknowledged in a second on PostgreSQL?
//!
//! As in [`commands`](crate::commands), beside `pgbench` running the statements of a
//! reschedule as a server would send them that gives each command a transaction of its
//! own. Its clients wait for each other in two places: for the disk, which PostgreSQL lets
//! them share, and for the row that the sequences come from, which they hold until the
//! disk has their commit. A second script leaves out that row, and all that is read: what
//! the database could do if the events had no order.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cluster::{self, Cluster};
use crate::commands::{self, CLIENTS, Round};
use crate::database::Database;
use crate::report::{Goals, Table, fixed, grouped, median, range};
use crate::rescheduler::Rescheduler;
use crate::server::{self, Places, Server};
use crate::{Failure, Plan, site};

const REGION: &str = "north";

/// How many clients pgbench has, and how many threads for them.
const PGBENCH_CLIENTS: usize = 16;
const PGBENCH_THREADS: usize = 2;

/// The goal for the most clients, as a multiple of what pgbench reaches.
const RATIO_GOAL: f64 = 2.0;

/// As the server sets it for its connections.
const SESSION: &str = "-c enable_seqscan=off -c plan_cache_mode=force_generic_plan -c jit=off";

/// Numbers the jobs by their ids, since pgbench knows no other variables to choose by,
/// and keeps what an event's row has beside its sequence and its job.
const PREPARE: &str = "
    SET session_replication_role = replica;
    CREATE TEMPORARY TABLE numbered AS
        SELECT id, ('00000000-0000-4000-8000-'
                    || lpad((row_number() OVER (ORDER BY id) - 1)::text, 12, '0'))::uuid AS new
        FROM jobs;
    UPDATE jobs SET id = new FROM numbered WHERE jobs.id = numbered.id;
    UPDATE job_assignments SET job_id = new FROM numbered WHERE job_id = numbered.id;
    CREATE SEQUENCE spare_sequence START 1000000000;
    VACUUM ANALYZE;
";

/// One reschedule, between its BEGIN and its COMMIT. A job's versions count its moves, so
/// they tell which of the two windows it stands in. Each client has jobs of its own.
const SAME_TRANSACTION: &str = r"
\set job :client_id * :jobs_per_client + random(0, :jobs_per_client - 1)
BEGIN;
SELECT id AS job_id, title, customer, address, region, timezone, start_utc, end_utc, status,
    cancellation_reason, version, created_at, updated_at
    FROM jobs WHERE id = ('00000000-0000-4000-8000-' || lpad((:job::bigint)::text, 12, '0'))::uuid
    FOR NO KEY UPDATE \gset
SELECT contractor_id FROM job_assignments WHERE job_id = :job_id::uuid ORDER BY position \gset
SELECT 1 FROM contractors WHERE id = :contractor_id::uuid FOR NO KEY UPDATE;
\set minutes :version % 2 * 150
SELECT job_id, start_utc, end_utc FROM job_assignments
    WHERE contractor_id = :contractor_id::uuid AND is_live
    AND start_utc < timestamptz '2030-05-06 10:00Z' + :minutes::int * interval '1 minute'
    AND start_utc >= timestamptz '2030-05-05 09:00Z' + :minutes::int * interval '1 minute'
    AND end_utc > timestamptz '2030-05-06 09:00Z' + :minutes::int * interval '1 minute';
WITH moved AS (
    UPDATE job_assignments
    SET start_utc = timestamptz '2030-05-06 09:00Z' + :minutes::int * interval '1 minute',
        end_utc = timestamptz '2030-05-06 10:00Z' + :minutes::int * interval '1 minute'
    WHERE job_id = :job_id::uuid)
    UPDATE jobs
    SET start_utc = timestamptz '2030-05-06 09:00Z' + :minutes::int * interval '1 minute',
        end_utc = timestamptz '2030-05-06 10:00Z' + :minutes::int * interval '1 minute',
        version = version + 1, updated_at = now()
    WHERE id = :job_id::uuid AND version = :version::bigint;
UPDATE event_sequence SET last = last + 1 WHERE id = 1 RETURNING last AS sequence \gset
INSERT INTO outbox VALUES (:sequence::bigint, EVENT);
COMMIT;
";

/// The writes alone, and a number that need not follow the order of the commits.
const LEAN_TRANSACTION: &str = r"
\set job :client_id * :jobs_per_client + random(0, :jobs_per_client - 1)
BEGIN;
UPDATE jobs SET version = version + 1, updated_at = now()
    WHERE id = ('00000000-0000-4000-8000-' || lpad((:job::bigint)::text, 12, '0'))::uuid;
INSERT INTO outbox VALUES (nextval('spare_sequence'), EVENT);
COMMIT;
";

/// Runs the bench.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    let clients_max = CLIENTS.into_iter().max().unwrap_or_default();
    let plan = &Plan { round: plan.pgbench_round, ..*plan };
    let cluster = Cluster::start()?;
    let same = PgBench::prepare(&cluster, "same", clients_max, SAME_TRANSACTION)?;
    let lean = PgBench::prepare(&cluster, "lean", clients_max, LEAN_TRANSACTION)?;
    let places = Places::one(cluster.create("measured", "template0")?);
    let server = Server::start_on(&places)?;
    let token = site::token("dispatcher", REGION)?;
    let mut reschedulers = site::make_jobs(server.address(), REGION, clients_max)?
        .iter()
        .map(|job| Rescheduler::open(server.address(), &token, job))
        .collect::<Result<Vec<_>, _>>()?;
    reschedulers[0].reschedule()?;
    let mut table = Table::new(&[
        "clients",
        "commands/s",
        "p50, ms",
        "p99, ms",
        "server CPU, µs/command",
        "PostgreSQL CPU, µs/command",
        "× pgbench",
        "by round",
        "× lean pgbench",
    ]);
    let mut bare_table =
        Table::new(&["pgbench", "transactions/s", "p50, ms", "p99, ms", "PostgreSQL CPU, µs"]);
    let (mut all_same, mut all_lean) = (Round::default(), Round::default());
    let mut goals = Goals::new();
    for clients in CLIENTS {
        let (mut ours, mut cpu) = (Round::default(), Duration::ZERO);
        let (mut ratios, mut lean_ratios) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            let cpu_before = cluster.cpu_time()?;
            let round = commands::server_round(&server, &mut reschedulers, clients, plan)?;
            cpu += cluster.cpu_time()?.saturating_sub(cpu_before);
            let (same_round, lean_round) = (same.run(&cluster, plan)?, lean.run(&cluster, plan)?);
            ratios.push(round.per_second() / same_round.per_second());
            lean_ratios.push(round.per_second() / lean_round.per_second());
            ours.add(round);
            all_same.add(same_round);
            all_lean.add(lean_round);
        }
        let per_command = |cpu: Duration| fixed(us_each(cpu, ours.cpu_commands), 0);
        let cpus = [per_command(ours.cpu), per_command(cpu)];
        let mut cells = vec![clients.to_string(), grouped(ours.per_second())];
        cells.extend(ours.latencies.p50_and_p99());
        cells.extend(cpus);
        cells.extend([fixed(median(&ratios), 2), range(&ratios), fixed(median(&lean_ratios), 2)]);
        table.row(cells);
        if clients == clients_max {
            let what = format!("{clients} clients, × pgbench");
            goals.at_least(&what, RATIO_GOAL, median(&ratios), "");
        }
    }
    for (name, mut round) in [("the same transaction", all_same), ("lean", all_lean)] {
        let mut cells = vec![name.to_owned(), grouped(round.per_second())];
        cells.extend(round.latencies.p50_and_p99());
        cells.push(fixed(us_each(round.cpu, round.cpu_commands), 0));
        bare_table.row(cells);
    }
    table.print("PostgreSQL: reschedules over HTTP, as durable as PostgreSQL comes");
    bare_table.print(&format!("PostgreSQL: pgbench, {PGBENCH_CLIENTS} clients"));
    goals.print("PostgreSQL: goals");
    Ok(())
}

fn us_each(cpu: Duration, count: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / count as f64
}

/// A script for pgbench, and the database that it is for.
struct PgBench {
    url: String,
    script: String,
    jobs_per_client: usize,
}

impl PgBench {
    /// Makes a database as the measured one is, and writes a real event into the script.
    fn prepare(
        cluster: &Cluster,
        name: &str,
        jobs: usize,
        transaction: &str,
    ) -> Result<Self, Failure> {
        let url = cluster.create(name, "template0")?;
        let server = Server::start_on(&Places::one(url.clone()))?;
        let ids = site::make_jobs(server.address(), REGION, jobs)?;
        let token = site::token("dispatcher", REGION)?;
        let mut rescheduler = Rescheduler::open(server.address(), &token, &ids[0])?;
        rescheduler.reschedule()?;
        let mut database = Database::open(&url)?;
        database.await_logged(rescheduler.last_sequence())?;
        drop(server);
        for statement in PREPARE.trim().split_inclusive(';') {
            database.run(statement)?;
        }
        let event = database.text(
            "SELECT format('gen_random_uuid(), %L, %s, %L::uuid, %L, %L::json, %L::json, %L, %L, \
                           now(), now()',
                event_type, schema_version, job_id, region, payload, published_to, actor_id,
                correlation_id) AS text
             FROM event_log ORDER BY sequence DESC LIMIT 1",
        )?;
        // pgbench takes a colon before a letter for a variable, but not one in quotes
        // before anything else; a payload has colons before true, false and null.
        let event = event.replace(":null", ": null").replace(":true", ": true");
        let event = event.replace(":false", ": false");
        let script = transaction.replace("EVENT", &event);
        Ok(Self { url, script, jobs_per_client: jobs / PGBENCH_CLIENTS })
    }

    /// Runs the script for a round, with as many clients as it is compared with.
    fn run(&self, cluster: &Cluster, plan: &Plan) -> Result<Round, Failure> {
        let folder = server::folder()?;
        fs::write(folder.path().join("script.sql"), &self.script)?;
        let cpu_before = cluster.cpu_time()?;
        let start = Instant::now();
        let done = Command::new(cluster::program("pgbench"))
            .args(["--no-vacuum", "--protocol=prepared", "--file=script.sql", "--log"])
            .args(["--log-prefix=transactions", "--time"])
            .arg(plan.round.as_secs().max(1).to_string())
            .args(["--client", &PGBENCH_CLIENTS.to_string()])
            .args(["--jobs", &PGBENCH_THREADS.to_string()])
            .arg(format!("--define=jobs_per_client={}", self.jobs_per_client))
            .arg(&self.url)
            .env("PGOPTIONS", SESSION)
            .current_dir(folder.path())
            .output()
            .map_err(|error| format!("cannot run pgbench: {error}"))?;
        if !done.status.success() {
            return Err(format!("pgbench: {}", String::from_utf8_lossy(&done.stderr)).into());
        }
        let elapsed = start.elapsed();
        let mut round = Round::default();
        for entry in fs::read_dir(folder.path())? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name != "script.sql") {
                count_transactions(&fs::read_to_string(path)?, &mut round)?;
            }
        }
        round.cpu = cluster.cpu_time()?.saturating_sub(cpu_before);
        round.elapsed = clean_time(&String::from_utf8(done.stdout)?, round.cpu_commands, elapsed)?;
        Ok(round)
    }
}

/// Reads a line per transaction: the client, its count, and how long it took in µs.
fn count_transactions(log: &str, round: &mut Round) -> Result<(), Failure> {
    for line in log.lines() {
        let micros = line.split(' ').nth(2).ok_or("a line of pgbench's log without a time")?;
        round.count(Duration::from_micros(micros.parse()?));
        round.cpu_commands += 1;
    }
    Ok(())
}

/// The time that the transactions took, without connecting: from the rate that pgbench
/// tells, which counts from there.
fn clean_time(output: &str, transactions: u64, elapsed: Duration) -> Result<Duration, Failure> {
    let rate = output.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate = rate.and_then(|rate| rate.split(' ').next()).ok_or("pgbench tells no rate")?;
    let seconds = transactions as f64 / rate.parse::<f64>()?;
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(elapsed))
}
