//! What a token says, and the [`Caller`] that it makes of its bearer.

use serde::{Deserialize, Serialize};

use super::denial::Reason;
use crate::jobs::{
    ACTOR_NAME_BYTES_MAX, Actor, Caller, ContractorId, Region, Regions, Role, SUBJECT_BYTES_MAX,
    bounded_text,
};

/// The claims that are read, and written by [`issue`](super::issue).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// Who it is; at most [`SUBJECT_BYTES_MAX`] bytes.
    pub sub: String,
    /// When the token ends, in seconds since 1970.
    pub exp: u64,
    /// For display; cut at [`ACTOR_NAME_BYTES_MAX`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of `admin`, `dispatcher`, `contractor`; others mean nothing here.
    #[serde(default)]
    pub roles: Vec<String>,
    /// A dispatcher's regions, or `*`.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Which contractor a contractor is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contractor_id: Option<String>,
    /// Who issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom it is for: one name, or several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<serde_json::Value>,
}

/// Who brings these claims. A role that is missing takes the claims along that only it has.
pub(super) fn caller(claims: Claims) -> Result<Caller, Reason> {
    bounded_text("sub", &claims.sub, SUBJECT_BYTES_MAX).map_err(|_| Reason::Claims)?;
    if claims.sub.is_empty() {
        return Err(Reason::Claims);
    }
    let has = |role: Role| claims.roles.iter().any(|name| name == role.as_str());
    let regions = if has(Role::Dispatcher) { regions(&claims.regions) } else { no_regions() };
    let contractor_id = if has(Role::Contractor) {
        claims.contractor_id.as_deref().and_then(|id| id.parse::<ContractorId>().ok())
    } else {
        None
    };
    let role = [Role::Admin, Role::Dispatcher].into_iter().find(|role| has(*role));
    let is_admin = has(Role::Admin);
    let actor = Actor {
        id: claims.sub,
        role: role.unwrap_or(Role::Contractor),
        name: claims.name.as_deref().map(display_name).filter(|name| !name.is_empty()),
    };
    Ok(Caller { actor, is_admin, regions, contractor_id })
}

fn no_regions() -> Regions {
    Regions::Named(Vec::new())
}

/// A name that is no region's grants nothing.
fn regions(names: &[String]) -> Regions {
    if names.iter().any(|name| name == "*") {
        return Regions::All;
    }
    Regions::Named(names.iter().filter_map(|name| Region::parse(name)).collect())
}

/// The name as events may carry it: a longer one is cut, as it is for display only.
fn display_name(name: &str) -> String {
    let mut kept = String::new();
    for character in name.chars().filter(|c| !c.is_control()) {
        kept.push(character);
        if bounded_text("name", &kept, ACTOR_NAME_BYTES_MAX).is_err() {
            kept.pop();
            break;
        }
    }
    kept
}
