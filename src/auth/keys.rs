//! Public keys, each for one algorithm: which of them a token may be checked with.

use jsonwebtoken::{Algorithm, DecodingKey};

/// Keys that one token is tried against; it names one, unless its issuer has few.
const KEYS_TRIED_MAX: usize = 8;

/// A longer name of a key is nobody's.
const KEY_ID_BYTES_MAX: usize = 256;

/// A public key.
#[derive(Debug)]
pub(super) struct Key {
    /// The one algorithm that it is for.
    pub(super) algorithm: Algorithm,
    /// Its name, `kid`. Keys of different algorithms may share one.
    pub(super) id: Option<String>,
    pub(super) key: DecodingKey,
}

/// The keys of an issuer at one time; at least one.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// None of no keys: it would refuse everybody.
    pub(super) fn new(keys: Vec<Key>) -> Option<Self> {
        (!keys.is_empty()).then_some(Self { keys })
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that a token of this algorithm may have been signed with: those of the
    /// name that it gives, or all, when it gives none.
    pub(super) fn candidates(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
    ) -> impl Iterator<Item = &DecodingKey> {
        let of_algorithm = self.keys.iter().filter(move |key| key.algorithm == algorithm);
        of_algorithm
            .filter(move |key| id.is_none() || key.id.as_deref() == id)
            .take(KEYS_TRIED_MAX)
            .map(|key| &key.key)
    }
}

/// Whether a key may have this name: short, and without control characters, so that it can
/// stand in a log line.
pub(super) fn is_key_id(id: &str) -> bool {
    (1..=KEY_ID_BYTES_MAX).contains(&id.len()) && !id.chars().any(char::is_control)
}
