//! What callers of the HTTP interface see.

mod changes;
mod conditions;
mod description;
mod limits;
mod lists;
mod metrics;
mod refusals;
mod slow_clients;
mod smuggling;
mod surroundings;

use serde_json::{Value, json};

use crate::support::site::{REGION, window};

/// An hour of a day as a request writes it.
fn times(day: i64, hour: i64) -> Value {
    let window = window(day, hour);
    json!({ "startUtc": window.start().to_string(), "endUtc": window.end().to_string() })
}

/// A job on a day of its own, for nobody yet.
fn draft(day: i64) -> Value {
    let draft = json!({
        "title": "Boiler inspection",
        "customer": "Harbour Hotel",
        "address": "1 Quay Street",
        "region": REGION,
        "timezone": "Europe/Berlin",
    });
    merged(draft, &times(day, 0))
}

/// The object with the other one's members in place of its own.
fn merged(mut object: Value, other: &Value) -> Value {
    let members = object.as_object_mut().expect("an object");
    members.extend(other.as_object().expect("an object").clone());
    object
}

/// The path of a job, or of a change of it.
fn path(job: &Value, change: &str) -> String {
    format!("/api/jobs/{}{change}", job["id"].as_str().expect("an id"))
}
