//! Settings: what is documented is what there is, and what cannot be used is said at once.

use std::fs;

use clap::Args as _;
use signalbox::config::PartialSettings;

use crate::support::program;
use crate::support::site::SECRET;

/// The rows of the document: flag, environment, key, default.
fn documented() -> Vec<[String; 4]> {
    let rows = include_str!("../../../docs/settings.md").lines();
    let rows = rows.filter(|line| line.starts_with("| `--"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        [1, 2, 3, 4].map(|cell| cells[cell].trim_matches('`').to_owned())
    })
    .collect()
}

/// The same of the program, whose help has the default at its end.
fn offered() -> Vec<[String; 4]> {
    let command = PartialSettings::augment_args(clap::Command::new("settings"));
    let row = |argument: &clap::Arg| {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let default = help.split_once("[default: ").map_or("", |(_, rest)| rest);
        [
            format!("--{}", argument.get_long().expect("a flag")),
            argument.get_env().expect("a variable").to_string_lossy().into_owned(),
            argument.get_id().to_string(),
            default.trim_end_matches(']').to_owned(),
        ]
    };
    command.get_arguments().map(row).collect()
}

#[test]
fn every_setting_is_documented_with_its_default_and_no_other_is() {
    assert_eq!(documented(), offered());
}

#[test]
fn settings_that_cannot_be_used_are_all_named() {
    let secret = "a secret of at least thirty-two bytes";
    let (code, said, _) = program::run(["config", "check", "--jwt-secret", secret]);
    assert_eq!((code, said.as_str()), (Some(0), "the settings are in order\n"));
    let wrong = [
        "--jwt-secret=short",
        "--listen=nowhere",
        "--database-url=mysql://ann:hush@host/db",
        "--allowed-origins=https://board.example/,*,HTTPS://B.example",
        "--stop-timeout-seconds=0",
    ];
    let (code, _, said) = program::run(["config", "check"].into_iter().chain(wrong));
    assert_eq!(code, Some(1));
    let lines: Vec<&str> = said.lines().collect();
    let expected = [
        "signalbox: listen: 'nowhere'",
        "signalbox: database: the database url 'mysql://ann:***@host/db'",
        "signalbox: jwt_secret: the JWT secret has 5 bytes",
        "signalbox: allowed_origins: 'https://board.example/' is no origin",
        "signalbox: allowed_origins: '*' is no origin",
        "signalbox: allowed_origins: 'HTTPS://B.example' is no origin",
        "signalbox: stop_timeout_seconds: is less than 1",
    ];
    assert_eq!(lines.len(), expected.len(), "{said}");
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "{line}");
    }
    let (code, _, same) = program::run(["serve"].into_iter().chain(wrong));
    assert_eq!((code, same), (Some(1), said), "a server does not start on them");
}

#[test]
fn a_redis_url_is_checked_and_not_repeated() {
    let given = [
        "--jwt-secret=a secret of at least thirty-two bytes",
        "--database-url=postgres://host/db",
        "--redis-url=rediss://:hush@host",
    ];
    let (code, _, said) = program::run(["config", "check"].into_iter().chain(given));
    assert!(code == Some(1) && said.starts_with("signalbox: redis_url: is not"), "{said}");
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn limits_that_cannot_be_used_are_named() {
    let given = [
        "--jwt-secret=a secret of at least thirty-two bytes",
        "--requests-per-second-per-address=1000001",
        "--requests-per-second-per-caller=0",
        "--connections-max=0",
        "--connections-per-caller-max=0",
        "--groups-per-connection-max=0",
        "--invocations-per-second-per-connection=4000000000",
        "--head-timeout-seconds=0",
        "--body-timeout-seconds=3601",
    ];
    let (code, _, said) = program::run(["config", "check"].into_iter().chain(given));
    let names: Vec<&str> = said.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    let expected = [
        "requests_per_second_per_address",
        "head_timeout_seconds",
        "body_timeout_seconds",
        "connections_max",
        "groups_per_connection_max",
        "invocations_per_second_per_connection",
    ];
    assert_eq!((code, names), (Some(1), expected.to_vec()), "{said}");
    let proxy = ["--trusted-proxies=10.0.0.1,proxy.example"];
    let (code, _, said) = program::run(["config", "check"].into_iter().chain(given).chain(proxy));
    assert!(code == Some(1) && said.contains("trusted_proxies: 'proxy.example' is no"), "{said}");
}

#[test]
fn the_example_of_settings_can_be_used() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/signalbox.toml");
    let given = ["config", "check", "--config", example, "--jwt-secret"];
    let (code, _, said) = program::run(given.into_iter().chain([SECRET]));
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_file_with_a_misspelt_key_is_refused_by_the_name_that_was_meant() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("signalbox.toml");
    fs::write(&file, "databse_url = \"sqlite://a.db\"\n").expect("the file is written");
    let file = file.display().to_string();
    let (code, _, said) = program::run(["config", "check", "--config", &file]);
    assert_eq!(code, Some(1));
    assert!(said.ends_with("did you mean 'database_url'?\n"), "{said}");
}
