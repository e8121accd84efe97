//! `signalbox demo`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::{Outcome, run};
use crate::auth::AuthConfig;
use crate::config::LogFormat;
use crate::demo::{personas, sample, simulation};
use crate::http::{DemoAccess, Limits, Origins, SignInPages};
use crate::hub;
use crate::jobs::Role;
use crate::pipeline::PipelineConfig;
use crate::server::ServerConfig;
use crate::store::StoreConfig;
use crate::telemetry;

/// Flags of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Address and port to serve on, of the loopback; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: String,
    /// A folder to keep the demo's data in [default: a temporary one]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Leave the jobs alone
    #[arg(long)]
    no_simulation: bool,
    /// Seconds between the simulation's changes
    #[arg(long, default_value_t = 8, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..))]
    simulation_interval: u64,
}

/// Runs the demo.
pub fn run(args: DemoArgs) -> Outcome {
    let _log = telemetry::start(LogFormat::Text);
    check_loopback(&args.listen)?;
    let folder = DemoFolder::open(args.data)?;
    let secret = folder.secret()?;
    let access = {
        let secret = secret.clone();
        DemoAccess::new(move || personas::with_tokens(&secret))
    };
    let config = ServerConfig {
        listen: args.listen,
        store: StoreConfig {
            database_url: format!("sqlite://{}", folder.path.join("signalbox.db").display()),
            event_log_database_url: None,
            node_id: "demo".to_owned(),
            migrate: true,
        },
        auth: AuthConfig { secret: Some(secret.clone()), ..AuthConfig::default() },
        origins: Origins::default().loopback_only(),
        demo: Some(Arc::new(access)),
        sign_in: SignInPages::default(),
        pipeline: PipelineConfig::default(),
        hub: hub::options(),
        access_log: false,
        limits: Limits::default(),
        tls: None,
        stop_timeout: Duration::from_secs(5),
    };
    let interval = (!args.no_simulation).then(|| Duration::from_secs(args.simulation_interval));
    run::until_signalled(config, |server| {
        let (commands, store) = (server.pipeline.commands.clone(), server.store.clone());
        let address = server.address;
        async move {
            sample::fill(&commands, &store).await?;
            if let Some(interval) = interval {
                actix_web::rt::spawn(simulation::run(commands, store, interval));
            }
            introduce(&secret, &address.to_string());
            Ok(())
        }
    })
}

/// The demo lets everybody in, so it is for this machine alone.
fn check_loopback(listen: &str) -> Outcome {
    use std::net::ToSocketAddrs as _;
    let mut addresses = listen.to_socket_addrs().map_err(|error| format!("{listen}: {error}"))?;
    if addresses.all(|address| address.ip().is_loopback()) {
        Ok(())
    } else {
        Err(format!("{listen}: the demo lets everybody in, so it serves the loopback only").into())
    }
}

fn introduce(secret: &str, address: &str) {
    println!("The board, to be opened twice or more, each time as somebody else:");
    let personas = personas::with_tokens(secret);
    let (admins, others): (Vec<_>, Vec<_>) =
        personas.iter().partition(|persona| persona.role == Role::Admin.as_str());
    for persona in others {
        println!("  http://{address}/?persona={:<18} {}", persona.id, persona.name);
    }
    println!("Who is connected:");
    for persona in admins {
        println!("  http://{address}/admin?persona={:<13} {}", persona.id, persona.name);
    }
    println!("Tokens, for curl and other clients (good for {} hours):", personas::TOKEN_HOURS);
    for persona in personas.iter().take(2) {
        println!("  {}: {}", persona.id, persona.token);
    }
}

/// Where the demo's data is; a temporary folder goes with it.
struct DemoFolder {
    path: PathBuf,
    is_temporary: bool,
}

impl DemoFolder {
    fn open(given: Option<PathBuf>) -> std::io::Result<Self> {
        let is_temporary = given.is_none();
        let path = given.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("signalbox-demo-{}", uuid::Uuid::new_v4().simple()))
        });
        std::fs::create_dir_all(&path)?;
        Ok(Self { path, is_temporary })
    }

    /// The folder's own secret, so that tokens outlive a restart on the same data.
    fn secret(&self) -> std::io::Result<String> {
        let path = self.path.join("demo-secret");
        match std::fs::read_to_string(&path) {
            Ok(secret) => Ok(secret),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret =
                    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
                write_private(&path, &secret)?;
                Ok(secret)
            }
            Err(error) => Err(error),
        }
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if self.is_temporary {
            // What cannot be removed is the temporary folder's to clean up.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
