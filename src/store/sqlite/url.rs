//! Which file a database URL names.

use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// The path of `sqlite://PATH`, relative or absolute.
///
/// A database in memory is refused: every connection would have one of its own, and
/// nothing in it would outlive the server.
pub(super) fn path(url: &str) -> Result<PathBuf, StoreError> {
    let Some(path) = url.strip_prefix("sqlite://") else {
        return Err(refused(url, "is not of the form sqlite://PATH"));
    };
    if path.is_empty() {
        return Err(refused(url, "names no file"));
    }
    if path.contains(":memory:") {
        return Err(refused(url, "names a database in memory, which would not last"));
    }
    if path.contains(['?', '#']) {
        return Err(refused(url, "has options after the path; a path without ? and # is needed"));
    }
    Ok(PathBuf::from(path))
}

/// The same path as SQLite takes it, with a mode: `rw`, or `rwc` to make the file.
pub(super) fn uri(path: &Path, mode: &str) -> Result<String, StoreError> {
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

/// The URL for people to read: what stands between the user's name and the host is a secret.
fn without_password(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(start);
    let authority = rest.split('/').next().unwrap_or(rest);
    // The last @ counts: a password may hold one, and then it is not the host that follows.
    let masked = authority.rfind('@').and_then(|at| {
        let user = authority[..at].split(':').next()?;
        (user.len() < at).then(|| format!("{scheme}{user}:***{}", &rest[at..]))
    });
    masked.unwrap_or_else(|| url.to_owned())
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
            assert_eq!(path(url).expect("a good url"), Path::new(expected), "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused_by_name_without_their_password() {
        for (url, shown) in [
            ("sqlite://", "'sqlite://' names no file"),
            ("sqlite://:memory:", "'sqlite://:memory:' names a database in memory"),
            ("sqlite://a.db?mode=ro", "'sqlite://a.db?mode=ro' has options"),
            ("signalbox.db", "'signalbox.db' is not of the form"),
            ("mysql://ann:s3cret@host/db", "'mysql://ann:***@host/db' is not of the form"),
            ("mysql://ann:p@ss:w@host/db", "'mysql://ann:***@host/db' is not of the form"),
            ("postgres://ann@host/db", "'postgres://ann@host/db' is not of the form"),
        ] {
            match path(url) {
                Err(StoreError::Url(text)) => assert!(text.contains(shown), "{text}"),
                other => panic!("{url} gave {other:?}"),
            }
        }
    }

    #[test]
    fn what_means_something_in_a_uri_is_escaped() {
        let written = uri(Path::new("/tmp/50% of #1?.db"), "rw").expect("a path in UTF-8");
        assert_eq!(written, "file:/tmp/50%25 of %231%3f.db?mode=rw");
    }
}
