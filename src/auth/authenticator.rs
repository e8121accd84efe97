//! Checks tokens: which key may have signed one is the server's decision, and what the
//! token's header says only picks among those.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Deserializer};

use super::claims::{Claims, caller};
use super::denial::{Denial, DenialCounts, Reason};
use super::key_watch::{JwksTimes, KeyWatch, KeysReport};
use super::keys::{KeySet, is_key_id};
use super::secret::{self, WeakSecret};
use super::signatures;
use super::source::Source;
use crate::jobs::Caller;

/// Bytes of a token; a longer one is refused unread.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Who may sign tokens, and for whom. One of secret and JWKS has to be there; both may.
#[derive(Debug, Clone, Default)]
pub struct AuthConfig {
    /// For HS256; at least [`SECRET_BYTES_MIN`](super::SECRET_BYTES_MIN) bytes.
    pub secret: Option<String>,
    /// For RS256, ES256 and EdDSA.
    pub jwks: Option<JwksConfig>,
    /// The `iss` that tokens must have; none is not checked.
    pub issuer: Option<String>,
    /// The `aud` that tokens must have; none is not checked.
    pub audience: Option<String>,
    /// By how much an issuer's clock may be ahead: so much before its `nbf` a token is
    /// taken. Its `exp` is exact.
    pub clock_skew: Duration,
}

/// Where an issuer publishes its keys.
#[derive(Debug, Clone)]
pub struct JwksConfig {
    /// The path of a file, or a URL of http or https.
    pub source: String,
    /// How often it is asked.
    pub times: JwksTimes,
}

/// Why tokens cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum AuthFault {
    /// Tokens could be forged.
    #[error(transparent)]
    Secret(#[from] WeakSecret),
    /// The keys cannot be had.
    #[error("the JWKS {0}")]
    Jwks(String),
    /// Nobody could come in.
    #[error(
        "no key to check tokens with: set --jwt-secret or SIGNALBOX_JWT_SECRET to a secret of at \
         least 32 bytes, or --jwks or SIGNALBOX_JWKS to the file or URL of an issuer's keys, or \
         try `signalbox demo`"
    )]
    NoKey,
}

impl AuthConfig {
    /// What cannot be used of it, each with its setting. Reads a file of keys, and asks no
    /// URL.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, AuthFault)> {
        let mut faults = Vec::new();
        if let Some(Err(fault)) = self.secret.as_deref().map(secret::check) {
            faults.push(("jwt_secret", fault.into()));
        }
        let jwks = self.jwks.as_ref().and_then(|jwks| jwks.fault());
        faults.extend(jwks.map(|fault| ("jwks", AuthFault::Jwks(fault))));
        if self.secret.is_none() && self.jwks.is_none() {
            faults.push(("jwt_secret", AuthFault::NoKey));
        }
        faults
    }
}

impl JwksConfig {
    /// The source of this name, asked as often as usual.
    #[must_use]
    pub fn new(source: String) -> Self {
        Self { source, times: JwksTimes::default() }
    }

    fn fault(&self) -> Option<String> {
        let source = Source::new(&self.source, self.times.connect_timeout, self.times.timeout);
        match source {
            Ok(mut source) if source.is_file() => source.read().err(),
            Ok(_) => None,
            Err(fault) => Some(fault),
        }
    }
}

/// What a token proved.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// Who it is, and what they may do.
    pub caller: Arc<Caller>,
    /// When that ends.
    pub expires_at: SystemTime,
}

/// Checks tokens. Clones share the keys.
#[derive(Debug, Clone)]
pub struct Authenticator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    secret: Option<DecodingKey>,
    keys: Option<KeyWatch>,
    rules: Rules,
    counts: DenialCounts,
}

/// What has to be so, whichever key a token is signed with.
#[derive(Debug)]
struct Rules {
    hs256: Validation,
    rs256: Validation,
    es256: Validation,
    eddsa: Validation,
}

impl Authenticator {
    /// Checks tokens by this configuration. With a JWKS it begins to watch it.
    ///
    /// # Errors
    /// When there is no key, or none that can be used. A URL that does not answer is no
    /// error: it is asked again.
    pub fn new(config: &AuthConfig) -> Result<Self, AuthFault> {
        if config.secret.is_none() && config.jwks.is_none() {
            return Err(AuthFault::NoKey);
        }
        signatures::install();
        let secret = config.secret.as_deref().map(secret::key).transpose()?;
        let watch = |jwks: &JwksConfig| KeyWatch::start(&jwks.source, jwks.times.clone());
        let keys = config.jwks.as_ref().map(watch).transpose().map_err(AuthFault::Jwks)?;
        let (rules, counts) = (Rules::new(config), DenialCounts::default());
        Ok(Self { inner: Arc::new(Inner { secret, keys, rules, counts }) })
    }

    /// Who the token's bearer is. Answers at once, unless the token's key is one that is
    /// not known: then its source is asked, and waited for.
    pub async fn authenticate(&self, token: &str) -> Result<Authenticated, Denial> {
        let answer = self.inner.authenticate(token).await;
        self.counted(answer.and_then(|proved| match SystemTime::now() >= proved.expires_at {
            true => Err(Reason::Expired.into()),
            false => Ok(proved),
        }))
    }

    /// The same, also of a token that has expired: for whoever looks at that by themselves.
    pub async fn authenticate_expired(&self, token: &str) -> Result<Authenticated, Denial> {
        self.counted(self.inner.authenticate(token).await)
    }

    fn counted(&self, answer: Result<Authenticated, Denial>) -> Result<Authenticated, Denial> {
        if let Err(denial) = answer {
            self.inner.counts.count(denial);
        }
        answer
    }

    /// How it stands with the keys of the JWKS; none where none is configured.
    #[must_use]
    pub fn keys(&self) -> Option<KeysReport> {
        self.inner.keys.as_ref().map(KeyWatch::report)
    }

    /// Whether tokens of a secret are taken.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.inner.secret.is_some()
    }

    /// How many tokens were not let in, by a name for why that is one of few.
    #[must_use]
    pub fn denials(&self) -> Vec<(&'static str, u64)> {
        self.inner.counts.by_name()
    }
}

impl Inner {
    async fn authenticate(&self, token: &str) -> Result<Authenticated, Denial> {
        let header = Header::of(token)?;
        let algorithm = header.algorithm()?;
        let rules = self.rules.of(algorithm);
        match (algorithm, &self.secret, &self.keys) {
            (Algorithm::HS256, Some(secret), _) => Ok(check(token, rules, [secret])?),
            (Algorithm::HS256, None, _) | (_, _, None) => Err(Reason::Algorithm.into()),
            (_, _, Some(keys)) => {
                let id = header.kid.as_deref();
                let by = |set: &KeySet| match check(token, rules, set.candidates(algorithm, id)) {
                    // A token that names no key may be signed with one that is new.
                    Err(Reason::Signature) if id.is_none() => Err(Reason::UnknownKey),
                    checked => checked,
                };
                by_watched_keys(keys, by).await
            }
        }
    }
}

/// Checks with the keys that there are, and with newer ones until its key is among them.
async fn by_watched_keys(
    keys: &KeyWatch,
    check: impl Fn(&KeySet) -> Result<Authenticated, Reason>,
) -> Result<Authenticated, Denial> {
    let (mut set, mut seen) = keys.current();
    let mut waiting = None;
    loop {
        match set.as_deref().map(&check) {
            None | Some(Err(Reason::UnknownKey)) => {}
            Some(checked) => return Ok(checked?),
        }
        let waiting = match &mut waiting {
            Some(waiting) => waiting,
            none => none.insert(keys.ask()?),
        };
        (set, seen) = waiting.more(seen).await?;
    }
}

/// Checks a token with the keys that it may be signed with.
fn check<'a>(
    token: &str,
    rules: &Validation,
    keys: impl IntoIterator<Item = &'a DecodingKey>,
) -> Result<Authenticated, Reason> {
    let mut reason = Reason::UnknownKey;
    for key in keys {
        match jsonwebtoken::decode::<Claims>(token, key, rules).map_err(Reason::from) {
            Ok(token) => return authenticated(token.claims),
            Err(Reason::Signature) => reason = Reason::Signature,
            Err(other) => return Err(other),
        }
    }
    Err(reason)
}

fn authenticated(claims: Claims) -> Result<Authenticated, Reason> {
    let expires_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp));
    let expires_at = expires_at.ok_or(Reason::Claims)?;
    Ok(Authenticated { caller: Arc::new(caller(claims)?), expires_at })
}

/// What matters of a token's header. Where it says where keys are to be had (`jku`, `jwk`,
/// `x5u`, `x5c`), nobody looks: whoever forged the token could say it.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// That something has to be understood; nothing beside what is here is.
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
    /// That the payload is no base64 (RFC 7797).
    #[serde(default, deserialize_with = "is_there")]
    b64: bool,
}

fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(value).map(|_| true)
}

impl Header {
    fn of(token: &str) -> Result<Self, Reason> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Reason::Malformed);
        }
        let (header, _) = token.split_once('.').ok_or(Reason::Malformed)?;
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| Reason::Malformed)?;
        let header: Self = serde_json::from_slice(&header).map_err(|_| Reason::Malformed)?;
        let has_bad_id = header.kid.as_deref().is_some_and(|id| !is_key_id(id));
        if header.crit || header.b64 || has_bad_id { Err(Reason::Malformed) } else { Ok(header) }
    }

    /// As its name is written, and in no other case: `none` is not among them.
    fn algorithm(&self) -> Result<Algorithm, Reason> {
        match self.alg.as_str() {
            "HS256" => Ok(Algorithm::HS256),
            "RS256" => Ok(Algorithm::RS256),
            "ES256" => Ok(Algorithm::ES256),
            "EdDSA" => Ok(Algorithm::EdDSA),
            _ => Err(Reason::Algorithm),
        }
    }
}

impl Rules {
    fn new(config: &AuthConfig) -> Self {
        let of = |algorithm| validation(algorithm, config);
        Self {
            hs256: of(Algorithm::HS256),
            rs256: of(Algorithm::RS256),
            es256: of(Algorithm::ES256),
            eddsa: of(Algorithm::EdDSA),
        }
    }

    fn of(&self, algorithm: Algorithm) -> &Validation {
        match algorithm {
            Algorithm::RS256 => &self.rs256,
            Algorithm::ES256 => &self.es256,
            Algorithm::EdDSA => &self.eddsa,
            _ => &self.hs256,
        }
    }
}

fn validation(algorithm: Algorithm, config: &AuthConfig) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = config.clock_skew.as_secs();
    validation.validate_nbf = true;
    // The library would give it the skew that `nbf` has.
    validation.validate_exp = false;
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
    validation
}
