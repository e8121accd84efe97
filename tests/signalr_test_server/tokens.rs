//! Tokens for the users of the test server, signed with a key of its own. They are nobody
//! else's to read: a user, an expiry, and the signature of both.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

pub struct Tokens {
    key: hmac::Key,
}

impl Tokens {
    pub fn new() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system has random bytes");
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key) }
    }

    pub fn issue(&self, user: &str, lifetime: Duration) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let seconds = (now + lifetime).as_secs();
        let signed = format!("{}.{seconds}", URL_SAFE_NO_PAD.encode(user));
        let signature = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// Who the token is for, and until when, which may have passed.
    pub fn check(&self, token: &str) -> Option<(String, SystemTime)> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &signature).ok()?;
        let (user, seconds) = signed.split_once('.')?;
        let user = String::from_utf8(URL_SAFE_NO_PAD.decode(user).ok()?).ok()?;
        Some((user, UNIX_EPOCH + Duration::from_secs(seconds.parse().ok()?)))
    }
}
