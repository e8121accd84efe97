//! The program: one line per command.

use std::process::ExitCode;

use clap::Parser;
use signalbox::cli::{
    Cli, Command, config, demo, events, manual, migrate, report, serve, token, verify,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Demo(args) => report(demo::run(args)),
        Command::Serve(args) => report(serve::run(args)),
        Command::Migrate(args) => report(migrate::run(args)),
        Command::Verify(args) => verify::run(args),
        Command::Events(command) => report(events::run(command)),
        Command::Config(command) => report(config::run(command)),
        Command::Completions(args) => report(manual::completions(args)),
        Command::Manual(args) => report(manual::manual(args)),
        Command::Token(args) => report(token::run(args)),
    }
}
