//! Contractors.

use actix_web::http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::Required;

use super::examples;
use super::headers::Header;
use super::operation::{Body, Condition, Description};
use crate::http::contractors::ListQuery;
use crate::jobs::{Contractor, ContractorDraft, ContractorId};

pub(super) const TAG: &str = "contractors";

const READERS: &str = "For admins, dispatchers (contractors of their regions) and contractors \
                       (themselves).";

pub(in crate::http) fn list() -> Description {
    Description::of(TAG, "listContractors", "List the contractors that the caller may see, by name")
        .for_callers(READERS)
        .query::<ListQuery>()
        .answers(
            StatusCode::OK,
            "A page of contractors.",
            Body::page::<Contractor>(contractor()),
            &[Header::EventSequence],
        )
}

pub(in crate::http) fn get() -> Description {
    Description::of(TAG, "getContractor", "Read one contractor")
        .for_callers(READERS)
        .path::<ContractorId>("id", "The contractor.")
        .answers(StatusCode::OK, "The contractor.", Body::json::<Contractor>(contractor()), &[])
}

pub(in crate::http) fn create() -> Description {
    Description::of(TAG, "createContractor", "Add a contractor")
        .for_callers("For admins, and dispatchers of the region.")
        .body::<ContractorDraft>(Required::True, examples::contractor_draft())
        .change(Condition::None)
        .answers(
            StatusCode::CREATED,
            "The new contractor.",
            Body::json::<Contractor>(contractor()),
            &[Header::Location],
        )
}

fn contractor() -> Value {
    json!(examples::contractor())
}
