//! The real program in a process of its own, and a plain way to call it from threads.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::channel;

use serde_json::Value;

use super::database::TestDatabase;
use super::service::{ending_with_this, send_signal};
use super::site::SECRET;
use super::{PATIENCE, wait_until};

/// Leaves the program's log lines among the test's own when it is set.
const SHOW_LOG: &str = "SIGNALBOX_TEST_LOG";

/// How to run `signalbox serve`.
#[derive(Debug, Clone)]
pub struct Serve {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// What runs the program in its own place, with limits or conditions.
    within: Vec<String>,
    log: Log,
}

/// Where the program's log lines go.
#[derive(Debug, Clone)]
enum Log {
    /// Nowhere, unless [`SHOW_LOG`] is set.
    Hidden,
    /// To a file.
    File(PathBuf),
    /// To a pipe, which the test may read or not.
    Pipe,
}

impl Serve {
    pub fn on(database: &TestDatabase) -> Self {
        Self::on_url(&database.url())
    }

    pub fn on_url(database: &str) -> Self {
        let arguments = ["serve", "--jwt-secret", SECRET, "--database-url", database];
        Self {
            arguments: arguments.map(str::to_owned).to_vec(),
            environment: Vec::new(),
            within: Vec::new(),
            log: Log::Hidden,
        }
    }

    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn within(mut self, command: &[&str]) -> Self {
        self.within = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Has log lines written to this file.
    pub fn log_to(self, file: &Path) -> Self {
        Self { log: Log::File(file.to_owned()), ..self }
    }

    /// Has log lines written to [`Program::log`], which nobody reads.
    pub fn log_to_pipe(self) -> Self {
        Self { log: Log::Pipe, ..self }
    }

    /// Starts the program, and waits until it is ready.
    pub fn start(&self) -> Program {
        let log = match &self.log {
            Log::Hidden if std::env::var_os(SHOW_LOG).is_some() => Stdio::inherit(),
            Log::Hidden => Stdio::null(),
            Log::File(path) => File::create(path).expect("a log file").into(),
            Log::Pipe => Stdio::piped(),
        };
        let mut child = ending_with_this("KILL")
            .args(&self.within)
            .arg(env!("CARGO_BIN_EXE_signalbox"))
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says when it is ready");
        let origin = line.trim_end().strip_prefix("signalbox ready on ");
        let origin = origin.unwrap_or_else(|| panic!("not ready: {line}")).to_owned();
        let address = origin.split_once("://").map(|(_, address)| address.to_owned());
        let log = child.stderr.take();
        Program { child, address: address.expect("an address"), origin, log }
    }
}

/// `signalbox serve` in a process of its own; killed when dropped.
pub struct Program {
    child: Child,
    /// Where it serves.
    pub address: String,
    /// The same as a client begins its addresses.
    pub origin: String,
    /// Its log lines, if they go to a pipe.
    pub log: Option<ChildStderr>,
}

impl Program {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop in order; whether it ended well.
    pub fn stop(mut self) -> bool {
        send_signal(self.child.id(), "TERM");
        let mut status = None;
        wait_until("the program has stopped", || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        });
        status.is_some_and(|status| status.success())
    }

    /// SIGKILL: nothing of it runs any more when this returns.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs another command to its end; answers exit code, standard output and standard error.
pub fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> (Option<i32>, String, String) {
    let child = Command::new(env!("CARGO_BIN_EXE_signalbox"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    wait(child.expect("the program starts"))
}

/// Waits for the end of a program; answers exit code and what it wrote to its pipes.
pub fn wait(child: Child) -> (Option<i32>, String, String) {
    let (ended, end) = channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    let output = end.recv_timeout(PATIENCE).expect("it ends in time").expect("it is ours");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// A kept-alive connection that blocks; errors are what a killed server causes.
pub struct Caller {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Caller {
    pub fn connect(address: &str, token: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream), token: token.to_owned() })
    }

    /// Sends a change under an idempotency key, and reads its answer.
    pub fn change(
        &mut self,
        method: &str,
        path: &str,
        key: &str,
        body: &Value,
    ) -> std::io::Result<Answer> {
        let body = body.to_string();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\
             Idempotency-Key: {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        self.send(request.as_bytes())
    }

    /// Sends these bytes as they are, and reads an answer.
    pub fn send(&mut self, request: &[u8]) -> std::io::Result<Answer> {
        self.stream.get_mut().write_all(request)?;
        self.read_answer()
    }

    fn read_answer(&mut self) -> std::io::Result<Answer> {
        let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(ended());
            }
            if line == "\r\n" {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let status = lines[0].split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(ended)?;
        let headers: Vec<(String, String)> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Answer { status, headers, body })
    }
}
