//! Certificates that are made for a test, and clients that trust nothing else.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use signalbox::tls::TlsFiles;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::site::Site;

/// A certificate for the loopback that signs itself.
pub struct TestCertificate {
    pub certificate: String,
    pub key: String,
    der: CertificateDer<'static>,
}

impl TestCertificate {
    pub fn new() -> Self {
        Self::until(2100)
    }

    /// Good until the first day of this year.
    pub fn until(year: i32) -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let signing_key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&signing_key).expect("a certificate");
        let CertifiedKey { cert, signing_key } = CertifiedKey { cert, signing_key };
        Self { certificate: cert.pem(), key: signing_key.serialize_pem(), der: cert.der().clone() }
    }

    /// Writes it where a server looks for it, which it does often.
    pub fn write_to(&self, folder: &Path) -> TlsFiles {
        let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
        std::fs::write(&certificate, &self.certificate).expect("written");
        std::fs::write(&key, &self.key).expect("written");
        let reload_interval = std::time::Duration::from_millis(20);
        TlsFiles { reload_interval, ..TlsFiles::new(certificate, key) }
    }

    /// A connection whose server has to have this certificate; an error if it has not.
    pub async fn connect(&self, site: &Site) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_with(site, rustls::ALL_VERSIONS).await
    }

    /// The same by one of these versions.
    pub async fn connect_with(
        &self,
        site: &Site,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("ring has suites for them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(site.server.address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}
