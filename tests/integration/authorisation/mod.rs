//! Who may see and do what: every endpoint and every hub method, for every role and scope,
//! on what is theirs, what is another's, and what there is not. Nothing leaks: not by a
//! status, a body, a count or an event.

mod cast;
mod endpoints;
mod events;
mod hub_methods;
mod leaks;
mod scene;
