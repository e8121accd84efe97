//! Many listeners, read by one thread.

use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::listener::{Listener, Pair};
use super::test_server::TestServer;
use crate::Failure;
use crate::client::ANSWER_TIMEOUT;
use crate::report::Latencies;

const READ_BYTES: usize = 256 * 1024;

/// See the module.
pub struct Crowd {
    poll: Poll,
    ready: Events,
    listeners: Vec<Listener>,
    received: Vec<u64>,
    buffer: Vec<u8>,
}

impl Crowd {
    /// So many listeners of a kind, connected.
    pub fn gather(server: &TestServer, pair: Pair, count: usize) -> Result<Self, Failure> {
        let mut crowd = Self {
            poll: Poll::new()?,
            ready: Events::with_capacity(1024),
            listeners: Vec::new(),
            received: vec![0; count],
            buffer: vec![0; READ_BYTES],
        };
        for number in 0..count {
            let listener = Listener::open(server, pair)?;
            listener.stream.set_nonblocking(true)?;
            crowd.poll.registry().register(
                &mut SourceFd(&listener.stream.as_raw_fd()),
                Token(number),
                Interest::READABLE,
            )?;
            crowd.listeners.push(listener);
        }
        Ok(crowd)
    }

    pub fn len(&self) -> usize {
        self.listeners.len()
    }

    /// Reads until everybody has got so many messages more; adds the time of each
    /// receipt since `from`. Never sleeps: to be woken would be paid by the server.
    pub fn await_messages(
        &mut self,
        count: u64,
        from: Instant,
        latencies: &mut Latencies,
    ) -> Result<(), Failure> {
        let mut missing = count * self.len() as u64;
        self.received.fill(0);
        while missing > 0 {
            if from.elapsed() > ANSWER_TIMEOUT {
                return Err(format!("{missing} messages did not come in time").into());
            }
            match self.poll.poll(&mut self.ready, Some(Duration::ZERO)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &self.ready {
                let Token(number) = event.token();
                let messages = self.listeners[number].receive(&mut self.buffer)?;
                let at = Instant::now();
                (0..messages).for_each(|_| latencies.add(at - from));
                self.received[number] += messages;
                missing = missing.saturating_sub(messages);
            }
        }
        match self.received.iter().find(|received| **received != count) {
            Some(received) => {
                Err(format!("a connection got {received} messages of {count}").into())
            }
            None => Ok(()),
        }
    }
}
