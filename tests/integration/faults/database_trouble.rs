//! The jobs' database is in trouble: away at the start, silent, read-only, full, or with
//! no connection to spare. Commands are refused with nothing changed, and are carried out
//! again when it is over, by the same process.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::outcome::{verify, wait_until_logged};
use super::scene::{fixed_address, serve};
use crate::support::database::TestDatabase;
use crate::support::postgres::{Durability, Postgres, Stop, give_to_postgres};
use crate::support::program::{Answer, Caller, Program, Serve};
use crate::support::site::{token, window};
use crate::support::wait_until;

/// A server, and a job that is moved by one hour after the other.
struct Trouble {
    postgres: Postgres,
    database: TestDatabase,
    program: Program,
    address: String,
    job: String,
    hour: i64,
    refused: u32,
    slowest: Duration,
}

impl Trouble {
    fn new() -> Self {
        let postgres = Postgres::start(Durability::None);
        let (database, address) = (TestDatabase::on(&postgres), fixed_address());
        let program = serve(&database, &address).start();
        Self::with(postgres, database, program, address)
    }

    fn with(postgres: Postgres, database: TestDatabase, program: Program, address: String) -> Self {
        let (refused, slowest) = (0, Duration::ZERO);
        let job = String::new();
        let mut trouble =
            Self { postgres, database, program, address, job, hour: 0, refused, slowest };
        let window = window(0, 0);
        let job = json!({
            "title": "Boiler inspection", "customer": "Harbour Hotel", "address": "1 Quay Street",
            "region": "north", "timezone": "Europe/Berlin",
            "startUtc": window.start(), "endUtc": window.end(),
        });
        let mut made = None;
        wait_until("a job can be made", || {
            let answer = trouble.call("POST", "/api/jobs", &job);
            made = Some(answer).filter(|answer| answer.status == 201);
            made.is_some()
        });
        let id = made.as_ref().and_then(|answer| answer.body["id"].as_str()).expect("a job");
        trouble.job = id.to_owned();
        trouble
    }

    /// One request over a connection of its own. What is refused has to be refused well.
    fn call(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let token = token("admin", &[], None);
        let mut caller = Caller::connect(&self.address, &token).expect("the server listens");
        let since = Instant::now();
        let key = uuid::Uuid::new_v4().to_string();
        let answer = caller.change(method, path, &key, body).expect("an answer");
        if answer.status == 503 {
            self.refused += 1;
            self.slowest = self.slowest.max(since.elapsed());
            assert_eq!(answer.body["code"], "store_unavailable", "{answer:?}");
            assert!(answer.header("retry-after").parse::<u32>().is_ok(), "{answer:?}");
        }
        answer
    }

    /// Moves the job to the next hour.
    fn change(&mut self) -> Answer {
        let window = window(0, self.hour + 1);
        let body = json!({ "startUtc": window.start(), "endUtc": window.end() });
        let path = format!("/api/jobs/{}/reschedule", self.job);
        let answer = self.call("PUT", &path, &body);
        if answer.status == 200 {
            self.hour += 1;
        }
        answer
    }

    /// Waits until changes are refused, and for some more refusals.
    fn is_refused(&mut self) {
        wait_until("changes are refused", || self.change().status == 503);
        for _ in 0..3 {
            assert_eq!(self.change().status, 503);
        }
    }

    /// Waits until changes are carried out. Each that was counts one version, and none
    /// that was refused does.
    fn is_over(&mut self) {
        let mut version = 0;
        wait_until("changes are carried out", || {
            let answer = self.change();
            version = answer.body["version"].as_i64().unwrap_or_default();
            answer.status == 200
        });
        assert_eq!(version, self.hour + 1, "what was refused changed nothing");
    }

    fn finish(mut self) {
        self.is_over();
        println!(
            "{} changes, {} refused, the slowest within {:?}",
            self.hour, self.refused, self.slowest
        );
        wait_until_logged(&self.database);
        assert!(self.program.stop(), "it ends in order");
        verify(&self.database, &self.database);
        drop(self.postgres);
    }
}

/// Takes every session of the server away, so that new ones meet what has been set.
const END_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname = current_database()";

#[test]
fn a_database_that_is_away_at_the_start_is_waited_for() {
    let mut postgres = Postgres::start(Durability::None);
    let (database, address) = (TestDatabase::on(&postgres), fixed_address());
    postgres.stop(Stop::Fast);
    let program = serve(&database, &address).start();
    let token = token("admin", &[], None);
    let mut caller = Caller::connect(&address, &token).expect("the server listens");
    let contractor = json!({ "name": "Ada", "region": "north", "timezone": "Europe/Berlin" });
    for key in ["1", "2", "3"] {
        let answer = caller.change("POST", "/api/contractors", key, &contractor);
        let answer = answer.expect("an answer");
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("store_unavailable")));
        assert!(answer.header("retry-after").parse::<u32>().is_ok(), "{answer:?}");
    }
    postgres.start_again();
    Trouble::with(postgres, database, program, address).finish();
}

#[test]
fn a_database_that_answers_nothing_is_given_up() {
    let mut trouble = Trouble::new();
    for _ in 0..2 {
        trouble.postgres.pause();
        trouble.is_refused();
        trouble.postgres.resume();
        trouble.is_over();
    }
    trouble.finish();
}

#[test]
fn a_table_that_somebody_locks_is_not_waited_for() {
    let mut trouble = Trouble::new();
    let mut other = trouble.database.open();
    other.lock();
    trouble.is_refused();
    other.unlock();
    trouble.finish();
}

#[test]
fn a_database_that_is_read_only_refuses_changes() {
    let mut trouble = Trouble::new();
    let set = |trouble: &Trouble, value: &str| {
        let mut other = trouble.database.open();
        other.execute("SET default_transaction_read_only = off");
        let name = trouble.database.url().rsplit('/').next().expect("a name").to_owned();
        other
            .execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}"));
        other.execute(END_SESSIONS);
    };
    set(&trouble, "on");
    trouble.is_refused();
    set(&trouble, "off");
    trouble.finish();
}

#[test]
fn a_server_without_a_connection_to_spare_refuses_changes() {
    let postgres = Postgres::start(Durability::None);
    let (database, address) = (TestDatabase::on(&postgres), fixed_address());
    let name = database.url().rsplit('/').next().expect("a name").to_owned();
    let mut other = database.open();
    // Limits are for those who are no superuser.
    other.execute("CREATE ROLE dispatch LOGIN");
    other.execute(&format!("ALTER DATABASE {name} OWNER TO dispatch"));
    other.execute("GRANT ALL ON SCHEMA public TO dispatch");
    let url = database.url().replace("postgres@", "dispatch@");
    let program = Serve::on_url(&url).flag("--listen", &address).start();
    let mut trouble = Trouble::with(postgres, database, program, address);
    other.execute(&format!("ALTER DATABASE {name} CONNECTION LIMIT 0"));
    other.execute(END_SESSIONS);
    trouble.is_refused();
    other.execute(&format!("ALTER DATABASE {name} CONNECTION LIMIT -1"));
    drop(other);
    trouble.finish();
}

/// A small disk of its own for a table that only grows; none but root can make it.
#[test]
fn a_server_whose_disk_is_full_refuses_changes() {
    let mut trouble = Trouble::new();
    let folder = tempfile::TempDir::with_prefix("signalbox-disk-").expect("a temporary folder");
    let path = folder.path().display().to_string();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs", &path]).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("no disk can be mounted here; a file-size limit is tried with SQLite alone");
        return trouble.finish();
    }
    let _mounted = Mounted(path.clone());
    give_to_postgres(folder.path());
    let mut other = trouble.database.open();
    other.execute(&format!("CREATE TABLESPACE small LOCATION '{path}'"));
    other.execute("ALTER TABLE idempotency_keys SET TABLESPACE small");
    other.execute("ALTER INDEX idempotency_keys_pkey SET TABLESPACE small");
    let filler = folder.path().join("filler");
    // Until there is no room: the last write says so.
    let filled = std::fs::write(&filler, vec![0; 4 << 20]);
    assert!(filled.is_err(), "the disk is full");
    trouble.is_refused();
    std::fs::remove_file(&filler).expect("there is room again");
    trouble.is_over();
    other.execute("ALTER TABLE idempotency_keys SET TABLESPACE pg_default");
    other.execute("ALTER INDEX idempotency_keys_pkey SET TABLESPACE pg_default");
    other.execute("DROP TABLESPACE small");
    drop(other);
    trouble.finish();
}

struct Mounted(String);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy", &self.0]).status();
    }
}
