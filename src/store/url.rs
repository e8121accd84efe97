//! Which database a URL names.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::StoreError;

/// A database by its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A database of a server; the URL as it was given.
    Postgres(String),
}

impl DatabaseUrl {
    /// Of `sqlite://PATH`, relative or absolute, or `postgres://…`.
    ///
    /// A database in memory is refused: every connection would have one of its own, and
    /// nothing in it would outlive the server.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        let Some(path) = url.strip_prefix("sqlite://") else {
            return Err(refused(url, "is of neither form, sqlite://PATH nor postgres://…"));
        };
        if path.is_empty() {
            return Err(refused(url, "names no file"));
        }
        if path.contains(":memory:") {
            return Err(refused(url, "names a database in memory, which would not last"));
        }
        if path.contains(['?', '#']) {
            let complaint = "has options after the path; a path without ? and # is needed";
            return Err(refused(url, complaint));
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
}

/// A file's path as SQLite takes it, with a mode: `rw`, or `rwc` to make the file.
pub(super) fn sqlite_uri(path: &Path, mode: &str) -> Result<String, StoreError> {
    let text = path.to_str().ok_or_else(|| {
        StoreError::Url(format!("the database path '{}' is not UTF-8", path.display()))
    })?;
    let mut uri = String::from("file:");
    for character in text.chars() {
        // These three have a meaning in a URI; SQLite takes all others as they are.
        match character {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            other => uri.push(other),
        }
    }
    uri.push_str("?mode=");
    uri.push_str(mode);
    Ok(uri)
}

fn refused(url: &str, complaint: &str) -> StoreError {
    StoreError::Url(format!("the database url '{}' {complaint}", without_password(url)))
}

/// The URL for people to read, without what is or may be a password: all between the first
/// colon and the last @, since a password may hold any character where somebody did not
/// encode it, and the parameters that are named like one.
#[must_use]
pub fn without_password(url: &str) -> String {
    let shown = match url.split_once('?') {
        Some((place, parameters)) => {
            let parameters: Vec<Cow<'_, str>> = parameters.split('&').map(parameter).collect();
            format!("{place}?{}", parameters.join("&"))
        }
        None => url.to_owned(),
    };
    let start = shown.find("://").map_or(0, |at| at + 3);
    match (shown[start..].find(':'), shown.rfind('@')) {
        (Some(colon), Some(at)) if start + colon < at => {
            format!("{}:***{}", &shown[..start + colon], &shown[at..])
        }
        _ => shown,
    }
}

fn parameter(text: &str) -> Cow<'_, str> {
    let name = text.split('=').next().unwrap_or_default();
    // A name may be encoded, too.
    let is_secret = name.to_ascii_lowercase().contains("pass") || name.contains('%');
    if is_secret { format!("{name}=***").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_relative_or_an_absolute_path() {
        for (url, expected) in [
            ("sqlite://signalbox.db", "signalbox.db"),
            ("sqlite://data/a b.db", "data/a b.db"),
            ("sqlite:///var/lib/signalbox.db", "/var/lib/signalbox.db"),
            ("sqlite://100%.db", "100%.db"),
        ] {
            let parsed = DatabaseUrl::parse(url).expect("a good url");
            assert_eq!(parsed, DatabaseUrl::Sqlite(PathBuf::from(expected)), "{url}");
        }
    }

    #[test]
    fn both_spellings_of_a_postgresql_url_are_taken() {
        for url in ["postgres://ann@host/db", "postgresql://ann:s3cret@host:5433/db?sslmode=off"] {
            let parsed = DatabaseUrl::parse(url).expect("a good url");
            assert_eq!(parsed, DatabaseUrl::Postgres(url.to_owned()));
        }
    }

    #[test]
    fn other_urls_are_refused_by_name_without_their_password() {
        for (url, shown) in [
            ("sqlite://", "'sqlite://' names no file"),
            ("sqlite://:memory:", "'sqlite://:memory:' names a database in memory"),
            ("sqlite://a.db?mode=ro", "'sqlite://a.db?mode=ro' has options"),
            ("signalbox.db", "'signalbox.db' is of neither form"),
            ("mysql://ann:s3cret@host/db", "'mysql://ann:***@host/db' is of neither form"),
            ("mysql://ann:p@ss:w@host/db", "'mysql://ann:***@host/db' is of neither form"),
            ("mysql://ann:s3/cret@host/db", "'mysql://ann:***@host/db' is of neither form"),
            ("mysql://ann:?s3cret@host/db", "'mysql://ann:***@host/db' is of neither form"),
            ("mysql://h/d?a=b&password=x", "'mysql://h/d?a=b&password=***' is of neither form"),
            ("mysql://h:1/d?password=a@b", "'mysql://h:1/d?password=***' is of neither form"),
        ] {
            match DatabaseUrl::parse(url) {
                Err(StoreError::Url(text)) => assert!(text.contains(shown), "{text}"),
                other => panic!("{url} gave {other:?}"),
            }
        }
    }

    #[test]
    fn what_means_something_in_a_uri_is_escaped() {
        let written = sqlite_uri(Path::new("/tmp/50% of #1?.db"), "rw").expect("a path in UTF-8");
        assert_eq!(written, "file:/tmp/50%25 of %231%3f.db?mode=rw");
    }
}
