//! Where an issuer's keys come from: a file, or a URL.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ureq::http::Uri;

use super::fetch;
use super::jwks::{self, Document, JWKS_BYTES_MAX};

/// How a source is read.
#[derive(Debug)]
pub(super) struct Source {
    place: Place,
    /// What the file was when it was read last.
    seen: Option<Fingerprint>,
    connect_timeout: Duration,
    timeout: Duration,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    Url(Uri),
}

/// A file that has another one was written or replaced.
type Fingerprint = (Option<SystemTime>, u64, u64);

/// What a source had to say.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) document: Document,
    /// For how long it may be used, as the source says.
    pub(super) max_age: Option<Duration>,
}

impl Source {
    /// The source of this name: a URL of http or https, or the path of a file.
    ///
    /// # Errors
    /// Why a URL cannot be used.
    pub(super) fn new(
        name: &str,
        connect_timeout: Duration,
        timeout: Duration,
    ) -> Result<Self, String> {
        let place = match name.split_once("://") {
            Some((scheme, rest)) => Place::Url(url(scheme, rest)?),
            None => Place::File(PathBuf::from(name)),
        };
        Ok(Self { place, seen: None, connect_timeout, timeout })
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    /// Whether somebody on the way could put keys of their own in the place of these.
    pub(super) fn is_open_to_others(&self) -> bool {
        match &self.place {
            Place::File(_) => false,
            Place::Url(url) => url.scheme_str() == Some("http") && !is_loopback(url),
        }
    }

    /// Whether there is nothing new to be read: the file is as it was.
    pub(super) fn is_as_it_was(&self) -> bool {
        match &self.place {
            Place::File(path) => {
                self.seen.is_some() && fingerprint(path.metadata().ok()) == self.seen
            }
            Place::Url(_) => false,
        }
    }

    /// Reads it. Blocks; not for longer than its timeout.
    ///
    /// # Errors
    /// Why there are no keys; the text quotes nothing of what came.
    pub(super) fn read(&mut self) -> Result<Answer, String> {
        let (bytes, max_age) = match &self.place {
            Place::File(path) => {
                let failed = |error: std::io::Error| format!("cannot be read: {error}");
                let file = File::open(path).map_err(failed)?;
                self.seen = fingerprint(file.metadata().ok());
                let mut bytes = Vec::new();
                let one_too_many = JWKS_BYTES_MAX as u64 + 1;
                file.take(one_too_many).read_to_end(&mut bytes).map_err(failed)?;
                (bytes, None)
            }
            Place::Url(url) => {
                fetch::fetch(url, is_loopback(url), self.connect_timeout, self.timeout)?
            }
        };
        Ok(Answer { document: jwks::read(&bytes)?, max_age })
    }
}

fn fingerprint(metadata: Option<Metadata>) -> Option<Fingerprint> {
    use std::os::unix::fs::MetadataExt as _;
    metadata.map(|it| (it.modified().ok(), it.len(), it.ino()))
}

fn url(scheme: &str, rest: &str) -> Result<Uri, String> {
    if !matches!(scheme, "http" | "https") {
        return Err("is neither a file nor a URL of http or https".to_owned());
    }
    // Whoever may read the keys needs no name; and a password would come to be shown.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("has a user name, which is not sent".to_owned());
    }
    let text = rest.split('#').next().unwrap_or_default();
    let url = format!("{scheme}://{text}").parse::<Uri>();
    url.ok()
        .filter(|url| url.host().is_some_and(|host| !host.is_empty()))
        .ok_or_else(|| "is no URL".to_owned())
}

fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str) -> Result<Source, String> {
        Source::new(name, Duration::from_secs(1), Duration::from_secs(1))
    }

    #[test]
    fn a_source_is_a_file_or_a_url_without_a_password() {
        for url in ["https://login.example/keys", "http://127.0.0.1:8080/a?b=c", "http://[::1]/"] {
            assert!(source(url).is_ok_and(|source| !source.is_file()), "{url}");
        }
        assert!(source("keys/jwks.json").is_ok_and(|source| source.is_file()));
        for wrong in [
            "ftp://login.example/keys",
            "file:///etc/keys",
            "https://",
            "https:///keys",
            "https://ann:hush@login.example/keys",
            "https://ann@login.example",
        ] {
            let said = source(wrong).expect_err("no source");
            assert!(!said.contains("hush"), "{said}");
        }
    }

    #[test]
    fn plain_http_is_open_to_others_unless_it_stays_on_this_machine() {
        for (url, is_open) in [
            ("http://login.example/keys", true),
            ("http://127.0.0.1.login.example/keys", true),
            ("https://login.example/keys", false),
            ("http://localhost:9/keys", false),
            ("http://127.9.9.9/keys", false),
            ("http://[::1]:9/keys", false),
            ("keys.json", false),
        ] {
            assert_eq!(source(url).expect("a source").is_open_to_others(), is_open, "{url}");
        }
    }
}
