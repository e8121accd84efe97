//! Somebody who issues tokens: keys, what they sign, and a server that publishes them.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};

use super::site::REGION;

/// A key that signs.
pub struct Key {
    pub id: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// In PKCS#1 DER, made once by `openssl genpkey`, for nothing but these tests: to make one takes long.
const RSA_KEYS: [&[u8]; 2] = [include_bytes!("keys/rsa-1.der"), include_bytes!("keys/rsa-2.der")];

impl Key {
    /// One of two.
    pub fn rsa(id: &str, which: usize) -> Self {
        let pair = RsaKeyPair::from_der(RSA_KEYS[which]).expect("a key");
        Self { id: id.to_owned(), pair: Pair::Rsa(pair) }
    }

    pub fn p256(id: &str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).expect("a key");
        Self { id: id.to_owned(), pair: Pair::P256(pair) }
    }

    pub fn ed25519(id: &str) -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let pair = Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("a key");
        Self { id: id.to_owned(), pair: Pair::Ed25519(pair) }
    }

    pub fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// The public half, as it is published.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.pair {
            Pair::Rsa(pair) => {
                let key = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "use": "sig", "kid": self.id, "n": text(&key.n), "e": text(&key.e) })
            }
            Pair::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "x": text(x), "y": text(y) })
            }
            Pair::Ed25519(pair) => {
                let x = text(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": x })
            }
        }
    }

    /// The public half of an RSA key in PKCS#1 DER.
    pub fn der(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public().as_ref().to_vec(),
            Pair::P256(_) | Pair::Ed25519(_) => panic!("only of RSA"),
        }
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.expect("it signs");
                signature
            }
            Pair::P256(pair) => pair.sign(&random, message).expect("it signs").as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with this header and these claims, whatever they say.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = URL_SAFE_NO_PAD.encode(self.signature(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// A good token's header.
    pub fn header(&self) -> Value {
        json!({ "alg": self.algorithm(), "typ": "JWT", "kid": self.id })
    }

    /// A good token of a dispatcher.
    pub fn token(&self) -> String {
        self.sign(&self.header(), &claims())
    }
}

/// The first two parts of a token.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// A token that is signed with HS256 and this secret, whatever its header says.
pub fn signed_with_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    let signed = unsigned(header, claims);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// A dispatcher's claims, good for ten minutes.
pub fn claims() -> Value {
    json!({ "sub": "nora", "exp": seconds_from_now(600), "roles": ["dispatcher"], "regions": [REGION] })
}

pub fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("before the year 292 billion") + seconds
}

pub fn key_set(keys: &[&Key]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
}

/// What a server of keys does when it is asked.
#[derive(Debug, Clone)]
pub enum Manner {
    /// Answers with this status, further header lines, and body.
    Answer(u16, String, Vec<u8>),
    /// Takes the request, and says nothing.
    Silent,
    /// Sends the body of an answer a byte at a time, and never comes to its end.
    Dripping,
    /// Closes the connection.
    HangUp,
}

impl Manner {
    pub fn keys(keys: &[&Key]) -> Self {
        Self::body(key_set(keys).to_string())
    }

    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(200, String::new(), body.into())
    }

    pub fn redirect(location: &str) -> Self {
        Self::Answer(302, format!("Location: {location}\r\n"), Vec::new())
    }
}

/// A real HTTP server on a free port, that behaves as it is told.
pub struct KeyServer {
    pub address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
}

/// Who vouches for a [`KeyServer`] that speaks TLS: the path of a certificate. Made by
/// `openssl req -x509`, with one for 127.0.0.1 that it signed, for nothing but these tests.
pub const AUTHORITY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/support/keys/ca.pem");

/// Another one, who does not.
pub const OTHER_AUTHORITY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/support/keys/other-ca.pem");

struct Shared {
    manner: Mutex<Manner>,
    asked: AtomicUsize,
    is_over: AtomicBool,
}

impl KeyServer {
    pub fn start(manner: Manner) -> Self {
        Self::start_with(manner, None)
    }

    /// The same over TLS.
    pub fn start_tls(manner: Manner) -> Self {
        let certificate = include_bytes!("keys/server-cert.der").to_vec().into();
        let key = include_bytes!("keys/server-key.der").to_vec();
        let key = PrivateKeyDer::try_from(key).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        Self::start_with(manner, Some(Arc::new(config.expect("a certificate and its key"))))
    }

    fn start_with(manner: Manner, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            asked: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        let scheme = if tls.is_some() { "https" } else { "http" };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&served);
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away is no matter.
                let tls = tls.clone();
                std::thread::spawn(move || match tls {
                    None => stream.and_then(|stream| shared.serve(stream)),
                    Some(tls) => {
                        let session = rustls::ServerConnection::new(tls).expect("a session");
                        shared.serve(rustls::StreamOwned::new(session, stream?))
                    }
                });
            }
        });
        Self { address, scheme, shared }
    }

    pub fn url(&self) -> String {
        format!("{}://{}/keys", self.scheme, self.address)
    }

    pub fn set(&self, manner: Manner) {
        *self.shared.manner.lock().expect("nobody panics with it") = manner;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Lets the listener see it.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: impl Read + Write) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let manner = self.manner.lock().expect("nobody panics with it").clone();
        match manner {
            Manner::Answer(status, headers, body) => {
                let head = format!(
                    "HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
                    body.len()
                );
                let stream = reader.get_mut();
                stream.write_all(head.as_bytes())?;
                stream.write_all(&body)?;
                stream.flush()
            }
            // Until the client has gone.
            Manner::Silent => reader.read_line(&mut line).map(|_| ()),
            Manner::Dripping => {
                let stream = reader.get_mut();
                stream.write_all(b"HTTP/1.1 200 Whatever\r\nContent-Length: 100000\r\n\r\n")?;
                loop {
                    stream.write_all(b" ")?;
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            Manner::HangUp => Ok(()),
        }
    }
}
