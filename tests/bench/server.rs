//! A server process, from its start to its end.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Connection;
use crate::{Failure, process, site};

/// How long a server may take until it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a server is asked whether it is.
const READY_INTERVAL: Duration = Duration::from_millis(50);

/// What a server prints once it takes requests, before its address.
const READY: &str = "signalbox ready on http://";

/// Which cores a server may use.
#[derive(Clone, Copy)]
pub enum Cores {
    All,
    /// The one that [`process::MEASURED_CORE`] names, alone.
    MeasuredOnly,
}

/// Where a server keeps what it knows, and how it hears of other nodes.
#[derive(Clone)]
pub struct Places {
    /// The jobs' database, as a URL.
    pub jobs: String,
    /// The event log's, where it is another one.
    pub log: Option<String>,
    pub redis: Option<String>,
}

impl Places {
    /// One database for everything.
    pub fn one(database: String) -> Self {
        Self { jobs: database, log: None, redis: None }
    }

    fn arguments(&self) -> Vec<&str> {
        let mut arguments = vec!["--database-url", &self.jobs];
        if let Some(log) = &self.log {
            arguments.extend(["--event-log-database-url", log]);
        }
        if let Some(redis) = &self.redis {
            arguments.extend(["--redis-url", redis]);
        }
        arguments
    }
}

/// A running server with a database of its own. It ends with this value, and leaves
/// nothing behind.
pub struct Server {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Server {
    /// Starts a server and waits until it takes requests.
    pub fn start(cores: Cores) -> Result<Self, Failure> {
        Self::start_with(cores, &[])
    }

    /// The same with these settings besides, as flags.
    pub fn start_with(cores: Cores, settings: &[String]) -> Result<Self, Failure> {
        let folder = folder()?;
        let places = Places::one(sqlite_url(&database_in(folder.path())));
        Self::start_in(folder, cores, &places, settings)
    }

    /// Starts a server on databases that were there before and outlive it.
    pub fn start_on(places: &Places) -> Result<Self, Failure> {
        Self::start_in(folder()?, Cores::All, places, &[])
    }

    fn start_in(
        folder: TempDir,
        cores: Cores,
        places: &Places,
        settings: &[String],
    ) -> Result<Self, Failure> {
        let program = program()?;
        let mut command = match cores {
            Cores::All => Command::new(&program),
            Cores::MeasuredOnly => process::command_on_measured_core(&program),
        };
        // Settings of whoever runs the bench, those of libpq as well, and a configuration
        // file that lies about, are no part of what is measured.
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("SIGNALBOX_") || name_text.starts_with("PG") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--jwt-secret", site::JWT_SECRET])
            .args(places.arguments())
            .args(settings)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("server.log"))?)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let address = await_line(&mut child, READY);
        let address = address.map_err(|failure| end_early(&mut child, folder.path(), failure))?;
        Ok(Self { child, address, folder })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server and hands over its folder, which holds its database.
    pub fn into_folder(mut self) -> Result<TempDir, Failure> {
        Ok(std::mem::replace(&mut self.folder, folder()?))
    }

    /// The last lines that it logged.
    pub fn log_end(&self) -> String {
        log_end(self.folder.path())
    }

    /// Waits until nothing that the server depends on is down or behind.
    pub fn await_all_up(&self) -> Result<(), Failure> {
        let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut connection = Connection::open(self.address)?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let answer = connection.exchange(request)?;
            let has = |state: &str| answer.body.contains(&format!("\"{state}\""));
            if answer.status == 200 && !has("down") && !has("degraded") {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("the server does not recover: {}", answer.body).into());
            }
            std::thread::sleep(READY_INTERVAL);
        }
    }
}

impl Drop for Server {
    /// Kills the server: the database survives that by design, and a bench has no use
    /// for a polite end.
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A folder for databases, that ends with the value. Beside the build's output: on the
/// disk that the checkout is on, where a temporary folder is often memory, which makes
/// every commit free.
pub fn folder() -> Result<TempDir, Failure> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// A file as a URL.
pub fn sqlite_url(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}

/// The database of a server in its folder.
pub fn database_in(folder: &Path) -> PathBuf {
    folder.join("bench.db")
}

/// The program to measure. Not the one that cargo builds along with this bench: that
/// one has the dev-dependencies' features as well, and needs more memory for it.
fn program() -> Result<PathBuf, Failure> {
    let given = std::env::var_os("SIGNALBOX_BIN");
    let given = given.ok_or("SIGNALBOX_BIN names no program; ./scripts/bench sets it")?;
    // The server starts in another folder.
    Ok(std::path::absolute(given)?)
}

/// Waits for the line that says where a server listens. Keeps reading after it, so
/// that the server never waits for a full pipe.
pub fn await_line(child: &mut Child, ready: &'static str) -> Result<SocketAddr, Failure> {
    let lines = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(address) = line.strip_prefix(ready) {
                // Whoever no longer waits has given up on this server.
                let _ = sender.send(address.trim().to_owned());
            }
        }
    });
    let address = receiver.recv_timeout(START_TIMEOUT);
    let address = address.map_err(|_| "the server did not say that it is ready")?;
    Ok(address.parse()?)
}

/// Ends a server that did not start, and adds what it logged to the failure.
fn end_early(child: &mut Child, folder: &Path, failure: Failure) -> Failure {
    end(child);
    format!("{failure}; its log ends:\n{}", log_end(folder)).into()
}

fn log_end(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join("server.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(10).collect();
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    lines.join("\n")
}

/// Kills a child and waits for its end. One that is gone already is no error.
pub fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
