//! Signing in without a password: in demo mode only, on made-up data.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::{Answer, State};
use crate::jobs::Timestamp;

/// Someone to try the demo as.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Persona {
    /// Short, for URLs.
    pub id: String,
    /// For people.
    pub name: String,
    /// `dispatcher`, `contractor` or `admin`.
    pub role: String,
    /// A dispatcher's regions, or where a contractor works.
    pub regions: Vec<String>,
    /// Which contractor, if one.
    #[schema(required)]
    pub contractor_id: Option<String>,
    /// The persona's time zone.
    pub timezone: String,
    /// Lets its bearer in as this persona.
    pub token: String,
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// Makes the personas, each time with fresh tokens.
pub struct DemoAccess {
    personas: Box<dyn Fn() -> Vec<Persona> + Send + Sync>,
}

impl DemoAccess {
    /// Lets everybody in as one of these.
    #[must_use]
    pub fn new(personas: impl Fn() -> Vec<Persona> + Send + Sync + 'static) -> Self {
        Self { personas: Box::new(personas) }
    }
}

/// Everybody whom the demo lets in.
#[derive(Serialize, ToSchema)]
#[schema(as = Personas)]
pub(super) struct PersonasJson {
    /// Each with a token that is good for some hours.
    personas: Vec<Persona>,
}

pub(super) async fn personas(state: State) -> Answer {
    match &state.demo {
        Some(demo) => Ok(HttpResponse::Ok()
            .insert_header(("Cache-Control", "no-store"))
            .json(PersonasJson { personas: (demo.personas)() })),
        None => Err(Problem::not_found("there is no such page")),
    }
}
