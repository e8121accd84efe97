//! The server itself.

use actix_web::http::StatusCode;
use serde_json::json;
use utoipa::openapi::Type;

use super::headers::Header;
use super::operation::{Body, Description};
use crate::http::code::Code;
use crate::http::demo::PersonasJson;
use crate::http::health::{Health, Readiness};
use crate::http::sign_in::SignInJson;
use crate::pipeline::METRICS_MEDIA_TYPE;

pub(super) const TAG: &str = "server";

/// Of a schema.
const NAME: &str = r"^[A-Za-z]+\.v[1-9][0-9]*$";

pub(in crate::http) fn alive() -> Description {
    let example = json!({ "status": "up" });
    Description::of(TAG, "getHealth", "Ask whether the process is alive").answers(
        StatusCode::OK,
        "It is.",
        Body::json::<Health>(example),
        &[],
    )
}

pub(in crate::http) fn ready() -> Description {
    let state = |up: bool| {
        let part = if up { "up" } else { "down" };
        json!({ "ready": up, "jobStore": part, "eventLog": "up", "backplane": "up" })
    };
    Description::of(TAG, "getReadiness", "Ask whether commands can be served")
        .answers(StatusCode::OK, "They can.", Body::json::<Readiness>(state(true)), &[])
        .answers(
            StatusCode::SERVICE_UNAVAILABLE,
            "They cannot.",
            Body::json::<Readiness>(state(false)),
            &[Header::RetryAfter],
        )
}

pub(in crate::http) fn metrics() -> Description {
    Description::of(TAG, "getMetrics", "Read the server's numbers, as Prometheus does")
        .for_some("For admins; without a token, for callers on the server's own machine.")
        .answers(StatusCode::OK, "The numbers.", Body::other(METRICS_MEDIA_TYPE, Type::String), &[])
}

pub(in crate::http) fn sign_in() -> Description {
    let example = json!({
        "isDemo": false,
        "signInUrl": "https://login.example/board",
        "tokenRenewalUrl": "https://login.example/renew",
    });
    Description::of(TAG, "getSignIn", "Ask where the page's users get their tokens").answers(
        StatusCode::OK,
        "The addresses; null where tokens are pasted, or not renewed.",
        Body::json::<SignInJson>(example),
        &[],
    )
}

pub(in crate::http) fn personas() -> Description {
    Description::of(TAG, "listPersonas", "List the people whom the demo lets in, with tokens")
        .note("In demo mode alone; there is no such thing otherwise.")
        .answers(StatusCode::OK, "The personas.", Body::json::<PersonasJson>(None), &[])
        .refused(&[Code::NotFound])
}

pub(in crate::http) fn openapi() -> Description {
    Description::of(TAG, "getOpenApi", "Read this document").answers(
        StatusCode::OK,
        "OpenAPI 3.1.",
        Body::other("application/json", Type::Object),
        &[],
    )
}

pub(in crate::http) fn asyncapi() -> Description {
    Description::of(TAG, "getAsyncApi", "Read the description of the hub").answers(
        StatusCode::OK,
        "AsyncAPI 3.",
        Body::other("application/json", Type::Object),
        &[],
    )
}

pub(in crate::http) fn schema() -> Description {
    Description::of(TAG, "getSchema", "Read the schema of an event")
        .path_text("name", "The event's type and the version of its shape: `JobCreated.v1`.", NAME)
        .answers(
            StatusCode::OK,
            "JSON Schema 2020-12.",
            Body::other("application/schema+json", Type::Object),
            &[],
        )
}
