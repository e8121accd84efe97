//! What the demo shows: a made-up field service with three regions, its people, and
//! somebody who changes the plan now and then. Everything goes through the same
//! commands as a dispatcher's changes.

pub mod personas;
pub mod sample;
pub mod simulation;
