//! `signalbox token`

use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};

use super::Outcome;
use crate::auth::{Claims, issue};
use crate::jobs::{ContractorId, Region, Role};

/// Flags of `token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// What its bearer may do
    #[arg(long)]
    role: RoleName,
    /// Who its bearer is
    #[arg(long, value_name = "ID")]
    sub: String,
    /// The bearer's name, as events show it
    #[arg(long)]
    name: Option<String>,
    /// A dispatcher's regions, or *
    #[arg(long, value_delimiter = ',', value_name = "REGION,REGION")]
    regions: Vec<String>,
    /// Which contractor, for the role contractor
    #[arg(long, value_name = "UUID")]
    contractor_id: Option<String>,
    /// How long it is good for, in seconds
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    valid_for: u64,
    /// The server's secret
    #[arg(long, env = "SIGNALBOX_JWT_SECRET", hide_env_values = true)]
    jwt_secret: String,
    /// The issuer, where the server checks it
    #[arg(long, env = "SIGNALBOX_JWT_ISSUER")]
    jwt_issuer: Option<String>,
    /// The audience, where the server checks it
    #[arg(long, env = "SIGNALBOX_JWT_AUDIENCE")]
    jwt_audience: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Admin,
    Dispatcher,
    Contractor,
}

/// Prints a token.
pub fn run(args: TokenArgs) -> Outcome {
    let role = match args.role {
        RoleName::Admin => Role::Admin,
        RoleName::Dispatcher => Role::Dispatcher,
        RoleName::Contractor => Role::Contractor,
    };
    if role == Role::Dispatcher && args.regions.is_empty() {
        return Err("a dispatcher's token needs --regions".into());
    }
    if role == Role::Contractor && args.contractor_id.is_none() {
        return Err("a contractor's token needs --contractor-id".into());
    }
    if let Some(bad) =
        args.regions.iter().find(|name| *name != "*" && Region::parse(name).is_none())
    {
        return Err(format!("'{bad}' is not a region's name").into());
    }
    if let Some(id) = &args.contractor_id {
        id.parse::<ContractorId>().map_err(|_| format!("'{id}' is not a UUID"))?;
    }
    let until = SystemTime::now() + Duration::from_secs(args.valid_for);
    let claims = Claims {
        sub: args.sub,
        exp: until.duration_since(SystemTime::UNIX_EPOCH)?.as_secs(),
        name: args.name,
        roles: vec![role.as_str().to_owned()],
        regions: args.regions,
        contractor_id: args.contractor_id,
        iss: args.jwt_issuer,
        aud: args.jwt_audience.map(serde_json::Value::String),
    };
    println!("{}", issue(&args.jwt_secret, &claims)?);
    Ok(())
}
