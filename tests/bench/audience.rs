//! Many connections that listen, and one thread that reads them all as cheaply as it
//! can: what it costs must not show in what is measured.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::rescheduler::Rescheduler;
use crate::socket::EventCounter;
use crate::{Failure, socket};

/// How much one read takes: all that waits for a connection, even under load.
const READ_BYTES: usize = 256 * 1024;

/// How many sockets one poll can report.
const EVENTS_PER_POLL: usize = 1024;

/// The tokens of members count from 0, those of dispatchers from here.
const DISPATCHER_TOKENS: usize = 1 << 24;

/// Connections that count the events that they get, and the dispatchers who make the
/// events. They are polled in one place, so that one clock sees everything in order.
pub struct Audience {
    poll: Poll,
    ready: Events,
    members: Vec<Member>,
    /// How many members, the first ones, keep what they receive until the round ends.
    witnesses: usize,
    dispatchers: Vec<Rescheduler>,
    /// How many dispatchers, the first ones, are polled.
    active: usize,
    sample_frame: Vec<u8>,
    buffer: Vec<u8>,
}

struct Member {
    stream: TcpStream,
    counter: EventCounter,
    received: u64,
    /// Everything that it received in this round, if it is a witness.
    tape: Option<Vec<u8>>,
}

/// What arrived.
pub enum Arrival<'a> {
    /// So many events at some member.
    Events(u64),
    /// The acknowledgement of a command, at the dispatcher of this number.
    Answer(usize, &'a mut Rescheduler),
}

impl Audience {
    /// An audience of nobody, of which so many will be witnesses.
    pub fn new(witnesses: usize) -> Result<Self, Failure> {
        Ok(Self {
            poll: Poll::new()?,
            ready: Events::with_capacity(EVENTS_PER_POLL),
            members: Vec::new(),
            witnesses,
            dispatchers: Vec::new(),
            active: 0,
            sample_frame: Vec::new(),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// How many dispatchers there are.
    pub fn dispatchers(&self) -> usize {
        self.dispatchers.len()
    }

    /// Adds a dispatcher.
    pub fn add_dispatcher(&mut self, dispatcher: Rescheduler) {
        self.dispatchers.push(dispatcher);
    }

    /// Adds members, made by `connect`, until there are `count`.
    pub fn grow(
        &mut self,
        count: usize,
        mut connect: impl FnMut() -> Result<TcpStream, Failure>,
    ) -> Result<(), Failure> {
        while self.members.len() < count {
            let stream = connect()?;
            stream.set_nonblocking(true)?;
            let number = self.members.len();
            self.watch(&stream, number)?;
            let tape = (number < self.witnesses).then(Vec::new);
            let counter = EventCounter::default();
            self.members.push(Member { stream, counter, received: 0, tape });
        }
        Ok(())
    }

    /// Has the first `dispatchers` connect anew, and polls them from now on. Between
    /// rounds they are idle for so long that the server may end their connections.
    pub fn begin_round(&mut self, dispatchers: usize) -> Result<(), Failure> {
        for number in 0..dispatchers {
            let dispatcher = &mut self.dispatchers[number];
            dispatcher.reconnect()?;
            dispatcher.set_nonblocking()?;
            self.watch(self.dispatchers[number].stream(), DISPATCHER_TOKENS + number)?;
        }
        self.active = dispatchers;
        Ok(())
    }

    /// Polls dispatchers no longer. Fails unless every member has got `count` events
    /// in this round, no more and no fewer, and witnesses have got them in order.
    pub fn end_round(&mut self, count: u64) -> Result<(), Failure> {
        for dispatcher in &self.dispatchers[..std::mem::take(&mut self.active)] {
            let registry = self.poll.registry();
            registry.deregister(&mut SourceFd(&dispatcher.stream().as_raw_fd()))?;
        }
        for member in &mut self.members {
            let received = std::mem::take(&mut member.received);
            if received != count {
                return Err(format!("a connection got {received} events out of {count}").into());
            }
            let Some(tape) = &mut member.tape else { continue };
            let tape = std::mem::take(tape);
            let checked = socket::check_events(&tape)?;
            if checked != count {
                return Err(format!("a witness saw {checked} events out of {count}").into());
            }
            self.sample_frame = socket::last_event_frame(&tape)?;
        }
        Ok(())
    }

    /// Has a dispatcher of the round send its next command.
    pub fn send_command(&mut self, dispatcher: usize) -> Result<(), Failure> {
        self.dispatchers[dispatcher].send()
    }

    fn watch(&self, stream: &TcpStream, token: usize) -> Result<(), Failure> {
        let registry = self.poll.registry();
        Ok(registry.register(
            &mut SourceFd(&stream.as_raw_fd()),
            Token(token),
            Interest::READABLE,
        )?)
    }

    /// Tells of all that has arrived, with the time at which it was read; of nothing, if
    /// nothing has. Fails when the deadline is over, and when a connection is.
    ///
    /// It does not sleep, and is called again and again: to wake a sleeping reader on
    /// another core takes longer than to write to its socket, and would be paid by the
    /// process that writes. What is measured would be how often this one fell asleep.
    pub fn poll(
        &mut self,
        deadline: Instant,
        mut arrived: impl FnMut(Arrival<'_>, Instant) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if Instant::now() > deadline {
            return Err("not everything came in time".into());
        }
        match self.poll.poll(&mut self.ready, Some(Duration::ZERO)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &self.ready {
            let Token(token) = event.token();
            if let Some(number) = token.checked_sub(DISPATCHER_TOKENS) {
                let dispatcher = &mut self.dispatchers[number];
                // Without a command on its way this is the end of a connection that was
                // idle while members were awaited.
                if dispatcher.is_waiting() && dispatcher.receive()? {
                    arrived(Arrival::Answer(number, dispatcher), Instant::now())?;
                }
                continue;
            }
            let events = self.members[token].read(&mut self.buffer, event)?;
            if events > 0 {
                arrived(Arrival::Events(events), Instant::now())?;
            }
        }
        Ok(())
    }

    /// An event's frame as it came, header and all; there is one after a round
    /// with a witness.
    pub fn sample_frame(&self) -> &[u8] {
        &self.sample_frame
    }
}

impl Member {
    /// Reads all that there is; answers how many events that completed.
    ///
    /// What is left would not be reported again, but a read that does not fill the
    /// buffer leaves nothing, so one is enough. At the end of the connection there is
    /// the end to be read as well.
    fn read(&mut self, buffer: &mut [u8], event: &Event) -> Result<u64, Failure> {
        let mut events = 0;
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err("the server dropped a connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("a connection broke: {error}").into()),
            };
            if let Some(tape) = &mut self.tape {
                tape.extend_from_slice(&buffer[..count]);
            }
            events += self.counter.feed(&buffer[..count])?;
            if count < buffer.len() && !event.is_read_closed() {
                break;
            }
        }
        self.received += events;
        Ok(events)
    }
}
