//! The server's certificate: read from its files, and again when they change. Connections
//! that there are keep what they began with.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode as _;

use super::provider;

/// Where the certificate is.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain in PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
    /// How often is looked whether they have changed.
    pub reload_interval: Duration,
}

impl TlsFiles {
    /// These files, looked at every ten seconds: whoever renews a certificate does so days
    /// before it ends.
    #[must_use]
    pub fn new(certificate: PathBuf, key: PathBuf) -> Self {
        Self { certificate, key, reload_interval: Duration::from_secs(10) }
    }

    /// What keeps these files from being used; none if nothing does.
    #[must_use]
    pub fn fault(&self) -> Option<TlsFault> {
        self.read().and_then(|contents| contents.parse(self)).err()
    }

    fn read(&self) -> Result<Contents, TlsFault> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| TlsFault::new(path, error.to_string()))
        };
        Ok(Contents { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }
}

/// Files that are no certificate with its key.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct TlsFault {
    path: PathBuf,
    reason: String,
}

impl TlsFault {
    fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// What stands in the files. The key is not to be shown.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Contents {
    fn parse(&self, files: &TlsFiles) -> Result<Pair, TlsFault> {
        let of_certificate = |reason: &str| TlsFault::new(&files.certificate, reason);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsFault::new(&files.certificate, error))?;
        let own = chain.first().ok_or_else(|| of_certificate("has no certificate in PEM"))?;
        let parsed = x509_cert::Certificate::from_der(own)
            .map_err(|error| TlsFault::new(&files.certificate, error))?;
        let expires_after = parsed.tbs_certificate().validity().not_after.to_unix_duration();
        // The errors of keys are words alone, and tell nothing of them.
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| TlsFault::new(&files.key, error))?;
        let pair = CertifiedKey::from_der(chain, key, &provider())
            .map_err(|error| TlsFault::new(&files.key, error))?;
        Ok(Pair { certified: Arc::new(pair), expires_at: SystemTime::UNIX_EPOCH + expires_after })
    }
}

/// A certificate with its key.
struct Pair {
    certified: Arc<CertifiedKey>,
    expires_at: SystemTime,
}

/// The certificate that new connections get.
pub struct ServerCertificate {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
    /// What the files held when they were last read, or why they could not be.
    seen: Mutex<Result<Contents, String>>,
    /// Learns when a certificate ends, as soon as it is used.
    on_load: Box<dyn Fn(SystemTime) + Send + Sync>,
}

impl ServerCertificate {
    /// Reads the files. `on_load` is told when the certificate ends, now and whenever
    /// another one takes its place.
    ///
    /// # Errors
    /// When the files are no certificate with its key.
    pub fn load(
        files: TlsFiles,
        on_load: impl Fn(SystemTime) + Send + Sync + 'static,
    ) -> Result<Arc<Self>, TlsFault> {
        let contents = files.read()?;
        let pair = contents.parse(&files)?;
        let (current, seen) = (RwLock::new(Arc::clone(&pair.certified)), Mutex::new(Ok(contents)));
        let certificate = Self { files, current, seen, on_load: Box::new(on_load) };
        certificate.announce(&pair);
        Ok(Arc::new(certificate))
    }

    /// How connections are served with it: TLS 1.2 or later, by *ring*.
    #[must_use]
    pub fn server_config(self: &Arc<Self>) -> ServerConfig {
        ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>)
    }

    /// Reads the files again and again. What cannot be used is logged once, and the old
    /// certificate stays.
    pub async fn reload_forever(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.files.reload_interval).await;
            let certificate = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || certificate.reload()).await.is_err() {
                // The runtime ends.
                return;
            }
        }
    }

    fn reload(&self) {
        let contents = self.files.read();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = contents.map_err(|fault| fault.to_string());
        if *seen == contents {
            return;
        }
        let pair = contents
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|contents| contents.parse(&self.files).map_err(|fault| fault.to_string()));
        match pair {
            Ok(pair) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::clone(&pair.certified);
                self.announce(&pair);
            }
            Err(error) => {
                log::error!(error:%; "the new certificate cannot be used; the old one stays");
            }
        }
        *seen = contents;
    }

    fn announce(&self, pair: &Pair) {
        (self.on_load)(pair.expires_at);
        let left = pair.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
        let (file, days_left) = (self.files.certificate.display(), left.as_secs() / DAY_SECONDS);
        if left.is_zero() {
            log::error!(file:%; "the certificate has expired");
        } else if days_left < DAYS_LEFT_MIN {
            log::warn!(file:%, days_left; "the certificate expires soon");
        } else {
            log::info!(file:%, days_left; "the certificate is in use");
        }
    }
}

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Whoever renews certificates by a program does so a month before they end; with fewer
/// days left something is wrong with that.
const DAYS_LEFT_MIN: u64 = 14;

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").field("files", &self.files).finish_non_exhaustive()
    }
}
