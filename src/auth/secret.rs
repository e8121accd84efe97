//! The secret that HS256 tokens are signed with, and checked.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};

use super::claims::Claims;
use super::signatures;

/// A shorter secret could be guessed.
pub const SECRET_BYTES_MIN: usize = 32;

/// The configured secret cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the JWT secret has {bytes} bytes, fewer than {SECRET_BYTES_MIN}")]
pub struct WeakSecret {
    bytes: usize,
}

/// A token of these claims.
///
/// # Errors
/// When the secret is too short.
pub fn issue(secret: &str, claims: &Claims) -> Result<String, WeakSecret> {
    check(secret)?;
    signatures::install();
    let key = EncodingKey::from_secret(secret.as_bytes());
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
        .expect("claims of strings and numbers are signed with an HMAC without error"))
}

/// The key by which tokens of the secret are checked.
pub(super) fn key(secret: &str) -> Result<DecodingKey, WeakSecret> {
    check(secret)?;
    Ok(DecodingKey::from_secret(secret.as_bytes()))
}

pub(super) fn check(secret: &str) -> Result<(), WeakSecret> {
    let bytes = secret.len();
    if bytes < SECRET_BYTES_MIN { Err(WeakSecret { bytes }) } else { Ok(()) }
}
