//! `signalbox config`

use clap::Subcommand;

use super::Outcome;
use super::serve::{SettingsArgs, server_config};

/// What can be done with settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether a server would take its settings, from file, environment and flags;
    /// starts nothing, and asks no database
    Check(Box<SettingsArgs>),
}

/// Looks at the settings.
pub fn run(command: ConfigCommand) -> Outcome {
    let ConfigCommand::Check(args) = command;
    let faults = server_config(args.settings()?, true)?.faults();
    if !faults.is_empty() {
        return Err(faults.join("\nsignalbox: ").into());
    }
    println!("the settings are in order");
    Ok(())
}
