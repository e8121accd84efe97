//! HTTP down to its bytes: requests can be malformed, cut anywhere and held back.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use super::PATIENCE;
use super::http_client::{Answer, whole_answer};
use super::site::Site;

/// A connection whose bytes are the test's, with or without TLS below them.
pub struct RawHttp {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

impl RawHttp {
    pub async fn connect(site: &Site) -> Self {
        Self::connect_from(site, "127.0.0.1").await
    }

    /// From this address of the loopback.
    pub async fn connect_from(site: &Site, address: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let own = SocketAddr::new(address.parse().expect("an address"), 0);
        socket.bind(own).expect("the loopback has many addresses");
        let stream = socket.connect(site.server.address).await.expect("a listener");
        stream.set_nodelay(true).expect("an option");
        Self::over(stream)
    }

    /// Over whatever this is.
    pub fn over(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Self {
        Self { stream: Box::new(stream), received: Vec::new() }
    }

    /// The same with a small buffer for what comes, so that the other side soon waits.
    pub async fn connect_narrow(site: &Site) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4 * 1024).expect("an option");
        let stream = socket.connect(site.server.address).await.expect("a listener");
        Self::over(stream)
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the connection is open");
    }

    /// The same where the server may have closed the connection by now.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// The next answer, one with a length.
    pub async fn answer(&mut self) -> Answer {
        loop {
            if let Some((answer, bytes)) = whole_answer(&self.received) {
                self.received.drain(..bytes);
                return answer;
            }
            assert!(self.read_more().await, "an answer comes");
        }
    }

    /// The status of the next answer, whose body may be endless.
    pub async fn status(&mut self) -> u16 {
        while self.received.len() < 12 {
            assert!(self.read_more().await, "an answer comes");
        }
        let status = std::str::from_utf8(&self.received[9..12]).expect("text");
        status.parse().expect("a status")
    }

    /// Everything that still comes until the server closes or cuts the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.read_more().await {}
        std::mem::take(&mut self.received)
    }

    /// Sends the bytes again and again, a few at a time, until the server has closed the
    /// connection; answers what it said.
    pub async fn trickle_until_closed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let since = Instant::now();
        for byte in bytes.iter().cycle() {
            assert!(since.elapsed() < PATIENCE, "a connection that trickles is closed");
            let pause = std::time::Duration::from_millis(20);
            match tokio::time::timeout(pause, self.stream.read_buf(&mut self.received)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(_)) => {}
                Err(_) => {
                    if !self.try_send([*byte]).await {
                        break;
                    }
                }
            }
        }
        std::mem::take(&mut self.received)
    }

    /// False at the stream's end, also when it ends by a reset.
    async fn read_more(&mut self) -> bool {
        let reading = self.stream.read_buf(&mut self.received);
        let read = tokio::time::timeout(PATIENCE, reading).await.expect("bytes come in time");
        read.is_ok_and(|bytes| bytes > 0)
    }
}

/// Sends these bytes as they are, and reads the answer, however many bytes of the
/// request it still waits for.
pub async fn raw_answer(site: &Site, request: &[u8]) -> Answer {
    let mut connection = RawHttp::connect(site).await;
    connection.send(request).await;
    connection.answer().await
}

/// The head of a request with a token, and more headers.
pub fn head(method: &str, target: &str, token: &str, headers: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n{headers}\r\n"
    )
}
