//! The request before a connection: ids, and which transports there are.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde::Serialize;
use serde_json::json;

/// Connections by the token that their requests name: those that wait for a
/// transport, and those that have one. Shared by all worker threads.
#[derive(Debug)]
pub(super) struct ConnectionTokens {
    entries: Mutex<Entries>,
    timeout: Duration,
    reservations_max: usize,
}

#[derive(Debug, Default)]
struct Entries {
    by_token: HashMap<String, Entry>,
    /// Reservations in the order of their age; claimed ones are still in it.
    by_age: VecDeque<(Instant, String)>,
    reserved: usize,
}

#[derive(Debug)]
struct Entry {
    connection_id: String,
    user_id: Option<String>,
    is_active: bool,
}

/// Why a request's token leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenError {
    /// No such connection, or it is gone.
    Unknown,
    /// It has a transport already.
    Taken,
    /// It belongs to somebody else.
    OtherUser,
}

impl ConnectionTokens {
    pub(super) fn new(timeout: Duration, reservations_max: usize) -> Self {
        Self { entries: Mutex::default(), timeout, reservations_max }
    }

    /// Keeps a connection for the one who will come with its token. None when too
    /// many wait.
    pub(super) fn reserve(
        &self,
        version: NegotiateVersion,
        user_id: Option<String>,
        now: Instant,
    ) -> Option<Reservation> {
        let connection_id = random_id();
        let connection_token = match version {
            NegotiateVersion::Zero => None,
            NegotiateVersion::One => Some(random_id()),
        };
        let token = connection_token.clone().unwrap_or_else(|| connection_id.clone());
        let mut entries = self.lock();
        entries.drop_outlived(now);
        if entries.reserved >= self.reservations_max {
            return None;
        }
        entries.reserved += 1;
        entries.by_age.push_back((now + self.timeout, token.clone()));
        let entry = Entry { connection_id: connection_id.clone(), user_id, is_active: false };
        entries.by_token.insert(token, entry);
        Some(Reservation { connection_id, connection_token })
    }

    /// Gives the connection its transport; answers its id.
    pub(super) fn claim(
        &self,
        token: &str,
        user_id: Option<&str>,
        now: Instant,
    ) -> Result<String, TokenError> {
        let mut entries = self.lock();
        entries.drop_outlived(now);
        let entry = entries.by_token.get_mut(token).ok_or(TokenError::Unknown)?;
        if entry.user_id.as_deref() != user_id {
            return Err(TokenError::OtherUser);
        }
        if entry.is_active {
            return Err(TokenError::Taken);
        }
        entry.is_active = true;
        let connection_id = entry.connection_id.clone();
        entries.reserved -= 1;
        Ok(connection_id)
    }

    /// Makes a connection for a client that did not negotiate; it is nobody's to name.
    pub(super) fn unnegotiated(&self) -> String {
        random_id()
    }

    /// Whether there is such a connection, and whether it has a transport.
    pub(super) fn is_active(&self, token: &str, now: Instant) -> Option<bool> {
        let mut entries = self.lock();
        entries.drop_outlived(now);
        entries.by_token.get(token).map(|entry| entry.is_active)
    }

    /// Forgets a connection that has ended. May be called twice.
    pub(super) fn release(&self, token: &str) {
        let mut entries = self.lock();
        if let Some(entry) = entries.by_token.remove(token)
            && !entry.is_active
        {
            entries.reserved -= 1;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        // No code that holds the lock panics half way through a change.
        self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Entries {
    fn drop_outlived(&mut self, now: Instant) {
        while self.by_age.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, token)) = self.by_age.pop_front() else {
                return;
            };
            if self.by_token.get(&token).is_some_and(|entry| !entry.is_active) {
                self.by_token.remove(&token);
                self.reserved -= 1;
            }
        }
    }
}

/// What negotiation hands out.
#[derive(Debug)]
pub(super) struct Reservation {
    /// Public.
    pub(super) connection_id: String,
    /// Secret: who has it can attach to the connection. None in version 0, where the
    /// id is used.
    pub(super) connection_token: Option<String>,
}

/// The negotiation's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NegotiateVersion {
    /// The id is the token.
    Zero,
    /// Id and token differ.
    One,
}

impl NegotiateVersion {
    /// The version in force for what the client asks for; none if that is no number.
    pub(super) fn parse(asked: Option<&str>) -> Option<Self> {
        match asked.map(str::parse::<i64>) {
            None => Some(Self::Zero),
            Some(Ok(version)) if version >= 1 => Some(Self::One),
            Some(Ok(_)) => Some(Self::Zero),
            Some(Err(_)) => None,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NegotiateJson<'a> {
    negotiate_version: u8,
    connection_id: &'a str,
    // A null here breaks some clients' readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_token: Option<&'a str>,
    available_transports: serde_json::Value,
}

/// The answer to a negotiation.
pub(super) fn negotiate_json(version: NegotiateVersion, reservation: &Reservation) -> String {
    let answer = NegotiateJson {
        negotiate_version: match version {
            NegotiateVersion::Zero => 0,
            NegotiateVersion::One => 1,
        },
        connection_id: &reservation.connection_id,
        connection_token: reservation.connection_token.as_deref(),
        available_transports: json!([
            { "transport": "WebSockets", "transferFormats": ["Text", "Binary"] },
        ]),
    };
    serde_json::to_string(&answer).expect("strings serialise")
}

/// The answer to a negotiation whose version is no number.
pub(super) fn bad_version_json() -> String {
    json!({ "error": "The client requested a non-integer protocol version." }).to_string()
}

/// 16 random bytes, safe in a URL as clients do not escape it.
fn random_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(15);

    fn token_of(reservation: &Reservation) -> &str {
        reservation.connection_token.as_deref().expect("version 1 has a token")
    }

    #[test]
    fn a_reservation_is_claimed_once_by_its_token_alone() {
        let (tokens, now) = (ConnectionTokens::new(TIMEOUT, 10), Instant::now());
        let made = tokens.reserve(NegotiateVersion::One, None, now).expect("room");
        assert_eq!(tokens.claim(&made.connection_id, None, now), Err(TokenError::Unknown));
        assert_eq!(tokens.claim(token_of(&made), None, now), Ok(made.connection_id.clone()));
        assert_eq!(tokens.claim(token_of(&made), None, now), Err(TokenError::Taken));
        tokens.release(token_of(&made));
        assert_eq!(tokens.claim(token_of(&made), None, now), Err(TokenError::Unknown));
    }

    #[test]
    fn a_reservation_that_nobody_claims_makes_room_after_the_timeout() {
        let (tokens, now) = (ConnectionTokens::new(TIMEOUT, 1), Instant::now());
        let made = tokens.reserve(NegotiateVersion::One, None, now).expect("room");
        assert!(tokens.reserve(NegotiateVersion::One, None, now).is_none());
        let later = now + TIMEOUT;
        assert_eq!(tokens.claim(token_of(&made), None, later), Err(TokenError::Unknown));
        assert!(tokens.reserve(NegotiateVersion::One, None, later).is_some());
    }

    #[test]
    fn a_reservation_is_for_the_user_who_made_it() {
        let (tokens, now) = (ConnectionTokens::new(TIMEOUT, 10), Instant::now());
        let user = Some("nora".to_owned());
        let made = tokens.reserve(NegotiateVersion::Zero, user, now).expect("room");
        let id = &made.connection_id;
        assert_eq!(tokens.claim(id, Some("mallory"), now), Err(TokenError::OtherUser));
        assert!(tokens.claim(id, Some("nora"), now).is_ok());
    }

    #[test]
    fn versions_above_one_are_answered_as_one() {
        for (asked, version) in [
            (None, Some(NegotiateVersion::Zero)),
            (Some("0"), Some(NegotiateVersion::Zero)),
            (Some("1"), Some(NegotiateVersion::One)),
            (Some("5"), Some(NegotiateVersion::One)),
            (Some("abc"), None),
        ] {
            assert_eq!(NegotiateVersion::parse(asked), version, "{asked:?}");
        }
    }
}
