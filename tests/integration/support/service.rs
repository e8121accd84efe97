//! A server of Debian's packages, in a process of the test's own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::random::Random;
use super::wait_until;

/// A running server; killed when dropped, and with the test's process.
pub struct Service {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Runs the command and waits until the server is ready.
    pub fn start(
        name: &'static str,
        mut command: Command,
        folder: &Path,
        is_ready: impl Fn() -> bool,
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = File::options().append(true).create(true).open(&log).expect("a log file");
        command.stdin(Stdio::null()).stderr(output.try_clone().expect("a file")).stdout(output);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut service = Self { name, child, log };
        wait_until(&format!("{name} is ready"), || {
            let has_ended = service.child.try_wait().expect("a child").is_some();
            assert!(!has_ended, "{name} ended:\n{}", service.log());
            is_ready()
        });
        service
    }

    /// What it wrote.
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        send_signal(self.child.id(), name);
    }

    /// Sends a signal that ends it; it is gone when this returns.
    pub fn end(mut self, signal: &str) {
        self.signal(signal);
        let name = self.name;
        wait_until(&format!("{name} has ended"), || {
            self.child.try_wait().expect("a child").is_some()
        });
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal by its name to a process that the test started.
pub fn send_signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIG{name} to {process}");
}

/// `setpriv`, with which a program ends by that signal when the test's process does.
pub fn ending_with_this(signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal]);
    command
}

/// A loopback port that nobody listens on, from below those that the kernel gives to
/// clients, so that nobody takes it while its server is away.
pub fn free_port() -> u16 {
    let mut random = Random::unpredictable();
    loop {
        let port = u16::try_from(random.between(20_000, 32_000)).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
