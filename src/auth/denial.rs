//! Why a token does not let its bearer in, and how often that was so.

use std::sync::atomic::{AtomicU64, Ordering};

use jsonwebtoken::errors::{Error, ErrorKind};

/// Why a token does not let its bearer in. The texts have nothing of the token in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The token is no good.
    #[error("{0}")]
    Refused(Reason),
    /// Whether the token is good cannot be told for now: the keys that there are do not
    /// include its own, and their source does not answer. The bearer may try again.
    #[error("the keys that tokens are checked with are not at hand")]
    KeysUnavailable,
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It is no token, is too long, or has a header that is not accepted.
    #[error("the token is malformed")]
    Malformed,
    /// Its algorithm is none of those that are configured.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// There is no key that it names, or none that it could be signed with.
    #[error("the token's key is not known")]
    UnknownKey,
    /// It is signed with another key, or was changed.
    #[error("the token's signature is wrong")]
    Signature,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It is not valid yet.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It is another issuer's.
    #[error("the token's issuer is another one")]
    Issuer,
    /// It is for another audience.
    #[error("the token's audience is another one")]
    Audience,
    /// A claim that is needed is missing or not what it should be.
    #[error("the token's claims are incomplete")]
    Claims,
}

impl Reason {
    const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Algorithm,
        Self::UnknownKey,
        Self::Signature,
        Self::Expired,
        Self::NotYetValid,
        Self::Issuer,
        Self::Audience,
        Self::Claims,
    ];

    /// The name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claims => "claims",
        }
    }
}

impl From<Reason> for Denial {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

/// What the library found. Its own texts may quote claims, so they go no further.
impl From<Error> for Reason {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidAlgorithm
            | ErrorKind::MissingAlgorithm
            | ErrorKind::UnsupportedAlgorithm => Self::Algorithm,
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYetValid,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => Self::Issuer,
            ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Self::Audience,
            // Of a token whose signature is right.
            ErrorKind::MissingRequiredClaim(_)
            | ErrorKind::InvalidClaimFormat(_)
            | ErrorKind::InvalidSubject
            | ErrorKind::Json(_) => Self::Claims,
            _ => Self::Malformed,
        }
    }
}

/// Counts denials.
#[derive(Debug, Default)]
pub(super) struct DenialCounts {
    refused: [AtomicU64; Reason::ALL.len()],
    unavailable: AtomicU64,
}

impl DenialCounts {
    pub(super) fn count(&self, denial: Denial) {
        let counter = match denial {
            Denial::Refused(reason) => &self.refused[reason as usize],
            Denial::KeysUnavailable => &self.unavailable,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How often each happened, by a name that is one of few.
    pub(super) fn by_name(&self) -> Vec<(&'static str, u64)> {
        let refused = Reason::ALL.iter().zip(&self.refused);
        let refused = refused.map(|(reason, count)| (reason.name(), count));
        refused
            .chain([("keys_unavailable", &self.unavailable)])
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
            .collect()
    }
}
