//! The SignalR library's test server as a process: what transports cost is measured on
//! it, where no job and no database stand in between.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::client::Connection;
use crate::server::{self, Cores, await_line};
use crate::{Failure, process};

/// What it prints once it takes requests, before its address.
const READY: &str = "signalr_test_server ready on http://";

/// A running test server, and a connection to tell it what to do. It ends with this value.
pub struct TestServer {
    child: Child,
    address: SocketAddr,
    control: Connection,
}

impl TestServer {
    /// Starts it and waits until it takes requests.
    pub fn start(cores: Cores) -> Result<Self, Failure> {
        let program = std::env::var_os("SIGNALR_TEST_SERVER");
        let program =
            program.ok_or("SIGNALR_TEST_SERVER names no program; ./scripts/bench does")?;
        let program = std::path::absolute(program)?;
        let mut command = match cores {
            Cores::All => Command::new(&program),
            Cores::MeasuredOnly => process::command_on_measured_core(&program),
        };
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .env("RUST_LOG", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let opened = await_line(&mut child, READY).and_then(|address| {
            let control = Connection::open(address)?;
            Ok((address, control))
        });
        match opened {
            Ok((address, control)) => Ok(Self { child, address, control }),
            Err(failure) => {
                server::end(&mut child);
                Err(failure)
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it send so many messages with a text of so many bytes to all;
    /// [`end_broadcast`](Self::end_broadcast) takes the answer.
    pub fn begin_broadcast(&mut self, count: u64, bytes: usize) -> Result<(), Failure> {
        let path = format!("/broadcast?count={count}&bytes={bytes}");
        self.control.send(&request("POST", &path, ""))
    }

    /// Takes the answer to a broadcast that has begun.
    pub fn end_broadcast(&mut self) -> Result<(), Failure> {
        while self.control.receive()?.is_none() {}
        Ok(())
    }

    /// How many connections it has, whichever state they are in.
    pub fn connections(&self) -> Result<usize, Failure> {
        let mut connection = Connection::open(self.address)?;
        let answer = connection.exchange(&request("GET", "/counts", ""))?;
        let counts: serde_json::Value = serde_json::from_str(&answer.body)?;
        let count = counts["transports"].as_u64().ok_or("no count of transports")?;
        Ok(usize::try_from(count)?)
    }

    /// Reserves a connection; answers its token.
    pub fn negotiate(&self) -> Result<String, Failure> {
        let mut connection = Connection::open(self.address)?;
        let path = "/testhub/negotiate?negotiateVersion=1";
        let answer = connection.exchange(&request("POST", path, ""))?;
        let answer: serde_json::Value = serde_json::from_str(&answer.body)?;
        Ok(answer["connectionToken"].as_str().ok_or("no token")?.to_owned())
    }

    /// Posts bytes to a connection.
    pub fn post(&self, token: &str, body: &[u8]) -> Result<(), Failure> {
        let mut stream = TcpStream::connect(self.address)?;
        let path = format!("/testhub?id={token}");
        let head = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
        stream.write_all(&request("POST", &path, &head))?;
        stream.write_all(body)?;
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer)?;
        if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer.into()) }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        server::end(&mut self.child);
    }
}

/// A request's head, with these further lines.
pub fn request(method: &str, path: &str, head: &str) -> Vec<u8> {
    let length = if method == "POST" && head.is_empty() { "Content-Length: 0\r\n" } else { "" };
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}{head}\r\n").into_bytes()
}
