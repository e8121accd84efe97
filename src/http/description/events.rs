//! The event log.

use actix_web::http::StatusCode;

use super::examples;
use super::headers::Header;
use super::operation::{Body, Description};
use crate::http::events::ListQuery;
use crate::jobs::AnyEvent;

pub(super) const TAG: &str = "events";

pub(in crate::http) fn list() -> Description {
    Description::of(TAG, "listEvents", "Read events of the log, in sequence order")
        .for_callers("For whoever may see the events' jobs.")
        .query::<ListQuery>()
        .answers(
            StatusCode::OK,
            "A page of events; to go on, ask for those `after` the last one's sequence.",
            Body::page::<AnyEvent>(examples::event()),
            &[Header::EventSequence],
        )
}
