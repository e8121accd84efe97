//! A PostgreSQL and a Redis of a bench's own, from their start to their end.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use diesel::{Connection, PgConnection};
use tempfile::TempDir;

use crate::database::Database;
use crate::{Failure, process, server};

/// Where Debian has the programs that are not in the path.
const DEBIAN_FOLDER: &str = "/usr/lib/postgresql/15/bin";

/// Who runs PostgreSQL when this is run by root, as whom it refuses to run.
const NOBODY: u32 = 65_534;

/// As PostgreSQL comes, so that its commits are on the disk, but for its size.
const SETTINGS: &str = "
    listen_addresses = '127.0.0.1'
    unix_socket_directories = ''
    shared_buffers = '256MB'
    max_connections = 200
";

/// How long it may take to start or to end.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is looked whether it has.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A PostgreSQL server on a free port. It ends with this value, and leaves nothing behind.
pub struct Cluster {
    /// None while it is stopped.
    child: Option<Child>,
    port: u16,
    folder: TempDir,
}

impl Cluster {
    /// Makes a cluster and starts it.
    pub fn start() -> Result<Self, Failure> {
        let folder = server::folder()?;
        let data = data_in(folder.path());
        fs::create_dir(&data)?;
        if is_root(folder.path())? {
            fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
            chown(&data, Some(NOBODY), Some(NOBODY))?;
        }
        let made = unprivileged(folder.path(), "initdb")?
            .args(["--auth=trust", "--username=bench", "--no-locale", "--encoding=UTF8"])
            .arg("--pgdata")
            .arg(&data)
            .output()?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)).into());
        }
        fs::write(data.join("postgresql.auto.conf"), SETTINGS)?;
        let mut cluster = Self { child: None, port: free_port()?, folder };
        cluster.resume()?;
        Ok(cluster)
    }

    /// A database of it, as a URL.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://bench@127.0.0.1:{}/{name}", self.port)
    }

    /// The CPU time of all its processes so far.
    pub fn cpu_time(&self) -> Result<Duration, Failure> {
        let child = self.child.as_ref().ok_or("PostgreSQL is stopped")?;
        process::cpu_time_of_family(child.id())
    }

    /// Ends it in good order; [`resume`](Self::resume) starts it again.
    pub fn stop(&mut self) -> Result<(), Failure> {
        let Some(child) = &mut self.child else { return Ok(()) };
        process::signal(child, "INT")?;
        await_end(child)?;
        self.child = None;
        Ok(())
    }

    /// Starts it, and waits until it answers.
    pub fn resume(&mut self) -> Result<(), Failure> {
        let log = self.folder.path().join("postgres.log");
        let child = unprivileged(self.folder.path(), "postgres")?
            .arg("-D")
            .arg(data_in(self.folder.path()))
            .args(["-p", &self.port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        self.child = Some(child);
        let url = self.url("postgres");
        let deadline = Instant::now() + TIMEOUT;
        while let Err(error) = PgConnection::establish(&url) {
            if Instant::now() > deadline {
                let log = fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("PostgreSQL does not start: {error}; {log}").into());
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Makes a database, empty or as a copy of one that nobody uses; answers its URL.
    pub fn create(&self, name: &str, template: &str) -> Result<String, Failure> {
        let mut maintenance = Database::open(&self.url("postgres"))?;
        maintenance.run(&format!("CREATE DATABASE {name} TEMPLATE {template}"))?;
        Ok(self.url(name))
    }
}

impl Drop for Cluster {
    /// Ends it at once, by the signal after which it leaves no shared memory behind.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child
            && process::signal(child, "QUIT").and_then(|()| await_end(child)).is_err()
        {
            server::end(child);
        }
    }
}

/// A Redis on a free port that keeps nothing. It ends with this value.
pub struct Redis {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Redis {
    /// Starts it, and waits until it takes connections.
    pub fn start() -> Result<Self, Failure> {
        let (folder, port) = (server::folder()?, free_port()?);
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "redis-server"])
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start redis-server: {error}"))?;
        let redis = Self { child, port, _folder: folder };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let deadline = Instant::now() + TIMEOUT;
        while let Err(error) = TcpStream::connect(address) {
            if Instant::now() > deadline {
                return Err(format!("Redis does not start: {error}").into());
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(redis)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on it takes what it is sent, as far as the system's buffers go, and
    /// answers nothing.
    pub fn stand_still(&self) -> Result<(), Failure> {
        process::signal(&self.child, "STOP")
    }

    pub fn go_on(&self) -> Result<(), Failure> {
        process::signal(&self.child, "CONT")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        server::end(&mut self.child);
    }
}

fn data_in(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// A program of PostgreSQL.
pub fn program(name: &str) -> PathBuf {
    let debian = Path::new(DEBIAN_FOLDER).join(name);
    if debian.exists() { debian } else { name.into() }
}

/// A program of PostgreSQL, as somebody whom it runs for. It becomes the child itself,
/// and ends if this process dies.
fn unprivileged(folder: &Path, name: &str) -> Result<Command, Failure> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if is_root(folder)? {
        let nobody = NOBODY.to_string();
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
    }
    command.arg(program(name)).current_dir(folder);
    Ok(command)
}

/// Whether this is run by root: whose the folder is that it has just made.
fn is_root(folder: &Path) -> Result<bool, Failure> {
    Ok(fs::metadata(folder)?.uid() == 0)
}

fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn await_end(child: &mut Child) -> Result<(), Failure> {
    let deadline = Instant::now() + TIMEOUT;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            return Err("PostgreSQL does not end".into());
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}
