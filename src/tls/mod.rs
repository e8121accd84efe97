//! TLS: the server's certificate, and a look at whether a server with one is well.

mod certificate;
mod unverified;

pub use certificate::{ServerCertificate, TlsFault, TlsFiles};
pub use unverified::unverified;

use rustls::crypto::CryptoProvider;

/// What signs and encrypts, here as in the rest of the program.
fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}
