//! What a connection URL says besides where the database is.

/// Parameters of libpq that a URL gets where it does not have them: so that a server that
/// is gone without a word is noticed within seconds. `connect_timeout` is in seconds and
/// has 2 for its least; `tcp_user_timeout` is in milliseconds.
const DEFAULTS: [(&str, &str); 6] = [
    ("application_name", "signalbox"),
    ("connect_timeout", "2"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "5000"),
];

/// The URL with those defaults that it does not set itself.
pub(super) fn with_defaults(url: &str) -> String {
    let given = url.split_once('?').map_or("", |(_, parameters)| parameters);
    let is_given = |name: &str| given.split('&').any(|one| one.split('=').next() == Some(name));
    let mut full = url.to_owned();
    for (name, value) in DEFAULTS.into_iter().filter(|(name, _)| !is_given(name)) {
        full.push(if full.contains('?') { '&' } else { '?' });
        full.push_str(&format!("{name}={value}"));
    }
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_sets_itself_is_left_alone() {
        let plain = with_defaults("postgres://host/db");
        assert!(plain.starts_with("postgres://host/db?application_name=signalbox&connect_"));
        let own = with_defaults("postgres://host/db?connect_timeout=9&sslmode=require");
        assert!(own.contains("?connect_timeout=9&sslmode=require&"), "{own}");
        assert_eq!(own.matches("connect_timeout").count(), 1, "{own}");
    }
}
