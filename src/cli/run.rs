//! Runs a server until it is asked to stop.

use std::future::Future;
use std::io::Write as _;

use actix_web::rt::System;
use tokio::signal::unix::{SignalKind, signal};

use super::Outcome;
use crate::server::{self, RunningServer, ServerConfig};

/// Starts the server, says that it is ready, runs `meanwhile`, and stops in order on
/// SIGTERM or SIGINT.
pub(super) fn until_signalled<F: Future<Output = Outcome>>(
    config: ServerConfig,
    meanwhile: impl FnOnce(&RunningServer) -> F,
) -> Outcome {
    raise_descriptor_limit();
    System::new().block_on(async move {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let server = server::start(config)?;
        meanwhile(&server).await?;
        println!("signalbox ready on {}", server.origin());
        // Whoever waits for the line may wait behind a pipe.
        std::io::stdout().flush()?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        log::info!("stopping");
        server.stop().await;
        Ok(())
    })
}

/// A connection takes two descriptors, and systems start programs with room for few.
fn raise_descriptor_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => log::debug!(limit; "the limit of open descriptors is raised"),
        Err(error) => log::warn!(error:%; "the limit of open descriptors stays as it is"),
    }
}
