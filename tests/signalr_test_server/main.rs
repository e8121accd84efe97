//! A SignalR server with a hub that exercises every feature, for clients' test suites.
//!
//! It uses `signalbox::signalr` and nothing else of the product:
//! `cargo run --example signalr_test_server -- --listen 127.0.0.1:0`. One line on
//! standard output says where it listens. `endpoints` lists what it offers.

mod controls;
mod endpoints;
mod hub;
mod state;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use clap::Parser;
use signalbox::signalr::{CloseReason, ConnectionOptions, HubOptions, remember_socket};

use crate::state::TestState;

/// A SignalR server for clients' test suites. Durations are in milliseconds; the
/// defaults are the reference server's.
#[derive(Debug, Clone, Parser)]
struct Args {
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    #[arg(long, default_value_t = 15_000)]
    keep_alive_ms: u64,
    #[arg(long, default_value_t = 30_000)]
    client_timeout_ms: u64,
    #[arg(long, default_value_t = 15_000)]
    handshake_timeout_ms: u64,
    /// For connections without a transport: unclaimed, between polls, reconnecting.
    #[arg(long, default_value_t = 15_000)]
    disconnect_timeout_ms: u64,
    #[arg(long, default_value_t = 90_000)]
    poll_timeout_ms: u64,
    #[arg(long, default_value_t = 5_000)]
    close_timeout_ms: u64,
    #[arg(long, default_value_t = 10_000)]
    send_timeout_ms: u64,
    #[arg(long, default_value_t = 32 * 1024)]
    message_bytes_max: usize,
    #[arg(long, default_value_t = 1024 * 1024)]
    output_bytes_max: usize,
    #[arg(long, default_value_t = 1)]
    parallel_invocations_max: usize,
    #[arg(long, default_value_t = 10)]
    upload_items_max: usize,
    #[arg(long, default_value_t = 100_000)]
    connections_max: usize,
    /// 0 is no limit.
    #[arg(long, default_value_t = 0)]
    connections_per_user_max: usize,
    #[arg(long, default_value_t = 0)]
    min_negotiate_version: u8,
    #[arg(long)]
    no_detailed_errors: bool,
    #[arg(long, default_value_t = 100_000)]
    stateful_buffer_bytes_max: usize,
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

impl Args {
    fn hub_options(&self) -> HubOptions {
        let per_user = self.connections_per_user_max;
        HubOptions {
            connection: ConnectionOptions {
                negotiate_version_min: self.min_negotiate_version,
                stateful_reconnect: true,
                authentication_refresh: true,
                disconnect_timeout: Duration::from_millis(self.disconnect_timeout_ms),
                poll_timeout: Duration::from_millis(self.poll_timeout_ms),
                close_timeout: Duration::from_millis(self.close_timeout_ms),
                send_timeout: Duration::from_millis(self.send_timeout_ms),
                output_bytes_max: self.output_bytes_max,
                connections_max: self.connections_max,
                connections_per_user_max: (per_user > 0).then_some(per_user),
                ..ConnectionOptions::default()
            },
            keep_alive_interval: Duration::from_millis(self.keep_alive_ms),
            client_timeout: Duration::from_millis(self.client_timeout_ms),
            handshake_timeout: Duration::from_millis(self.handshake_timeout_ms),
            message_bytes_max: self.message_bytes_max,
            parallel_invocations_max: self.parallel_invocations_max,
            upload_items_max: self.upload_items_max,
            stateful_buffer_bytes_max: self.stateful_buffer_bytes_max,
            detailed_errors: !self.no_detailed_errors,
            ..HubOptions::default()
        }
    }
}

/// How long a stop waits for connections that close.
const STOP_TIMEOUT_S: u64 = 5;

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let _log = signalbox::telemetry::start(signalbox::config::LogFormat::Text);
    let args = Args::parse();
    let state = Arc::new(TestState::new());
    let servers = endpoints::Servers::new(&args.hub_options(), &state);
    let handle = servers.hub.handle();
    let server = HttpServer::new(move || {
        let servers = servers.clone();
        App::new()
            .app_data(web::Data::from(Arc::clone(&state)))
            .app_data(web::Data::new(servers.clone()))
            // Any origin, with credentials: browsers run clients' tests from elsewhere.
            .wrap(
                Cors::default()
                    .allow_any_origin()
                    .allow_any_method()
                    .allow_any_header()
                    .supports_credentials(),
            )
            .wrap(from_fn(endpoints::around))
            .configure(|config| servers.configure(config))
            .configure(controls::configure)
    })
    .workers(args.workers)
    .on_connect(remember_socket)
    .tcp_nodelay(true)
    .h1_allow_half_closed(false)
    .client_disconnect_timeout(Duration::from_secs(1))
    .shutdown_timeout(STOP_TIMEOUT_S)
    .backlog(4096)
    .disable_signals()
    .bind(&args.listen)?;
    let address = server.addrs()[0];
    let server = server.run();
    let stopping = server.handle();
    actix_web::rt::spawn(async move {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                .expect("the signal can be waited for");
        terminate.recv().await;
        handle.close_all(&CloseReason::ServerShutdown);
        stopping.stop(true).await;
    });
    println!("signalr_test_server ready on http://{address}");
    server.await
}
