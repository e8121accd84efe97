//! One test per failure domain: while the fault lasts commands are answered, and
//! afterwards every event is in the log exactly once, in sequence.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use signalbox::pipeline::{CommandError, Panic, PartState, PipelineConfig};
use signalbox::signalr::{ConnectionOptions, HubOptions};

use crate::support::database::{Database, TestDatabase};
use crate::support::http_client::Api;
use crate::support::site::{REGION, Site, SiteOptions};
use crate::support::websocket::HubClient;
use crate::support::{PATIENCE, until};

/// Commands of a phase: enough that some are in every queue.
const COMMANDS: i64 = 60;

/// Moves a job of its own to and fro, and answers the events' sequences.
async fn change_jobs(site: &Site) -> Vec<u64> {
    let job = site.job(0, None).await;
    let mut sequences = Vec::new();
    for step in 1..=COMMANDS {
        let receipt = site.reschedule(&job, 0, step % 2 + 1).await.expect("the command succeeds");
        sequences.extend(receipt.event.map(|event| event.sequence));
    }
    assert_eq!(sequences.len() as i64, COMMANDS, "each command made an event");
    sequences
}

/// Waits until all is logged, and checks that it is there exactly once.
async fn assert_logged_once(site: &Site, mut log: Database) {
    let progress = &site.server.pipeline.progress;
    let last = progress.committed();
    assert!(progress.wait_logged(last, PATIENCE).await, "all is logged in the end");
    let sequences: Vec<i64> = log.event_log().iter().map(|event| event.sequence).collect();
    let expected: Vec<i64> = (1..=i64::try_from(last).expect("few events")).collect();
    assert_eq!(sequences, expected, "each sequence once, without a gap");
    assert_eq!(site.database().count("outbox"), 0, "nothing is left to be logged");
}

async fn dispatcher(site: &Site) -> HubClient {
    let token = site.token("dispatcher", &[REGION], None);
    let mut client = HubClient::connect(&site.url("/hub/dispatch"), &token).await;
    let joined = client.invoke("JoinDispatchGroup", json!([REGION])).await;
    assert_eq!(joined["error"], json!(null), "{joined}");
    client
}

/// Reads events up to this sequence and answers those that came.
async fn sequences_up_to(client: &mut HubClient, last: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last() != Some(&last) {
        let event = client.next_event().await.expect("the connection stays");
        seen.push(event["sequence"].as_u64().expect("a sequence"));
    }
    seen
}

#[actix_web::test]
async fn a_registry_that_panics_comes_back_and_misses_nothing() {
    let site = Site::start().await;
    let mut client = dispatcher(&site).await;
    let first = change_jobs(&site).await[0] - 1;
    for _ in 0..3 {
        let registry = &site.server.pipeline.registry;
        until("the registry is there", async || registry.try_send(Panic).is_ok()).await;
        change_jobs(&site).await;
    }
    let last = site.server.pipeline.progress.committed();
    let expected: Vec<u64> = (first..=last).collect();
    assert_eq!(sequences_up_to(&mut client, last).await, expected, "once each, in order");
    assert_logged_once(&site, site.database()).await;
}

#[actix_web::test]
async fn a_log_writer_that_panics_comes_back_and_misses_nothing() {
    let site = Site::start().await;
    for _ in 0..3 {
        change_jobs(&site).await;
        let log_writer = &site.server.pipeline.log_writer;
        until("the writer is there", async || log_writer.try_send(Panic).is_ok()).await;
        change_jobs(&site).await;
    }
    assert_logged_once(&site, site.database()).await;
}

#[actix_web::test]
async fn a_job_actor_that_panics_comes_back() {
    let site = Site::start().await;
    let job = site.job(50, None).await;
    site.server.pipeline.job_actor.try_send(Panic).expect("the job actor is there");
    // A command may fall into the moment of the panic; it is refused, not lost.
    until("commands are carried out again", async || site.reschedule(&job, 50, 1).await.is_ok())
        .await;
    change_jobs(&site).await;
    assert_logged_once(&site, site.database()).await;
}

#[actix_web::test]
async fn commands_and_deliveries_go_on_while_the_log_is_gone() {
    let options = SiteOptions {
        event_log: Some(TestDatabase::absent()),
        pipeline: PipelineConfig {
            // Smaller than what is to be logged: the rest must come from the outbox.
            log_queue_events_max: 10,
            ..SiteOptions::default().pipeline
        },
        ..SiteOptions::default()
    };
    let site = Site::start_with(options).await;
    let progress = &site.server.pipeline.progress;
    let mut client = dispatcher(&site).await;
    let sequences = change_jobs(&site).await;
    let last = *sequences.last().expect("events");
    let seen = sequences_up_to(&mut client, last).await;
    assert_eq!(seen, (1..=last).collect::<Vec<_>>());
    until("the log is known to be down", async || progress.log_state() == PartState::Down).await;
    assert_eq!(progress.logged(), 0);

    let log = site.event_log.as_ref().expect("a log of its own");
    log.create();
    assert!(progress.wait_logged(last, PATIENCE).await, "the log is caught up with");
    change_jobs(&site).await;
    assert_logged_once(&site, log.open()).await;
    until("the log is known to be up", async || progress.log_state() == PartState::Up).await;
}

#[actix_web::test]
async fn a_client_that_stops_reading_is_cut_off_and_harms_nobody() {
    let connection =
        ConnectionOptions { output_bytes_max: 16 * 1024, ..ConnectionOptions::default() };
    let hub = HubOptions { connection, ..HubOptions::default() };
    let site = Site::start_with(SiteOptions { hub, ..SiteOptions::default() }).await;
    let mut stalled = stalled_dispatcher(&site);
    let mut client = dispatcher(&site).await;
    let is_joined = async || site.server.connections() == 2;
    until("both are connected", is_joined).await;

    let job = site.job(0, None).await;
    let mut seen = 0;
    let mut hour = 0;
    // What the kernel takes for the stalled client comes first, so it is many events.
    while site.server.connections() == 2 {
        hour += 1;
        let receipt = site.reschedule(&job, 0, hour % 2 + 1).await.expect("the command succeeds");
        let last = receipt.event.expect("an event").sequence;
        let events = sequences_up_to(&mut client, last).await;
        assert_eq!(events.first(), Some(&(seen + 1)), "the other one misses nothing");
        seen = last;
        assert!(hour < 100_000, "the stalled client was never cut off");
    }
    assert_ended_by_reset(&mut stalled);
    let metrics = Api::nobody(&site).get("/metrics").send().await.text;
    assert!(metrics.contains("\nsignalbox_slow_connections_cut_total 1\n"), "{metrics}");
    assert_logged_once(&site, site.database()).await;
}

/// A client that joins and then never reads.
fn stalled_dispatcher(site: &Site) -> TcpStream {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    // Little room in the kernel, so that the server notices soon.
    socket.set_recv_buffer_size(4096).expect("an option");
    socket.connect(&site.server.address.into()).expect("the server listens");
    let mut stream: TcpStream = socket.into();
    let token = site.token("dispatcher", &[REGION], None);
    let mut request = format!(
        "GET /hub/dispatch HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    )
    .into_bytes();
    let call = json!({"type": 1, "target": "JoinDispatchGroup", "arguments": [REGION]});
    for text in ["{\"protocol\":\"json\",\"version\":1}".to_owned(), call.to_string()] {
        request.extend(masked_text_frame(&format!("{text}\u{1e}")));
    }
    stream.write_all(&request).expect("the server reads");
    stream
}

/// A client's frame; a mask of zeros leaves the text as it is.
fn masked_text_frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126);
    let mut frame = vec![0x81, 0x80 | length.expect("a short text"), 0, 0, 0, 0];
    frame.extend(text.as_bytes());
    frame
}

fn assert_ended_by_reset(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    let mut buffer = [0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                return;
            }
        }
    }
}

#[actix_web::test]
async fn a_full_command_queue_refuses_at_once_and_keeps_what_it_has() {
    const PLACES: usize = 4;
    let pipeline = PipelineConfig { commands_max: PLACES, ..SiteOptions::default().pipeline };
    let site = Site::start_with(SiteOptions { pipeline, ..SiteOptions::default() }).await;
    let job = site.job(0, None).await;
    let mut database = site.database();
    database.lock();

    // No transaction can end for now, so whoever is answered was not made to wait.
    let more = 3;
    let mut answers: FuturesUnordered<_> =
        (1..=PLACES + more).map(|hour| site.reschedule(&job, 0, hour as i64)).collect();
    for _ in 0..more {
        assert_eq!(answers.next().await, Some(Err(CommandError::Busy)));
    }
    database.unlock();
    let kept: Vec<_> = answers.collect().await;
    assert!(kept.len() == PLACES && kept.iter().all(Result::is_ok), "{kept:?}");

    change_jobs(&site).await;
    assert_logged_once(&site, site.database()).await;
}
