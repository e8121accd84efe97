//! Tokens for the users of the test server, signed with a key of its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

pub struct Tokens {
    key: [u8; 32],
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
}

impl Tokens {
    pub fn new() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system has random bytes");
        Self { key }
    }

    pub fn issue(&self, user: &str, lifetime: Duration) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let claims = Claims { sub: user.to_owned(), exp: (now + lifetime).as_secs() };
        let key = EncodingKey::from_secret(&self.key);
        encode(&Header::new(Algorithm::HS256), &claims, &key).expect("claims can be signed")
    }

    /// Who the token is for, and until when.
    pub fn check(&self, token: &str) -> Option<(String, SystemTime)> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        let key = DecodingKey::from_secret(&self.key);
        let claims = decode::<Claims>(token, &key, &validation).ok()?.claims;
        Some((claims.sub, UNIX_EPOCH + Duration::from_secs(claims.exp)))
    }
}
