//! A PostgreSQL of the test's own: it may be stopped and killed.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::service::{Service, ending_with_this, free_port, send_signal};

/// Whether what was committed has to outlive the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As in production: nothing that was committed is lost when it is killed.
    Full,
    /// For tests that leave it alone: nothing waits for the disk.
    None,
}

/// How to stop the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Clients are cut off, and what is in memory is written.
    Fast,
    /// At once, without cleaning up: the next start recovers.
    Immediate,
    /// SIGKILL to its first process; the others notice and end.
    Kill,
}

/// A cluster in a temporary folder, and its server while it runs.
pub struct Postgres {
    folder: TempDir,
    port: u16,
    durability: Durability,
    server: Option<Service>,
}

impl Postgres {
    /// Makes a cluster, and starts its server.
    pub fn start(durability: Durability) -> Self {
        let folder = TempDir::with_prefix("signalbox-postgres-").expect("a temporary folder");
        give_to_postgres(folder.path());
        let mut postgres = Self { folder, port: free_port(), durability, server: None };
        postgres.initialise();
        postgres.start_again();
        postgres
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn initialise(&self) {
        let mut initdb = unprivileged("KILL", "initdb");
        initdb.args(["--username", "postgres", "--auth", "trust", "--encoding", "UTF8"]);
        initdb.args(["--locale", "C", "--no-sync", "--pgdata"]).arg(self.data());
        let output = initdb.output().expect("initdb runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts the server on the cluster as it was left, on the same port.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs already");
        let mut postgres = unprivileged("QUIT", "postgres");
        postgres.arg("-D").arg(self.data());
        let sockets = self.folder.path().display();
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            format!("unix_socket_directories={sockets}"),
            "max_connections=200".to_owned(),
        ];
        if self.durability == Durability::None {
            let off = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
            settings.extend(off.map(str::to_owned));
        }
        for setting in settings {
            postgres.args(["-c", &setting]);
        }
        let is_ready = || {
            let mut probe = Command::new(program("pg_isready"));
            probe.args(["--host", "127.0.0.1", "--port", &self.port.to_string()]);
            probe.stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        self.server = Some(Service::start("postgres", postgres, self.folder.path(), is_ready));
    }

    /// Stops the server; it is gone when this returns.
    pub fn stop(&mut self, how: Stop) {
        let signal = match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
            Stop::Kill => "KILL",
        };
        self.server.take().expect("it runs").end(signal);
    }

    /// Lets none of its processes do anything: connections stay, and nobody answers.
    pub fn pause(&self) {
        // The first process makes no more then.
        self.server.as_ref().expect("it runs").signal("STOP");
        self.signal_children("STOP");
    }

    pub fn resume(&self) {
        // Those that end at once are there until the first process takes note of it.
        self.signal_children("CONT");
        self.server.as_ref().expect("it runs").signal("CONT");
    }

    /// To all processes that the first one made, while it stands still.
    fn signal_children(&self, signal: &str) {
        let server = self.server.as_ref().expect("it runs");
        let children = format!("/proc/{0}/task/{0}/children", server.id());
        for child in fs::read_to_string(children).expect("its children").split_whitespace() {
            send_signal(child.parse().expect("a process"), signal);
        }
    }

    /// The URL of a database, for a superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // In order, so that its other processes do not outlive the folder.
        if let Some(server) = self.server.take() {
            server.end("QUIT");
        }
    }
}

/// The newest PostgreSQL's program of this name, where Debian's package puts it.
pub fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("scripts/setup installs PostgreSQL");
    let versions = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let newest: u32 = versions.max().expect("a version of PostgreSQL");
    Path::new("/usr/lib/postgresql").join(newest.to_string()).join("bin").join(name)
}

/// A command for one of PostgreSQL's programs, which refuse to run as root.
fn unprivileged(end: &str, name: &str) -> Command {
    let mut command = ending_with_this(end);
    if postgres_user().is_some() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg(program(name));
    command
}

/// User and group of Debian's package, when this process is root's.
fn postgres_user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> u32 {
        let output = Command::new("id").args(arguments).output().expect("id runs");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("an id")
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}

/// Makes a folder one that the server may write to.
pub fn give_to_postgres(folder: &Path) {
    if let Some((user, group)) = postgres_user() {
        chown(folder, Some(user), Some(group)).expect("root may give it away");
    }
}
