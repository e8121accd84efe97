//! The domain: jobs and their service windows, contractors, commands, the rules
//! that decide them, and the events that they make.
//!
//! Everything here is data and pure functions: no actors, no HTTP, no database,
//! no clock. [`Board::decide`] is where a command becomes a change or a
//! [`Refusal`]; start reading there.

mod board;
mod caller;
mod command;
mod contractor;
mod event;
mod event_schema;
mod ids;
mod job;
mod refusal;
mod schema;
mod text;
mod timestamp;
mod trace;
mod window;

pub use board::{Board, BusyWindow, Decision, JobChange, Needs, StoredReceipt};
pub use caller::{Actor, Caller, Regions, Role, Scope};
pub use command::{
    AssignJob, AssignRequest, CancelJob, CancelRequest, Command, CommandRequest, ContractorDraft,
    CreateContractor, CreateJob, Idempotency, JobDraft, RescheduleJob, RescheduleRequest,
};
pub use contractor::Contractor;
pub use event::{
    CommittedEvent, EVENT_BYTES_MAX, Event, EventDetail, EventRef, EventType, NO_REASON,
    SCHEMA_VERSION, contractor_group, dispatch_group,
};
pub use event_schema::AnyEvent;
pub use ids::{ContractorId, EventId, JobId, Region, Sequence, Version};
pub use job::{Job, JobStatus};
pub use refusal::{FieldError, Receipt, Refusal, Subject};
pub use text::{
    ACTOR_NAME_BYTES_MAX, ADDRESS_BYTES_MAX, CONTRACTOR_NAME_BYTES_MAX, CORRELATION_ID_BYTES_MAX,
    CUSTOMER_BYTES_MAX, REASON_BYTES_MAX, SUBJECT_BYTES_MAX, TITLE_BYTES_MAX, bounded_text,
};
pub use timestamp::Timestamp;
pub use trace::{NoTrace, TraceContext};
pub use window::{WINDOW_DAYS_MAX, Window};

/// The most contractors that one job may have; with the text bounds it keeps
/// every event under 2 KiB.
pub const CONTRACTORS_PER_JOB_MAX: usize = 10;
