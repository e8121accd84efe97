//! Imports go one way. This reads every `crate::` path of the sources and holds it
//! against the layers, which ARCHITECTURE.md draws.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom, from the bottom up.
const LAYERS: [(&str, &[&str]); 13] = [
    ("jobs", &[]),
    ("signalr", &[]),
    ("config", &["store"]),
    ("tls", &[]),
    ("telemetry", &["config", "jobs"]),
    ("store", &["jobs"]),
    ("auth", &["jobs"]),
    ("pipeline", &["jobs", "store", "signalr", "telemetry"]),
    ("hub", &["jobs", "store", "signalr", "pipeline", "auth", "telemetry"]),
    ("http", &["jobs", "store", "pipeline", "auth", "hub", "telemetry"]),
    ("demo", &["jobs", "store", "pipeline", "auth", "http"]),
    (
        "server",
        &["jobs", "store", "signalr", "pipeline", "auth", "hub", "http", "telemetry", "tls"],
    ),
    (
        "cli",
        &[
            "jobs",
            "store",
            "signalr",
            "pipeline",
            "auth",
            "hub",
            "http",
            "demo",
            "server",
            "config",
            "telemetry",
            "tls",
        ],
    ),
];

/// Crates that only some places may name: (crate, places).
const CONFINED: [(&str, &[&str]); 13] = [
    ("diesel", &["store/"]),
    ("actix_web_actors", &["signalr/transport/websocket.rs"]),
    ("redis", &["pipeline/backplane.rs"]),
    ("opentelemetry", &["telemetry/"]),
    ("opentelemetry_sdk", &["telemetry/"]),
    ("prometheus", &["pipeline/metrics/"]),
    ("jsonwebtoken", &["auth/"]),
    ("ring", &["auth/signatures.rs"]),
    ("ureq", &["telemetry/otlp.rs", "auth/"]),
    ("rustls", &["auth/fetch.rs", "tls/"]),
    ("governor", &["http/rate_limiter.rs", "signalr/hub/pace.rs"]),
    ("rust_embed", &["http/static_files.rs", "http/documents.rs"]),
    ("actix", &["signalr/", "pipeline/"]),
];

/// Every source file with its path below `src/`, tests in files of their own left out.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("below src").display().to_string();
                let text = fs::read_to_string(&path).expect("a source file");
                files.push((name, text));
            }
        }
    }
    files
}

/// The module at the top that a file belongs to.
fn layer_of(name: &str) -> &str {
    name.split('/').next().and_then(|top| top.split('.').next()).unwrap_or(name)
}

/// The first names of the paths that start so.
fn names_after<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let rest = text.split(prefix).skip(1);
    rest.filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn imports_go_one_way() {
    let files = sources();
    assert!(files.len() > 30, "the sources were found");
    let mut wrong = Vec::new();
    for (name, text) in &files {
        let layer = layer_of(name);
        if layer == "lib" || layer == "main" {
            continue;
        }
        let allowed = LAYERS.iter().find(|(known, _)| *known == layer).map(|(_, below)| *below);
        let Some(allowed) = allowed else {
            wrong.push(format!("{name} belongs to no layer"));
            continue;
        };
        for import in names_after(text, "crate::") {
            if import != layer && !allowed.contains(&import) {
                wrong.push(format!("{name} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn libraries_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let used: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("use "))
            .filter_map(|path| path.split("::").next())
            .collect();
        for (library, places) in CONFINED {
            let is_at_home = places.iter().any(|place| name.starts_with(place));
            let is_used = used.contains(library) || text.contains(&format!(" {library}::"));
            if is_used && !is_at_home {
                wrong.push(format!("{name} names {library}"));
            }
        }
        if name.starts_with("jobs/") || name.starts_with("signalr/protocol/") {
            let io = ["actix_web", "actix_http", "diesel", "tokio", "std::net", "std::fs"];
            wrong.extend(
                io.iter().filter(|io| text.contains(**io)).map(|io| format!("{name} names {io}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The last text literal of each call of a macro.
fn last_texts<'a>(text: &'a str, call: &str) -> impl Iterator<Item = &'a str> {
    text.split(call).skip(1).map(|call| {
        let (mut depth, mut last) = (1, "");
        // Every other part stands between quotes; none of the messages has one in it.
        for (place, part) in call.split('"').enumerate() {
            if place % 2 == 1 {
                last = part;
                continue;
            }
            for c in part.chars() {
                depth += i32::from(c == '(') - i32::from(c == ')');
                if depth == 0 {
                    return last;
                }
            }
        }
        last
    })
}

#[test]
fn a_log_line_has_a_constant_message_and_its_values_in_fields() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (name, text) in sources() {
        for level in ["error", "warn", "info", "debug", "trace"] {
            for message in last_texts(&text, &format!("log::{level}!(")) {
                seen += 1;
                if message.is_empty() || message.contains('{') {
                    wrong.push(format!("{name}: {message}"));
                }
            }
        }
    }
    assert!(seen > 40, "the calls were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
