//! The program: one line per command.

use std::process::ExitCode;

use clap::Parser;
use signalbox::cli::{Cli, Command, demo, migrate, report, serve, token};

fn main() -> ExitCode {
    let cli = Cli::parse();
    report(match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Migrate(args) => migrate::run(args),
        Command::Token(args) => token::run(args),
    })
}
