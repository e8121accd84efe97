//! What examples show: one job, one contractor, one event of it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::jobs::{
    Actor, Contractor, ContractorId, Event, EventDetail, EventId, Job, JobId, JobStatus, Region,
    Role, Timestamp, Window,
};

pub(super) const JOB_ID: JobId = JobId(Uuid::from_u128(0x0198_f2a4_7c1b_7d3f_8a52_6f1e_2d3c_4b5a));
pub(super) const OTHER_JOB_ID: JobId =
    JobId(Uuid::from_u128(0x0198_f2a4_7c1b_7d3f_8a52_6f1e_2d3c_4b5b));
pub(super) const REQUEST_ID: &str = "0198f2a4-8d02-7a10-b3c4-5d6e7f809102";

const CONTRACTOR_ID: ContractorId =
    ContractorId(Uuid::from_u128(0x0198_f2a4_7000_7a5b_9c3d_1e2f_3a4b_5c6d));
const EVENT_ID: EventId = EventId(Uuid::from_u128(0x0198_f2a4_8d02_7a10_b3c4_5d6e_7f80_9101));

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("an example's time is one")
}

fn region() -> Region {
    Region::parse("north").expect("an example's region is one")
}

fn window() -> Window {
    Window::parse("2026-03-02T08:00:00Z", "2026-03-02T10:00:00Z").expect("an example's window")
}

pub(super) fn job() -> Job {
    Job {
        id: JOB_ID,
        title: "Boiler inspection".to_owned(),
        customer: "Harbour Hotel".to_owned(),
        address: "1 Quay Street".to_owned(),
        region: region(),
        timezone: "Europe/Berlin".to_owned(),
        window: window(),
        status: JobStatus::Scheduled,
        contractor_ids: vec![CONTRACTOR_ID],
        cancellation_reason: None,
        version: 2,
        created_at: time("2026-03-01T08:30:00Z"),
        updated_at: time("2026-03-01T09:15:00Z"),
    }
}

pub(super) fn contractor() -> Contractor {
    Contractor {
        id: CONTRACTOR_ID,
        name: "Ada Lund".to_owned(),
        region: region(),
        timezone: "Europe/Berlin".to_owned(),
        created_at: time("2026-03-01T08:00:00Z"),
    }
}

pub(super) fn event() -> Value {
    let detail = EventDetail::assigned(window(), Vec::new());
    let actor = Actor {
        id: "dispatcher-north".to_owned(),
        role: Role::Dispatcher,
        name: Some("Dora Dahl".to_owned()),
    };
    let event = Event::of(&job(), detail, EVENT_ID, actor, REQUEST_ID.to_owned()).committed(2);
    serde_json::from_str(&event.payload).unwrap_or_default()
}

/// The examples' request bodies.
pub(super) fn job_draft() -> Value {
    let job = job();
    json!({
        "title": job.title,
        "customer": job.customer,
        "address": job.address,
        "region": job.region,
        "timezone": job.timezone,
        "startUtc": job.window.start(),
        "endUtc": job.window.end(),
    })
}

pub(super) fn contractor_draft() -> Value {
    let contractor = contractor();
    json!({
        "name": contractor.name,
        "region": contractor.region,
        "timezone": contractor.timezone,
    })
}

pub(super) fn assignment() -> Value {
    json!({ "contractorIds": [CONTRACTOR_ID] })
}

pub(super) fn new_window() -> Value {
    json!({
        "startUtc": "2026-03-02T12:00:00Z",
        "endUtc": "2026-03-02T14:00:00Z",
        "reason": "The site is closed in the morning",
    })
}
