//! A dispatcher who moves one job to and fro.

use std::net::{SocketAddr, TcpStream};

use serde_json::json;

use crate::client::{self, Answer, Connection};
use crate::{Failure, site};

/// Moves its job between two windows, one command at a time over one connection. Every
/// command changes the job, so every answer stands for one commit and one event.
pub struct Rescheduler {
    address: SocketAddr,
    connection: Connection,
    /// The command for each of the windows, made beforehand.
    requests: [Vec<u8>; 2],
    /// Which window is next.
    next: usize,
    is_waiting: bool,
    last_sequence: u64,
}

impl Rescheduler {
    /// For a job that stands in the first window.
    pub fn open(address: SocketAddr, token: &str, job: &str) -> Result<Self, Failure> {
        let path = format!("/api/jobs/{job}/reschedule");
        let requests = site::WINDOWS.map(|[start, end]| {
            let window = json!({ "startUtc": start, "endUtc": end });
            client::request("PUT", &path, token, &window)
        });
        let connection = Connection::open(address)?;
        Ok(Self { address, connection, requests, next: 1, is_waiting: false, last_sequence: 0 })
    }

    /// Takes a new connection: the server closes one that was idle for long.
    pub fn reconnect(&mut self) -> Result<(), Failure> {
        self.connection = Connection::open(self.address)?;
        Ok(())
    }

    /// The socket, to be waited on.
    pub fn stream(&self) -> &TcpStream {
        self.connection.stream()
    }

    /// From now on [`receive`](Self::receive) waits for nothing.
    pub fn set_nonblocking(&mut self) -> Result<(), Failure> {
        self.connection.set_nonblocking()
    }

    /// The sequence of the last command's event.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Whether a command has been sent and not been answered.
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Sends the next command.
    pub fn send(&mut self) -> Result<(), Failure> {
        self.is_waiting = true;
        self.connection.send(&self.requests[self.next])
    }

    /// Reads once; whether the command has been acknowledged. Anything but a 200 with
    /// an event of a higher sequence than before is an error.
    pub fn receive(&mut self) -> Result<bool, Failure> {
        let Some(answer) = self.connection.receive()? else {
            return Ok(false);
        };
        self.accept(&answer)?;
        Ok(true)
    }

    fn accept(&mut self, answer: &Answer) -> Result<(), Failure> {
        let sequence = answer.sequence.filter(|sequence| *sequence > self.last_sequence);
        let (200, Some(sequence)) = (answer.status, sequence) else {
            return Err(format!("a reschedule past {}: {answer:?}", self.last_sequence).into());
        };
        self.is_waiting = false;
        self.last_sequence = sequence;
        self.next = 1 - self.next;
        Ok(())
    }

    /// Sends the next command and waits for its answer.
    pub fn reschedule(&mut self) -> Result<(), Failure> {
        self.send()?;
        while !self.receive()? {}
        Ok(())
    }

    /// The same, where the server may be too busy; whether it has been acknowledged.
    pub fn try_reschedule(&mut self) -> Result<bool, Failure> {
        self.send()?;
        loop {
            match self.connection.receive()? {
                None => {}
                Some(Answer { status: 503, .. }) => {
                    self.is_waiting = false;
                    return Ok(false);
                }
                Some(answer) => return self.accept(&answer).map(|()| true),
            }
        }
    }
}
