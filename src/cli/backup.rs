//! `signalbox backup`

use std::path::PathBuf;

use clap::Args;

use super::Outcome;
use super::databases::DatabaseArgs;
use crate::store;

/// Flags of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    #[command(flatten)]
    databases: DatabaseArgs,
    /// The folder to make for the copies
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

/// Makes the copies, and checks them.
pub fn run(args: BackupArgs) -> Outcome {
    let copies = store::back_up(&args.databases.config(false), &args.to)?;
    let copied = store::open_read_only(&copies)?;
    let (report, last) = (store::verify(&copied)?, copied.jobs.last_sequence()?);
    println!("{report}");
    if report.faults() > 0 {
        return Err("the copy has faults, and so may what was copied: see signalbox verify".into());
    }
    println!("backed up to {}: all up to event {last}", args.to.display());
    Ok(())
}
