//! The floor of the fan-out bench: a process that does nothing but `write()` a frame to
//! each of its sockets, one after the other. No server that gives every connection its
//! own write can be cheaper.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};

use crate::{Failure, process, server};

/// The argument that makes this program the floor's process.
pub const ARGUMENT: &str = "floor";

/// What the process prints once it listens, before its address.
const READY: &str = "floor ready on ";

/// The commands that the process takes, each a byte on its first connection.
mod command {
    /// Accept one more connection, and say so with a byte.
    pub const ACCEPT: u8 = b'A';
    /// Take over a frame: its length as four bytes, then the frame.
    pub const FRAME: u8 = b'F';
    /// Write the frame to every connection once.
    pub const WRITE: u8 = b'W';
}

/// The floor's process, as the bench sees it. It ends with this value.
pub struct Floor {
    child: Child,
    address: SocketAddr,
    control: TcpStream,
}

impl Floor {
    /// Starts the process on the core that the server runs on.
    pub fn start() -> Result<Self, Failure> {
        let mut child = process::command_on_measured_core(&std::env::current_exe()?)
            .arg(ARGUMENT)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let connected = connect(&mut child);
        match connected {
            Ok((address, control)) => Ok(Self { child, address, control }),
            Err(failure) => {
                server::end(&mut child);
                Err(failure)
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Opens one more connection.
    pub fn join(&mut self) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(self.address)?;
        self.control.write_all(&[command::ACCEPT])?;
        self.control.read_exact(&mut [0])?;
        Ok(stream)
    }

    /// What it writes from now on.
    pub fn set_frame(&mut self, frame: &[u8]) -> Result<(), Failure> {
        let length = u32::try_from(frame.len())?.to_be_bytes();
        Ok(self.control.write_all(&[&[command::FRAME], &length[..], frame].concat())?)
    }

    /// Has it write to every connection once.
    pub fn trigger(&mut self) -> Result<(), Failure> {
        Ok(self.control.write_all(&[command::WRITE])?)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        server::end(&mut self.child);
    }
}

/// Reads where the process listens, and connects to control it.
fn connect(child: &mut Child) -> Result<(SocketAddr, TcpStream), Failure> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no standard output")?).read_line(&mut line)?;
    let address = line.trim().strip_prefix(READY).ok_or("the floor's process did not start")?;
    let address = address.parse()?;
    let control = TcpStream::connect(address)?;
    control.set_nodelay(true)?;
    Ok((address, control))
}

/// The floor's process. Ends when its control connection does, so that it never
/// outlives the bench.
pub fn serve() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{READY}{}", listener.local_addr()?);
    let (mut control, _) = listener.accept()?;
    control.set_nodelay(true)?;
    let (mut members, mut frame) = (Vec::new(), Vec::new());
    loop {
        let mut command = [0];
        if control.read(&mut command)? == 0 {
            return Ok(());
        }
        match command[0] {
            command::ACCEPT => {
                let (member, _) = listener.accept()?;
                member.set_nodelay(true)?;
                members.push(member);
                control.write_all(&command)?;
            }
            command::FRAME => {
                let mut length = [0; 4];
                control.read_exact(&mut length)?;
                frame.resize(u32::from_be_bytes(length) as usize, 0);
                control.read_exact(&mut frame)?;
            }
            command::WRITE => {
                for member in &mut members {
                    member.write_all(&frame)?;
                }
            }
            other => return Err(format!("the floor knows no command {other}").into()),
        }
    }
}
