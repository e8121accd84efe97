//! Which databases a command works on.

use clap::Args;

use crate::config::PartialSettings;
use crate::store::StoreConfig;

/// Flags of every command that opens the databases of a server by itself.
#[derive(Debug, Args)]
pub struct DatabaseArgs {
    /// The jobs' database [default: sqlite://signalbox.db]
    #[arg(long, env = "SIGNALBOX_DATABASE_URL", value_name = "URL")]
    database_url: Option<String>,
    /// The event log's database [default: the jobs' one]
    #[arg(long, env = "SIGNALBOX_EVENT_LOG_DATABASE_URL", value_name = "URL")]
    event_log_database_url: Option<String>,
}

impl DatabaseArgs {
    /// The databases as they are to be opened; `migrate` applies what is pending.
    pub(super) fn config(self, migrate: bool) -> StoreConfig {
        let settings = PartialSettings {
            database_url: self.database_url,
            event_log_database_url: self.event_log_database_url,
            ..PartialSettings::default()
        }
        .or_defaults();
        StoreConfig {
            database_url: settings.database_url,
            event_log_database_url: settings.event_log_database_url,
            node_id: settings.node_id,
            migrate,
        }
    }
}
