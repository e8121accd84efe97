//! Stands between clients and a server, and cuts connections wherever they are.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::random::Random;

/// A connection is cut after fewer bytes than this, in either direction.
const BYTES_MAX: u64 = 20_000;

/// A proxy; its threads end with the test's process.
pub struct CuttingProxy {
    pub address: String,
    state: Arc<State>,
}

struct State {
    upstream: String,
    is_cutting: AtomicBool,
    cuts: AtomicUsize,
}

impl CuttingProxy {
    pub fn start(upstream: &str, mut random: Random) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let state = Arc::new(State {
            upstream: upstream.to_owned(),
            is_cutting: AtomicBool::new(true),
            cuts: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // An upstream that is away is what clients of a proxy see as a cut.
                let _ = shared.carry(client, &mut random);
            }
        });
        Self { address, state }
    }

    /// Connections made from now on are left alone.
    pub fn stop_cutting(&self) {
        self.state.is_cutting.store(false, Ordering::Relaxed);
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::Relaxed)
    }
}

impl State {
    fn carry(self: &Arc<Self>, client: TcpStream, random: &mut Random) -> io::Result<()> {
        let server = TcpStream::connect(&self.upstream)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (from, to) = (from.try_clone()?, to.try_clone()?);
            let allowance = random.between(1, BYTES_MAX);
            // An aborted connection loses what was on its way; one that ends does not.
            let aborts = random.one_in(2);
            let state = Arc::clone(self);
            std::thread::spawn(move || state.copy(from, to, allowance, aborts));
        }
        Ok(())
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, allowance: u64, aborts: bool) {
        let mut left = usize::try_from(allowance).expect("few bytes");
        let mut buffer = [0; 4096];
        let is_cut = loop {
            let Ok(count @ 1..) = from.read(&mut buffer) else { break false };
            let is_cutting = self.is_cutting.load(Ordering::Relaxed);
            let passed = if is_cutting { count.min(left) } else { count };
            if to.write_all(&buffer[..passed]).is_err() {
                break false;
            }
            left -= passed.min(left);
            if is_cutting && left == 0 {
                break true;
            }
        };
        if is_cut {
            self.cuts.fetch_add(1, Ordering::Relaxed);
            if aborts {
                for stream in [&from, &to] {
                    // It may be gone already.
                    let _ = socket2::SockRef::from(stream).set_linger(Some(Default::default()));
                }
            }
        }
        for stream in [&from, &to] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
