//! A token becomes a [`Caller`].
//!
//! Tokens are JWTs signed with HS256 and a shared secret. What is not that, is
//! refused: `none`, every other algorithm, a missing or passed expiry.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::jobs::{
    ACTOR_NAME_BYTES_MAX, Actor, Caller, ContractorId, Region, Regions, Role, SUBJECT_BYTES_MAX,
    bounded_text,
};

/// A shorter secret could be guessed.
pub const SECRET_BYTES_MIN: usize = 32;

/// Who may sign tokens, and for whom.
#[derive(Clone)]
pub struct AuthConfig {
    /// At least [`SECRET_BYTES_MIN`] bytes.
    pub secret: String,
    /// The `iss` that tokens must have; none is not checked.
    pub issuer: Option<String>,
    /// The `aud` that tokens must have; none is not checked.
    pub audience: Option<String>,
}

/// The configured secret cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the JWT secret has {bytes} bytes, fewer than {SECRET_BYTES_MIN}")]
pub struct WeakSecret {
    bytes: usize,
}

/// Why a token does not let its bearer in. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unauthenticated(String);

/// What a token proved.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// Who it is, and what they may do.
    pub caller: Arc<Caller>,
    /// When that ends.
    pub expires_at: SystemTime,
}

/// The claims that are read, and written by [`issue`].
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

/// Checks tokens. Clones share the keys.
#[derive(Clone)]
pub struct Authenticator {
    inner: Arc<(DecodingKey, Validation)>,
}

impl Authenticator {
    /// Checks tokens by this configuration.
    pub fn new(config: &AuthConfig) -> Result<Self, WeakSecret> {
        check_secret(&config.secret)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_nbf = true;
        validation.validate_aud = config.audience.is_some();
        let mut required = HashSet::from(["exp".to_owned(), "sub".to_owned()]);
        if let Some(issuer) = &config.issuer {
            validation.set_issuer(&[issuer]);
            required.insert("iss".to_owned());
        }
        if let Some(audience) = &config.audience {
            validation.set_audience(&[audience]);
            required.insert("aud".to_owned());
        }
        validation.required_spec_claims = required;
        let key = DecodingKey::from_secret(config.secret.as_bytes());
        Ok(Self { inner: Arc::new((key, validation)) })
    }

    /// Who the token's bearer is.
    pub fn authenticate(&self, token: &str) -> Result<Authenticated, Unauthenticated> {
        let (key, validation) = &*self.inner;
        let claims = jsonwebtoken::decode::<Claims>(token, key, validation)
            .map_err(|error| Unauthenticated(error.to_string()))?
            .claims;
        let expires_at = SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(claims.exp))
            .ok_or_else(|| Unauthenticated("the expiry is no time".to_owned()))?;
        // The library lets a token in for the rest of the second that it ends in.
        if SystemTime::now() >= expires_at {
            return Err(Unauthenticated("the token has expired".to_owned()));
        }
        Ok(Authenticated { caller: Arc::new(caller(claims)?), expires_at })
    }
}

/// A token of these claims.
///
/// # Errors
/// When the secret is too short.
pub fn issue(secret: &str, claims: &Claims) -> Result<String, WeakSecret> {
    check_secret(secret)?;
    let key = EncodingKey::from_secret(secret.as_bytes());
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
        .expect("claims of strings and numbers are signed with an HMAC without error"))
}

/// The token of an `Authorization: Bearer` header.
#[must_use]
pub fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn check_secret(secret: &str) -> Result<(), WeakSecret> {
    let bytes = secret.len();
    if bytes < SECRET_BYTES_MIN { Err(WeakSecret { bytes }) } else { Ok(()) }
}

fn caller(claims: Claims) -> Result<Caller, Unauthenticated> {
    if claims.sub.is_empty() {
        return Err(Unauthenticated("the subject is empty".to_owned()));
    }
    bounded_text("sub", &claims.sub, SUBJECT_BYTES_MAX)
        .map_err(|error| Unauthenticated(format!("the subject {}", error.message)))?;
    let has = |role: Role| claims.roles.iter().any(|name| name == role.as_str());
    let regions = if has(Role::Dispatcher) { regions(&claims.regions) } else { no_regions() };
    let contractor_id = if has(Role::Contractor) {
        claims.contractor_id.as_deref().and_then(|id| id.parse::<ContractorId>().ok())
    } else {
        None
    };
    let role = [Role::Admin, Role::Dispatcher].into_iter().find(|role| has(*role));
    let actor = Actor {
        id: claims.sub,
        role: role.unwrap_or(Role::Contractor),
        name: claims.name.as_deref().map(display_name).filter(|name| !name.is_empty()),
    };
    let is_admin = claims.roles.iter().any(|name| name == Role::Admin.as_str());
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of at least 32 bytes, for tests";

    fn claims(roles: &[&str], regions: &[&str]) -> Claims {
        Claims {
            sub: "nora".to_owned(),
            exp: 4_102_444_800,
            name: Some("Nora".to_owned()),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            regions: regions.iter().map(|region| (*region).to_owned()).collect(),
            contractor_id: Some("0198c5e0-0000-7000-8000-000000000001".to_owned()),
            iss: None,
            aud: None,
        }
    }

    fn authenticator(config: AuthConfig) -> Authenticator {
        Authenticator::new(&config).expect("the secret is long enough")
    }

    fn plain() -> AuthConfig {
        AuthConfig { secret: SECRET.to_owned(), issuer: None, audience: None }
    }

    fn caller_of(claims: &Claims) -> Caller {
        let token = issue(SECRET, claims).expect("signed");
        let proved = authenticator(plain()).authenticate(&token).expect("accepted");
        Caller::clone(&proved.caller)
    }

    #[test]
    fn a_role_that_is_missing_takes_its_claims_along() {
        let north = Region::parse("north").expect("a region");
        let dispatcher = caller_of(&claims(&["dispatcher"], &["north"]));
        assert!(dispatcher.may_dispatch(&north) && dispatcher.contractor_id.is_none());
        let contractor = caller_of(&claims(&["contractor"], &["north"]));
        assert!(!contractor.may_dispatch(&north) && contractor.contractor_id.is_some());
        let nobody = caller_of(&claims(&["viewer"], &["*"]));
        assert!(!nobody.may_dispatch(&north) && nobody.contractor_id.is_none());
    }

    #[test]
    fn issuer_and_audience_are_checked_when_configured() {
        let strict = authenticator(AuthConfig {
            issuer: Some("issuer".to_owned()),
            audience: Some("signalbox".to_owned()),
            ..plain()
        });
        let with = |iss: Option<&str>, aud: Option<serde_json::Value>| {
            let claims = Claims { iss: iss.map(str::to_owned), aud, ..claims(&["admin"], &[]) };
            strict.authenticate(&issue(SECRET, &claims).expect("signed")).is_ok()
        };
        assert!(with(Some("issuer"), Some("signalbox".into())));
        assert!(with(Some("issuer"), Some(serde_json::json!(["other", "signalbox"]))));
        assert!(!with(None, Some("signalbox".into())));
        assert!(!with(Some("issuer"), None));
        assert!(!with(Some("other"), Some("signalbox".into())));
    }

    #[test]
    fn what_is_not_signed_with_the_secret_and_hs256_is_refused() {
        let good = claims(&["admin"], &[]);
        let checks = authenticator(plain());
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let hs512 = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &good, &key);
        let other = issue("another secret of at least 32 bytes, also", &good);
        let expired = issue(SECRET, &Claims { exp: 1_000_000_000, ..good.clone() });
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJub3JhIiwiZXhwIjo0MTAyNDQ0ODAwfQ.".to_owned();
        for token in
            [hs512.expect("signed"), other.expect("signed"), expired.expect("signed"), none]
        {
            assert!(checks.authenticate(&token).is_err(), "{token}");
        }
    }

    #[test]
    fn a_token_is_refused_from_its_expiry_on() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        for (exp, is_accepted) in [(now.as_secs(), false), (now.as_secs() + 60, true)] {
            let token = issue(SECRET, &Claims { exp, ..claims(&["admin"], &[]) });
            let checked = authenticator(plain()).authenticate(&token.expect("signed"));
            assert_eq!(checked.is_ok(), is_accepted, "{exp}");
        }
    }

    #[test]
    fn a_long_name_is_cut_and_a_long_subject_refused() {
        let named = Claims { name: Some("ü".repeat(80)), ..claims(&["admin"], &[]) };
        assert_eq!(caller_of(&named).actor.name, Some("ü".repeat(50)));
        let token = issue(SECRET, &Claims { sub: "x".repeat(129), ..named }).expect("signed");
        assert!(authenticator(plain()).authenticate(&token).is_err());
    }
}
