//! A token becomes a [`Caller`](crate::jobs::Caller).
//!
//! Tokens are JWTs. With a secret, HS256 is taken; with a JWKS, a file or a URL where an
//! issuer publishes its public keys, RS256, ES256 and EdDSA are. A key checks tokens of the
//! one algorithm that it is for, so none can be passed off as another. What is neither, is
//! refused: `none`, every other algorithm, a missing or passed expiry.
//!
//! `authenticator` has the rules; `claims`, what a token says; `jwks` and `keys`, which
//! public keys are taken; `source` and `fetch`, where they come from; `key_watch`, how they
//! are kept and renewed.

mod authenticator;
mod claims;
mod denial;
mod fetch;
mod jwks;
mod key_watch;
mod keys;
mod secret;
mod signatures;
mod source;

pub use authenticator::{
    AuthConfig, AuthFault, Authenticated, Authenticator, JwksConfig, TOKEN_BYTES_MAX,
};
pub use claims::Claims;
pub use denial::{Denial, Reason};
pub use key_watch::{JwksTimes, KeysReport, KeysState};
pub use secret::{SECRET_BYTES_MIN, WeakSecret, issue};

/// The token of an `Authorization: Bearer` header.
#[must_use]
pub fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
