//! The long polling transport: each poll is answered when there is something to say.
//! The way in are POSTs.
//!
//! A poll may come to any worker thread. It is answered by a task on the thread that
//! its connection lives on, which hands the output over and takes it out of the
//! connection's queue only once the response is being written: a client that went
//! away before loses nothing.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Weak;
use std::task::{Context, Poll as TaskPoll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, EXPIRES, HeaderName, HeaderValue, PRAGMA};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use socket2::Socket;
use tokio::sync::oneshot;

use crate::signalr::connection::{Link, PollTurns, abort_socket};

/// A request that waits for output.
#[derive(Debug)]
pub(in crate::signalr) struct Poll {
    /// Where the answer goes; closed when the client has gone away.
    pub(in crate::signalr) reply: oneshot::Sender<PollAnswer>,
    /// For cutting a client that does not read its answer.
    pub(in crate::signalr) socket: Weak<Socket>,
}

/// What a poll is answered.
#[derive(Debug)]
pub(in crate::signalr) enum PollAnswer {
    /// What there was to say.
    Output(PollBody),
    /// Nothing, for as long as a poll waits.
    Nothing,
    /// A newer poll has taken over, or the connection has ended.
    NoContent,
}

impl PollAnswer {
    pub(in crate::signalr) fn into_response(self) -> HttpResponse {
        match self {
            Self::Output(body) => response(StatusCode::OK, OCTETS).body(body),
            Self::Nothing => response(StatusCode::OK, "text/plain").finish(),
            Self::NoContent => no_cache(&mut HttpResponse::NoContent()).finish(),
        }
    }
}

const OCTETS: &str = "application/octet-stream";

/// The answer to a connection's first poll: its client goes on once it has this.
pub(in crate::signalr) fn first_response() -> HttpResponse {
    response(StatusCode::OK, OCTETS).finish()
}

fn response(status: StatusCode, content_type: &'static str) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    no_cache(&mut response).insert_header(("Content-Type", content_type));
    response
}

/// Polls look alike: whatever answers one must not be kept for another.
const NO_CACHE: [(HeaderName, HeaderValue); 3] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store")),
    (PRAGMA, HeaderValue::from_static("no-cache")),
    (EXPIRES, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT")),
];

fn no_cache(response: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    NO_CACHE.into_iter().fold(response, HttpResponseBuilder::insert_header)
}

/// The refusal of a poll.
pub(in crate::signalr) fn not_to_be_kept(mut response: HttpResponse) -> HttpResponse {
    for (name, value) in NO_CACHE {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Answers a poll when it is time.
pub(in crate::signalr) async fn serve_poll(link: Rc<Link>, poll: Poll) {
    let Some(polls) = link.polls() else {
        return;
    };
    let number = polls.begin();
    link.set_polled(true, Instant::now());
    {
        let _turn = polls.turn().await;
        answer(&link, polls, number, poll).await;
    }
    let another_one_waits = polls.finish();
    link.set_polled(another_one_waits, Instant::now());
}

async fn answer(link: &Rc<Link>, polls: &PollTurns, number: u64, poll: Poll) {
    let Poll { mut reply, socket } = poll;
    let output = std::future::poll_fn(|context| link.outbound.poll_batch(context));
    let output = tokio::select! {
        biased;
        () = reply.closed() => return,
        () = polls.ended(number) => {
            // Whoever went away meanwhile needs no answer.
            let _ = reply.send(PollAnswer::NoContent);
            return;
        }
        output = output => output,
        () = tokio::time::sleep(link.options().poll_timeout) => {
            let _ = reply.send(PollAnswer::Nothing);
            return;
        }
    };
    let Some(frames) = output else {
        let _ = reply.send(PollAnswer::NoContent);
        link.drained();
        return;
    };
    let count = frames.len();
    let (body, mut progress) = PollBody::new(frames);
    if reply.send(PollAnswer::Output(body)).is_err() {
        return;
    }
    let is_late = match progress.begun(link.options().send_timeout).await {
        // The client has gone away; what it was to get is still there.
        Step::GaveUp => return,
        Step::Late => true,
        Step::Done => {
            link.outbound.advance(count);
            matches!(progress.ended(link.options().send_timeout).await, Step::Late)
        }
    };
    if is_late {
        abort_socket(&socket);
        link.cut_slow();
    }
}

/// A piece of a response; its progress shows whether the client reads.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// The output that one poll gets, with a known length.
#[derive(Debug)]
pub(in crate::signalr) struct PollBody {
    pieces: VecDeque<Bytes>,
    bytes: u64,
    begun: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Sender<()>>,
}

/// How far a body has been written.
struct PollProgress {
    begun: oneshot::Receiver<()>,
    ended: oneshot::Receiver<()>,
}

/// What became of a step.
enum Step {
    Done,
    /// The body was dropped.
    GaveUp,
    /// Not in time.
    Late,
}

impl PollBody {
    fn new(frames: Vec<Bytes>) -> (Self, PollProgress) {
        let bytes = frames.iter().map(|frame| frame.len() as u64).sum();
        let (begun, has_begun) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let pieces = join(&frames);
        let body = Self { pieces, bytes, begun: Some(begun), ended: Some(ended) };
        (body, PollProgress { begun: has_begun, ended: has_ended })
    }
}

/// Small frames together, large ones in parts.
fn join(frames: &[Bytes]) -> VecDeque<Bytes> {
    let whole = Bytes::from(frames.concat());
    (0..whole.len())
        .step_by(PIECE_BYTES_MAX)
        .map(|start| whole.slice(start..whole.len().min(start + PIECE_BYTES_MAX)))
        .collect()
}

impl MessageBody for PollBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.bytes)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> TaskPoll<Option<Result<Bytes, Self::Error>>> {
        if let Some(begun) = self.begun.take() {
            // A connection that is gone needs no report.
            let _ = begun.send(());
        }
        let piece = self.pieces.pop_front();
        if self.pieces.is_empty()
            && let Some(ended) = self.ended.take()
        {
            let _ = ended.send(());
        }
        TaskPoll::Ready(piece.map(Ok))
    }
}

impl PollProgress {
    async fn begun(&mut self, time_limit: Duration) -> Step {
        step(&mut self.begun, time_limit).await
    }

    async fn ended(&mut self, time_limit: Duration) -> Step {
        step(&mut self.ended, time_limit).await
    }
}

async fn step(signal: &mut oneshot::Receiver<()>, time_limit: Duration) -> Step {
    match tokio::time::timeout(time_limit, signal).await {
        Ok(Ok(())) => Step::Done,
        Ok(Err(_)) => Step::GaveUp,
        Err(_) => Step::Late,
    }
}
