//! The commands, a file each.

pub mod backup;
pub mod config;
pub mod databases;
pub mod demo;
pub mod events;
pub mod health;
pub mod manual;
pub mod migrate;
mod run;
pub mod serve;
pub mod token;
pub mod verify;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A realtime dispatch server: jobs over HTTP, live over SignalR, every event in the log.
#[derive(Debug, Parser)]
#[command(name = "signalbox", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try it: everything in one process, on sample data
    Demo(demo::DemoArgs),
    /// Run the server
    Serve(Box<serve::ServeArgs>),
    /// Apply the database migrations, or show what is pending
    Migrate(migrate::MigrateArgs),
    /// Check that events, jobs and assignments are as they must be; changes nothing
    ///
    /// Exits with 0 if they are, 1 if there are faults, 2 if it cannot be told.
    Verify(verify::VerifyArgs),
    /// Copy the SQLite files of a server that may go on running, and check the copy
    Backup(backup::BackupArgs),
    /// Read the event log
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Look at the settings of a server
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Ask a running server whether it is well; exits with 0 if it is
    Health(health::HealthArgs),
    /// Print what a shell needs to complete commands and flags
    Completions(manual::CompletionsArgs),
    /// Print the manual page
    Manual(manual::ManualArgs),
    /// Make a token, signed with the server's secret
    Token(token::TokenArgs),
}

/// How a command ended; the error's text is for whoever typed it.
pub type Outcome = Result<(), Box<dyn Error>>;

/// Turns an outcome into the program's exit code, and says what went wrong.
#[must_use]
pub fn report(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signalbox: {error}");
            ExitCode::FAILURE
        }
    }
}
