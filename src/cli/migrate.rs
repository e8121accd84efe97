//! `signalbox migrate`

use clap::Args;

use super::Outcome;
use crate::config::PartialSettings;
use crate::store::{self, StoreConfig};

/// Flags of `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Show what is pending, and apply nothing
    #[arg(long)]
    pending: bool,
    /// The jobs' database
    #[arg(long, env = "SIGNALBOX_DATABASE_URL", value_name = "URL")]
    database_url: Option<String>,
    /// The event log's database [default: the jobs' one]
    #[arg(long, env = "SIGNALBOX_EVENT_LOG_DATABASE_URL", value_name = "URL")]
    event_log_database_url: Option<String>,
}

/// Applies the migrations.
pub fn run(args: MigrateArgs) -> Outcome {
    let settings = PartialSettings {
        database_url: args.database_url,
        event_log_database_url: args.event_log_database_url,
        ..PartialSettings::default()
    }
    .or_defaults();
    let config = StoreConfig {
        database_url: settings.database_url,
        event_log_database_url: settings.event_log_database_url,
        node_id: settings.node_id,
        migrate: true,
    };
    let pending = store::pending_migrations(&config)?;
    if pending.is_empty() {
        println!("nothing is pending");
        return Ok(());
    }
    if !args.pending {
        store::open(&config)?;
    }
    let word = if args.pending { "pending" } else { "applied" };
    for name in pending {
        println!("{word}: {name}");
    }
    Ok(())
}
