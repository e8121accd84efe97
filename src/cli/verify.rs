//! `signalbox verify`

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::databases::DatabaseArgs;
use crate::store::{self, Report, StoreError};

/// Flags of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    databases: DatabaseArgs,
}

/// The exit code when there are faults.
const FAULTY: u8 = 1;

/// The exit code when it cannot be told whether there are any.
const UNCHECKED: u8 = 2;

/// Checks the databases and prints what was found.
#[must_use]
pub fn run(args: VerifyArgs) -> ExitCode {
    match check(args) {
        Ok(report) => {
            // Who does not listen to the end still gets the exit code.
            let _ = writeln!(std::io::stdout(), "{report}");
            if report.faults() == 0 { ExitCode::SUCCESS } else { FAULTY.into() }
        }
        Err(error) => {
            eprintln!("signalbox: {error}");
            UNCHECKED.into()
        }
    }
}

fn check(args: VerifyArgs) -> Result<Report, StoreError> {
    store::verify(&store::open_read_only(&args.databases.config(false))?)
}
