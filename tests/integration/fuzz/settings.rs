//! What an operator or a token writes: configuration files, URLs of databases, tokens,
//! times and names.

use std::fs;
use std::time::Duration;

use signalbox::auth::{AuthConfig, Authenticator};
use signalbox::config::{PartialSettings, Settings};
use signalbox::http::origin_fault;
use signalbox::jobs::{ContractorId, EventType, Region, Timestamp};
use signalbox::pipeline::redis_url_fault;
use signalbox::store::{self, StoreConfig};
use tempfile::TempDir;

use super::cases;
use super::mutation::mutated;
use crate::support::random::Random;
use crate::support::site::{SECRET, token};

fn text(random: &mut Random, corpus: &[Vec<u8>]) -> String {
    String::from_utf8_lossy(&mutated(random, corpus)).into_owned()
}

fn texts(corpus: &[&str]) -> Vec<Vec<u8>> {
    corpus.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn a_configuration_file_is_refused_in_words_or_shown_as_it_is_understood() {
    let corpus = texts(&[
        "listen = \"127.0.0.1:0\"\njwt_secret = \"********\"\nstop_timeout_seconds = 5\n",
        "database_url = \"postgres://ann:s3cret@host/db\"\nredis_url = \"redis://host\"\n",
        "allowed_origins = [\"https://a.example\", \"https://b.example\"]\n",
        "log_format = \"json\"\nevent_retention_days = 30\nnode_id = \"n\"\n",
    ]);
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("signalbox.toml");
    let read = |bytes: &[u8]| -> Result<Settings, String> {
        fs::write(&file, bytes).expect("a file");
        let settings = PartialSettings::from_file(&file).map_err(|error| error.to_string())?;
        // The default of this one is random.
        let named = PartialSettings { node_id: Some("n".to_owned()), ..Default::default() };
        Ok(settings.over(named).or_defaults())
    };
    for mut random in cases(Duration::from_millis(500)) {
        let bytes = mutated(&mut random, &corpus);
        match read(&bytes) {
            Err(complaint) => assert!(complaint.contains("signalbox.toml"), "{complaint}"),
            Ok(settings) => {
                let shown = settings.print();
                let again = read(shown.as_bytes()).map(|settings| settings.print());
                assert_eq!(again, Ok(shown), "{bytes:?}");
            }
        }
    }
}

/// A password that would be seen anywhere.
const PASSWORD: &str = "hush";

/// URLs with that password where a password stands, or nearly there.
fn url(random: &mut Random) -> String {
    let scheme = *random.pick(&["postgres", "postgresql", "mysql", "sqlite", "redis", ""]);
    let before = *random.pick(&["", "p@", "p:", "%40", "/", "?", "#", " "]);
    let after = *random.pick(&["", "@w", ":w", "/w", "%2F", " "]);
    let host = *random.pick(&["host", "host:5432", "[::1]", "", "a,b", "host:x"]);
    let path = *random.pick(&["/db", "", "/d@b", "/db?sslmode=off", "/db?a=b@c:d"]);
    if random.one_in(4) {
        let mark = if path.contains('?') { '&' } else { '?' };
        format!("{scheme}://ann@{host}{path}{mark}password={before}{PASSWORD}")
    } else {
        format!("{scheme}://ann:{before}{PASSWORD}{after}@{host}{path}")
    }
}

#[test]
fn no_complaint_about_a_url_and_no_shown_setting_has_its_password() {
    for mut random in cases(Duration::from_millis(500)) {
        let url = url(&mut random);
        let config = StoreConfig {
            database_url: url.clone(),
            event_log_database_url: None,
            node_id: "n".to_owned(),
            migrate: false,
        };
        let complaint = store::check(&config).err().map(|error| error.to_string());
        let settings = PartialSettings {
            database_url: Some(url.clone()),
            event_log_database_url: Some(url.clone()),
            redis_url: Some(url.clone()),
            ..PartialSettings::default()
        };
        let shown = settings.or_defaults().print();
        let said =
            [complaint.unwrap_or_default(), redis_url_fault(&url).unwrap_or_default(), shown];
        for text in said {
            assert!(!text.contains(PASSWORD), "{url}: {text}");
        }
    }
}

#[test]
fn no_bytes_for_a_url_or_an_origin_do_harm() {
    let corpus = texts(&[
        "sqlite:///var/lib/signalbox.db",
        "postgres://ann@host:5432/db?connect_timeout=2",
        "redis://host:6379/0",
        "https://board.example:8443",
    ]);
    for mut random in cases(Duration::from_millis(300)) {
        let text = text(&mut random, &corpus);
        let config = StoreConfig {
            database_url: text.clone(),
            event_log_database_url: Some(text.clone()),
            node_id: "n".to_owned(),
            migrate: false,
        };
        // Either answer will do; what matters is that there is one.
        let _ = (store::check(&config), redis_url_fault(&text));
        if origin_fault(&text).is_none() {
            let host = text.split_once("://").map(|(_, host)| host);
            assert!(host.is_some_and(|host| !host.contains(['/', '*', ' '])), "{text}");
        }
    }
}

#[test]
fn a_token_that_was_changed_lets_nobody_in() {
    let config = AuthConfig { secret: Some(SECRET.to_owned()), ..AuthConfig::default() };
    let authenticator = Authenticator::new(&config).expect("the secret is long enough");
    let system = actix_web::rt::System::new();
    let authenticate = |token: &str| system.block_on(authenticator.authenticate(token));
    let good = token("dispatcher", &["*"], None);
    assert!(authenticate(&good).is_ok());
    let other = token("admin", &[], None);
    let corpus = texts(&[&good, &other]);
    for mut random in cases(Duration::from_millis(500)) {
        let text = text(&mut random, &corpus);
        let is_whole = text == good || text == other;
        assert_eq!(authenticate(&text).is_ok(), is_whole, "{text}");
    }
}

#[test]
fn what_is_read_from_a_text_is_written_as_a_text_that_says_the_same() {
    let corpus = texts(&[
        "2026-03-01T09:00:00.000Z",
        "2016-12-31T23:59:60+00:00",
        "1970-01-01t00:00:00-23:59",
        "9999-12-31T23:59:59.999999Z",
        "north",
        "north-2",
        "0198c5e0-0000-7000-8000-000000000001",
        "JobCreated",
        "jobcancelled",
    ]);
    for mut random in cases(Duration::from_millis(300)) {
        let text = text(&mut random, &corpus);
        if let Some(time) = Timestamp::parse(&text) {
            assert_eq!(Timestamp::parse(&time.to_string()), Some(time), "{text}");
            assert_eq!(time.to_string().len(), "2026-03-01T09:00:00.000Z".len(), "{text}");
        }
        if let Some(region) = Region::parse(&text) {
            assert_eq!(region.as_str(), text);
        }
        if let Ok(id) = text.parse::<ContractorId>() {
            assert_eq!(id.to_string().parse::<ContractorId>().ok(), Some(id), "{text}");
        }
        if let Some(event_type) = EventType::parse(&text) {
            assert_eq!(event_type.as_str(), text);
        }
    }
}
