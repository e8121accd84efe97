//! Jobs and their commands.

use actix_web::http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::Required;

use super::examples;
use super::headers::Header;
use super::operation::{Body, Condition, Description};
use crate::http::code::Code;
use crate::http::jobs::ListQuery;
use crate::jobs::{AssignRequest, CancelRequest, Job, JobDraft, JobId, RescheduleRequest};

pub(super) const TAG: &str = "jobs";

const DISPATCHERS: &str = "For admins, and dispatchers of the job's region.";
const READERS: &str = "For admins, dispatchers (jobs of their regions) and contractors (their own \
                       jobs).";
/// Of an answer to a change.
const CHANGED: [Header; 3] = [Header::ETag, Header::EventId, Header::EventSequence];

pub(in crate::http) fn list() -> Description {
    Description::of(TAG, "listJobs", "List the jobs that the caller may see, by start")
        .for_callers(READERS)
        .query::<ListQuery>()
        .answers(
            StatusCode::OK,
            "A page of jobs.",
            Body::page::<Job>(job()),
            &[Header::EventSequence],
        )
}

pub(in crate::http) fn get() -> Description {
    Description::of(TAG, "getJob", "Read one job")
        .for_callers(READERS)
        .path::<JobId>("id", "The job.")
        .answers(
            StatusCode::OK,
            "The job.",
            Body::json::<Job>(job()),
            &[Header::ETag, Header::EventSequence],
        )
}

pub(in crate::http) fn create() -> Description {
    let headers = [Header::ETag, Header::EventId, Header::EventSequence, Header::Location];
    Description::of(TAG, "createJob", "Create a job")
        .for_callers("For admins, and dispatchers of the region.")
        .body::<JobDraft>(Required::True, examples::job_draft())
        .change(Condition::None)
        .answers(StatusCode::CREATED, "The new job.", Body::json::<Job>(job()), &headers)
        .refused(&[Code::InvalidTimeWindow, Code::ScheduleConflict])
}

pub(in crate::http) fn assign() -> Description {
    command("assignJob", "Replace the contractors of a job")
        .body::<AssignRequest>(Required::True, examples::assignment())
        .refused(&[Code::ScheduleConflict])
}

pub(in crate::http) fn reschedule() -> Description {
    command("rescheduleJob", "Move a job to another service window")
        .body::<RescheduleRequest>(Required::True, examples::new_window())
        .refused(&[Code::InvalidTimeWindow, Code::ScheduleConflict])
}

pub(in crate::http) fn cancel() -> Description {
    command("cancelJob", "Call a job off")
        .body::<CancelRequest>(Required::False, json!({ "reason": "The customer called" }))
}

/// A change of a job that is there.
fn command(id: &str, summary: &str) -> Description {
    let text = "The job as it is now. Where nothing had to change there is no event.";
    Description::of(TAG, id, summary)
        .for_callers(DISPATCHERS)
        .path::<JobId>("id", "The job.")
        .change(Condition::IfMatch)
        .answers(StatusCode::OK, text, Body::json::<Job>(job()), &CHANGED)
        .refused(&[Code::JobCancelled, Code::JobCompleted])
}

fn job() -> Value {
    json!(examples::job())
}
