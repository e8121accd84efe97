//! `signalbox migrate`

use clap::Args;

use super::Outcome;
use super::databases::DatabaseArgs;
use crate::store;

/// Flags of `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Show what is pending, and apply nothing
    #[arg(long)]
    pending: bool,
    #[command(flatten)]
    databases: DatabaseArgs,
}

/// Applies the migrations.
pub fn run(args: MigrateArgs) -> Outcome {
    let config = args.databases.config(true);
    let pending = store::pending_migrations(&config)?;
    if pending.is_empty() {
        println!("nothing is pending");
        return Ok(());
    }
    if !args.pending {
        store::open(&config)?;
        // A server may have gone away in between.
        let left = store::pending_migrations(&config)?;
        if !left.is_empty() {
            return Err(format!("still pending: {}", left.join(", ")).into());
        }
    }
    let word = if args.pending { "pending" } else { "applied" };
    for name in pending {
        println!("{word}: {name}");
    }
    Ok(())
}
