//! A Redis of the test's own: it may be stopped, killed and made to answer nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use tempfile::TempDir;

use super::service::{Service, ending_with_this, free_port};

/// A server without persistence, on a port that stays its own.
pub struct Redis {
    folder: TempDir,
    port: u16,
    server: Option<Service>,
}

impl Redis {
    pub fn start() -> Self {
        let folder = TempDir::with_prefix("signalbox-redis-").expect("a temporary folder");
        let mut redis = Self { folder, port: free_port(), server: None };
        redis.start_again();
        redis
    }

    /// Starts it on the same port; what it held is gone.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs already");
        let mut command = ending_with_this("KILL");
        command.args(["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--port", &self.port.to_string(), "--dir"]).arg(self.folder.path());
        let is_ready = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        self.server = Some(Service::start("redis", command, self.folder.path(), is_ready));
    }

    /// Stops it in order; it is gone when this returns.
    pub fn stop(&mut self) {
        self.server.take().expect("it runs").end("TERM");
    }

    pub fn kill(&mut self) {
        self.server.take().expect("it runs").end("KILL");
    }

    /// From now on it takes connections and bytes, and answers nothing: a black hole.
    pub fn pause(&self) {
        self.server.as_ref().expect("it runs").signal("STOP");
    }

    pub fn resume(&self) {
        self.server.as_ref().expect("it runs").signal("CONT");
    }

    /// How many messages were published on it since it was started.
    pub fn published(&self) -> u64 {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        connection.write_all(b"INFO commandstats\r\nQUIT\r\n").expect("it reads");
        let mut statistics = String::new();
        connection.read_to_string(&mut statistics).expect("it answers");
        let calls = statistics.split("cmdstat_publish:calls=").nth(1);
        calls.map_or(0, |calls| {
            let digits = calls.split(',').next().expect("a first part");
            digits.parse().expect("a number")
        })
    }

    /// Publishes these bytes on every channel that somebody listens to; answers how many
    /// channels there are.
    pub fn publish_everywhere(&self, message: &[u8]) -> usize {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        connection.write_all(b"PUBSUB CHANNELS\r\nQUIT\r\n").expect("it reads");
        let mut channels = String::new();
        connection.read_to_string(&mut channels).expect("it answers");
        let channels: Vec<&str> =
            channels.lines().filter(|line| line.starts_with("signalbox:")).collect();
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        for channel in &channels {
            let head = format!(
                "*3\r\n$7\r\nPUBLISH\r\n${}\r\n{channel}\r\n${}\r\n",
                channel.len(),
                message.len()
            );
            connection.write_all(head.as_bytes()).expect("it reads");
            connection.write_all(message).expect("it reads");
            connection.write_all(b"\r\n").expect("it reads");
        }
        connection.write_all(b"QUIT\r\n").expect("it reads");
        let mut answers = String::new();
        connection.read_to_string(&mut answers).expect("it answers");
        assert!(!answers.contains("-ERR"), "{answers}");
        channels.len()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}
