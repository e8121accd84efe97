//! Connections by the token that their requests name, for all worker threads: those
//! that wait for a transport, and where those live that have one.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use base64::Engine as _;
use tokio::sync::mpsc;

use super::host::HostMessage;
use super::negotiate::NegotiateVersion;
use super::pipe::{PipeReader, PipeWriter, pipe};
use super::transport_kind::TransportKind;
use crate::signalr::options::ConnectionOptions;

/// See the module.
#[derive(Debug)]
pub(super) struct Registry {
    entries: Mutex<Entries>,
    reservation_timeout: Duration,
    reservations_max: usize,
    places: Arc<Places>,
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
    state: EntryState,
}

#[derive(Debug)]
enum EntryState {
    Reserved { place: Place, is_stateful: bool, early: Option<(PipeWriter, PipeReader)> },
    Live(Live),
}

/// Where a connection with a transport is.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) transport: TransportKind,
    /// The worker thread that it lives on.
    pub(super) host: mpsc::Sender<HostMessage>,
    /// Where its POSTs go; none on a WebSocket.
    pub(super) input: Option<PipeWriter>,
    pub(super) reconnect: Arc<Reconnect>,
}

/// Whether a connection may go on with another socket; read by every worker thread.
#[derive(Debug, Default)]
pub(in crate::signalr) struct Reconnect(AtomicBool);

impl Reconnect {
    pub(super) fn is_possible(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn set(&self, is_possible: bool) {
        self.0.store(is_possible, Ordering::Release);
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
    /// Whether the connection may go on with another socket when it loses its own.
    pub(super) is_stateful: bool,
}

/// What a transport gets that claims a reservation.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) connection_id: String,
    pub(super) place: Place,
    /// What was posted so far; none on a WebSocket.
    pub(super) input: Option<PipeReader>,
    pub(super) reconnect: Arc<Reconnect>,
}

/// Why there is no place for one more connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The server has as many as it may.
    Server,
    /// The user has.
    User,
}

/// Why a request's token leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenError {
    /// No such connection, or it is gone.
    Unknown,
    /// It belongs to somebody else.
    OtherUser,
}

/// What a token leads to.
#[derive(Debug)]
pub(super) enum Found {
    /// A connection that waits for its transport.
    Reserved,
    /// One that has a transport.
    Live(Live),
}

impl Registry {
    pub(super) fn new(options: &ConnectionOptions) -> Self {
        Self {
            entries: Mutex::default(),
            reservation_timeout: options.disconnect_timeout,
            reservations_max: options.reservations_max,
            places: Arc::new(Places {
                taken: Mutex::default(),
                connections_max: options.connections_max,
                per_user_max: options.connections_per_user_max,
            }),
        }
    }

    /// Keeps a connection for the one who will come with its token.
    pub(super) fn reserve(
        &self,
        version: NegotiateVersion,
        user_id: Option<String>,
        is_stateful: bool,
        now: Instant,
    ) -> Result<Reservation, Full> {
        let connection_id = random_id();
        let connection_token = match version {
            NegotiateVersion::Zero => None,
            NegotiateVersion::One => Some(random_id()),
        };
        let token = connection_token.clone().unwrap_or_else(|| connection_id.clone());
        let mut entries = self.lock();
        entries.drop_outlived(now);
        if entries.reserved >= self.reservations_max {
            return Err(Full::Server);
        }
        let place = self.place(user_id.as_deref())?;
        entries.reserved += 1;
        entries.by_age.push_back((now + self.reservation_timeout, token.clone()));
        let state = EntryState::Reserved { place, is_stateful, early: None };
        let entry = Entry { connection_id: connection_id.clone(), user_id, state };
        entries.by_token.insert(token, entry);
        Ok(Reservation { connection_id, connection_token, is_stateful })
    }

    /// A place for a connection that did not negotiate; held for as long as it lives.
    pub(super) fn admit(&self, user_id: Option<&str>, now: Instant) -> Result<Place, Full> {
        self.lock().drop_outlived(now);
        self.place(user_id)
    }

    fn place(&self, user_id: Option<&str>) -> Result<Place, Full> {
        self.places.take(user_id).map(|()| Place {
            places: Arc::clone(&self.places),
            user_id: self.places.per_user_max.and(user_id).map(str::to_owned),
        })
    }

    /// What the token leads to, for this user.
    pub(super) fn find(
        &self,
        token: &str,
        user_id: Option<&str>,
        now: Instant,
    ) -> Result<Found, TokenError> {
        let mut entries = self.lock();
        Ok(match &entries.of_user(token, user_id, now)?.state {
            EntryState::Reserved { .. } => Found::Reserved,
            EntryState::Live(live) => Found::Live(live.clone()),
        })
    }

    /// Whether there is a connection of this token, whoever it belongs to.
    pub(super) fn knows(&self, token: &str, now: Instant) -> bool {
        let mut entries = self.lock();
        entries.drop_outlived(now);
        entries.by_token.contains_key(token)
    }

    /// Gives a reserved connection its transport. None when somebody was faster.
    pub(super) fn claim(
        &self,
        token: &str,
        user_id: Option<&str>,
        transport: TransportKind,
        host: &mpsc::Sender<HostMessage>,
        now: Instant,
    ) -> Result<Option<Claimed>, TokenError> {
        let mut entries = self.lock();
        let entry = entries.of_user(token, user_id, now)?;
        let EntryState::Reserved { is_stateful, early, .. } = &mut entry.state else {
            return Ok(None);
        };
        let reconnect = Arc::new(Reconnect::default());
        reconnect.set(*is_stateful && transport == TransportKind::WebSockets);
        let (writer, reader) = match transport {
            TransportKind::WebSockets => (None, None),
            TransportKind::ServerSentEvents | TransportKind::LongPolling => {
                let (writer, reader) = early.take().unwrap_or_else(pipe);
                (Some(writer), Some(reader))
            }
        };
        let live = Live {
            transport,
            host: host.clone(),
            input: writer,
            reconnect: Arc::clone(&reconnect),
        };
        let connection_id = entry.connection_id.clone();
        let former = std::mem::replace(&mut entry.state, EntryState::Live(live));
        entries.reserved -= 1;
        let EntryState::Reserved { place, .. } = former else {
            return Ok(None);
        };
        Ok(Some(Claimed { connection_id, place, input: reader, reconnect }))
    }

    /// Whether the token is the connection's public id, which others may learn.
    pub(super) fn is_public(&self, token: &str) -> bool {
        self.lock().by_token.get(token).is_some_and(|entry| entry.connection_id == token)
    }

    /// Where a POST goes that comes before its connection has a transport. None when
    /// it has one by now.
    pub(super) fn early_input(&self, token: &str) -> Option<PipeWriter> {
        match &mut self.lock().by_token.get_mut(token)?.state {
            EntryState::Reserved { early, .. } => Some(early.get_or_insert_with(pipe).0.clone()),
            EntryState::Live(live) => live.input.clone(),
        }
    }

    /// Forgets a connection that has ended. May be called twice.
    pub(super) fn release(&self, token: &str) {
        let mut entries = self.lock();
        if let Some(Entry { state: EntryState::Reserved { .. }, .. }) =
            entries.by_token.remove(token)
        {
            entries.reserved -= 1;
        }
    }

    /// Forgets reservations that nobody has claimed in time, and lets the POSTs go that
    /// wait for them.
    pub(super) fn forget_outlived(&self, now: Instant) {
        self.lock().drop_outlived(now);
    }

    /// Connections that wait for a transport.
    pub(super) fn reservations(&self, now: Instant) -> usize {
        let mut entries = self.lock();
        entries.drop_outlived(now);
        entries.reserved
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // No code that holds the lock panics half way through a change.
        self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Entries {
    fn of_user(
        &mut self,
        token: &str,
        user_id: Option<&str>,
        now: Instant,
    ) -> Result<&mut Entry, TokenError> {
        self.drop_outlived(now);
        let entry = self.by_token.get_mut(token).ok_or(TokenError::Unknown)?;
        if entry.user_id.as_deref() == user_id { Ok(entry) } else { Err(TokenError::OtherUser) }
    }

    fn drop_outlived(&mut self, now: Instant) {
        while self.by_age.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, token)) = self.by_age.pop_front() else {
                return;
            };
            let found = self.by_token.get(&token);
            if found.is_some_and(|entry| matches!(entry.state, EntryState::Reserved { .. })) {
                self.by_token.remove(&token);
                self.reserved -= 1;
            }
        }
    }
}

/// Counts connections against their bounds.
#[derive(Debug)]
struct Places {
    taken: Mutex<Taken>,
    connections_max: usize,
    per_user_max: Option<usize>,
}

#[derive(Debug, Default)]
struct Taken {
    connections: usize,
    by_user: HashMap<String, usize>,
}

/// A connection's place within the bounds; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    /// Where users are counted.
    user_id: Option<String>,
}

impl Places {
    fn take(&self, user_id: Option<&str>) -> Result<(), Full> {
        let mut taken = self.lock();
        if taken.connections >= self.connections_max {
            return Err(Full::Server);
        }
        if let (Some(max), Some(user_id)) = (self.per_user_max, user_id) {
            let of_user = taken.by_user.entry(user_id.to_owned()).or_default();
            if *of_user >= max {
                return Err(Full::User);
            }
            *of_user += 1;
        }
        taken.connections += 1;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // No code that holds the lock panics half way through a change.
        self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.connections -= 1;
        if let Some(user_id) = &self.user_id
            && let Some(of_user) = taken.by_user.get_mut(user_id)
        {
            *of_user -= 1;
            if *of_user == 0 {
                taken.by_user.remove(user_id);
            }
        }
    }
}

/// 16 random bytes, safe in a URL as clients do not escape it.
pub(super) fn random_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(15);

    fn registry(options: ConnectionOptions) -> Registry {
        Registry::new(&ConnectionOptions { disconnect_timeout: TIMEOUT, ..options })
    }

    fn reserve(registry: &Registry, user: Option<&str>, now: Instant) -> Result<String, Full> {
        let user = user.map(str::to_owned);
        let made = registry.reserve(NegotiateVersion::One, user, false, now)?;
        Ok(made.connection_token.expect("version 1 has a token"))
    }

    fn claim(
        registry: &Registry,
        token: &str,
        user: Option<&str>,
        now: Instant,
    ) -> Result<Option<Claimed>, TokenError> {
        let (host, _) = mpsc::channel(1);
        registry.claim(token, user, TransportKind::LongPolling, &host, now)
    }

    #[test]
    fn a_reservation_is_claimed_once_by_its_token_alone() {
        let (registry, now) = (registry(ConnectionOptions::default()), Instant::now());
        let made = registry.reserve(NegotiateVersion::One, None, false, now).expect("room");
        let token = made.connection_token.expect("version 1 has a token");
        let by_id = claim(&registry, &made.connection_id, None, now);
        assert_eq!(by_id.err(), Some(TokenError::Unknown));
        let claimed = claim(&registry, &token, None, now).expect("known").expect("free");
        assert_eq!(claimed.connection_id, made.connection_id);
        assert!(claim(&registry, &token, None, now).expect("known").is_none(), "taken");
        registry.release(&token);
        assert_eq!(claim(&registry, &token, None, now).err(), Some(TokenError::Unknown));
    }

    #[test]
    fn a_reservation_that_nobody_claims_makes_room_after_the_timeout() {
        let options = ConnectionOptions { reservations_max: 1, ..ConnectionOptions::default() };
        let (registry, now) = (registry(options), Instant::now());
        let token = reserve(&registry, None, now).expect("room");
        assert_eq!(reserve(&registry, None, now), Err(Full::Server));
        let later = now + TIMEOUT;
        assert_eq!(claim(&registry, &token, None, later).err(), Some(TokenError::Unknown));
        assert!(reserve(&registry, None, later).is_ok());
    }

    #[test]
    fn a_reservation_is_for_the_user_who_made_it() {
        let (registry, now) = (registry(ConnectionOptions::default()), Instant::now());
        let token = reserve(&registry, Some("nora"), now).expect("room");
        let by_mallory = claim(&registry, &token, Some("mallory"), now);
        assert_eq!(by_mallory.err(), Some(TokenError::OtherUser));
        assert!(claim(&registry, &token, Some("nora"), now).expect("known").is_some());
    }

    #[test]
    fn places_are_counted_in_total_and_by_user_and_come_back() {
        let options = ConnectionOptions {
            connections_max: 3,
            connections_per_user_max: Some(2),
            ..ConnectionOptions::default()
        };
        let (registry, now) = (registry(options), Instant::now());
        let first = reserve(&registry, Some("nora"), now).expect("room");
        let second = registry.admit(Some("nora"), now).expect("room");
        assert_eq!(reserve(&registry, Some("nora"), now), Err(Full::User));
        let other = registry.admit(None, now).expect("nobody is not counted as a user");
        assert_eq!(registry.admit(Some("ada"), now).err(), Some(Full::Server));
        drop((second, other));
        registry.release(&first);
        let again = (registry.admit(Some("nora"), now), registry.admit(Some("nora"), now));
        assert!(again.0.is_ok() && again.1.is_ok());
    }
}
