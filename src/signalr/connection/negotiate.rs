//! The request before a connection: which version, which transports.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::registry::Reservation;
use super::transport_kind::TransportKind;
use crate::signalr::options::{RedirectTarget, Transports};
use crate::signalr::protocol::TransferFormat;

/// The negotiation's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NegotiateVersion {
    /// The id is the token.
    Zero,
    /// Id and token differ.
    One,
}

/// Why a negotiation is refused; the text is what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum VersionError {
    #[error("The client requested a non-integer protocol version.")]
    NotANumber,
    #[error("The client requested version '{0}', but the server does not support this version.")]
    TooLow(i64),
}

impl NegotiateVersion {
    /// The version in force for what the client asks for.
    pub(super) fn parse(asked: Option<&str>, version_min: u8) -> Result<Self, VersionError> {
        let version: i64 = match asked {
            None => 0,
            Some(text) => text.parse().map_err(|_| VersionError::NotANumber)?,
        };
        if version < i64::from(version_min) {
            Err(VersionError::TooLow(version))
        } else if version >= 1 {
            Ok(Self::One)
        } else {
            Ok(Self::Zero)
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NegotiateJson<'a> {
    negotiate_version: u8,
    connection_id: &'a str,
    // Absent properties are left out: a null breaks some clients' readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_token: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    use_stateful_reconnect: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_lifetime_seconds: Option<u64>,
    available_transports: Vec<AvailableTransport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AvailableTransport {
    transport: &'static str,
    transfer_formats: &'static [TransferFormat],
}

/// The answer to a negotiation. The token's lifetime is for clients that renew it in time.
pub(super) fn negotiate_json(
    version: NegotiateVersion,
    transports: Transports,
    reservation: &Reservation,
    token_lifetime: Option<Duration>,
) -> String {
    let answer = NegotiateJson {
        negotiate_version: match version {
            NegotiateVersion::Zero => 0,
            NegotiateVersion::One => 1,
        },
        connection_id: &reservation.connection_id,
        connection_token: reservation.connection_token.as_deref(),
        use_stateful_reconnect: reservation.is_stateful,
        token_lifetime_seconds: token_lifetime.map(|lifetime| lifetime.as_secs()),
        available_transports: TransportKind::ALL
            .into_iter()
            .filter(|kind| kind.is_among(transports))
            .map(|kind| AvailableTransport {
                transport: kind.name(),
                transfer_formats: kind.transfer_formats(),
            })
            .collect(),
    };
    serde_json::to_string(&answer).expect("strings serialise")
}

/// The answer that refuses a negotiation.
pub(super) fn version_error_json(error: VersionError) -> String {
    json!({ "error": error.to_string() }).to_string()
}

/// The answer that sends the client elsewhere. It reserves nothing.
pub(super) fn redirect_json(target: &RedirectTarget) -> String {
    match &target.access_token {
        Some(token) => json!({ "url": target.url, "accessToken": token }).to_string(),
        None => json!({ "url": target.url }).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_above_one_are_answered_as_one() {
        for (asked, version) in [
            (None, Ok(NegotiateVersion::Zero)),
            (Some("0"), Ok(NegotiateVersion::Zero)),
            (Some("1"), Ok(NegotiateVersion::One)),
            (Some("5"), Ok(NegotiateVersion::One)),
            (Some("abc"), Err(VersionError::NotANumber)),
            (Some(""), Err(VersionError::NotANumber)),
            (Some("-1"), Err(VersionError::TooLow(-1))),
        ] {
            assert_eq!(NegotiateVersion::parse(asked, 0), version, "{asked:?}");
        }
    }

    #[test]
    fn a_version_below_the_minimum_is_refused_with_its_number() {
        let refused = NegotiateVersion::parse(None, 1).expect_err("0 is too low");
        let text = "The client requested version '0', but the server does not support this \
                    version.";
        assert_eq!(refused.to_string(), text);
        assert_eq!(NegotiateVersion::parse(Some("1"), 1), Ok(NegotiateVersion::One));
    }
}
