//! The program: one line per command.

use std::process::ExitCode;

use clap::Parser;
use signalbox::cli::{
    Cli, Command, backup, config, demo, events, health, manual, migrate, report, serve, token,
    verify,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Demo(args) => report(demo::run(args)),
        Command::Serve(args) => report(serve::run(args)),
        Command::Migrate(args) => report(migrate::run(args)),
        Command::Verify(args) => verify::run(args),
        Command::Backup(args) => report(backup::run(args)),
        Command::Events(command) => report(events::run(command)),
        Command::Config(command) => report(config::run(command)),
        Command::Health(args) => report(health::run(args)),
        Command::Completions(args) => report(manual::completions(args)),
        Command::Manual(args) => report(manual::manual(args)),
        Command::Token(args) => report(token::run(args)),
    }
}
