//! The published schemas of the events: none is changed, further versions join them.

use std::path::{Path, PathBuf};

use signalbox::jobs::{EventType, SCHEMA_VERSION};

/// Writes what is not published yet.
const PUBLISH: &str = "SIGNALBOX_PUBLISH_SCHEMAS";

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas").join(format!("{name}.json"))
}

/// What is wrong with what is published under this name; nothing if it is what the events
/// are.
fn fault(name: &str, published: Option<&str>, now: &str) -> Option<String> {
    match published {
        Some(text) if text == now => None,
        Some(_) => Some(format!(
            "events are no longer what docs/schemas/{name}.json says, which clients rely on. \
             A change of an event is a new version of it: raise SCHEMA_VERSION in \
             src/jobs/event.rs and run `{PUBLISH}=1 cargo nextest run schemas::`, which adds \
             the files of that version. Those before stay as they are, and are served on."
        )),
        None => Some(format!(
            "docs/schemas/{name}.json is missing: `{PUBLISH}=1 cargo nextest run schemas::` \
             writes it"
        )),
    }
}

fn schema(event_type: EventType) -> String {
    format!("{:#}\n", event_type.schema())
}

#[test]
fn events_are_what_their_published_schemas_say() {
    let mut faults = Vec::new();
    for event_type in EventType::ALL {
        let (name, now) = (event_type.schema_name(), schema(event_type));
        let published = std::fs::read_to_string(place(&name)).ok();
        if published.is_none() && std::env::var_os(PUBLISH).is_some() {
            std::fs::write(place(&name), now).expect("docs/schemas can be written to");
            continue;
        }
        faults.extend(fault(&name, published.as_deref(), &now));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_version_stays_published() {
    for event_type in EventType::ALL {
        for version in 1..=SCHEMA_VERSION {
            let name = format!("{}.v{version}", event_type.as_str());
            let text = std::fs::read_to_string(place(&name)).expect(&name);
            let schema: serde_json::Value = serde_json::from_str(&text).expect("a schema is JSON");
            assert_eq!(schema["$id"], format!("urn:signalbox:schema:{name}"));
            assert_eq!(schema["properties"]["schemaVersion"]["enum"][0], version);
        }
    }
}

#[test]
fn a_changed_schema_is_a_fault_and_a_further_version_is_none() {
    let now = schema(EventType::JobCreated);
    let changed = now.replace("\"maxLength\": 160", "\"maxLength\": 200");
    assert_ne!(changed, now);
    let text = fault("JobCreated.v1", Some(&now), &changed).expect("a fault");
    assert!(text.contains("raise SCHEMA_VERSION"), "{text}");
    assert_eq!(fault("JobCreated.v1", Some(&now), &now), None);
    let missing = fault("JobCreated.v2", None, &changed).expect("not published yet");
    assert!(missing.contains("SIGNALBOX_PUBLISH_SCHEMAS=1"), "{missing}");
}
