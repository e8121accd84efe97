//! How values look in JSON, for the descriptions of the interface: bounds come from the
//! constants that the rules check, and `utoipa` puts these beside the fields' own types.
//!
//! Texts are bounded in bytes, as JSON writes them, and `maxLength` counts characters: no
//! text within its bound is longer, but some that are not longer are refused.

use utoipa::openapi::schema::{
    Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};

use super::{
    ACTOR_NAME_BYTES_MAX, ADDRESS_BYTES_MAX, CONTRACTOR_NAME_BYTES_MAX, CONTRACTORS_PER_JOB_MAX,
    CORRELATION_ID_BYTES_MAX, CUSTOMER_BYTES_MAX, NO_REASON, REASON_BYTES_MAX, SCHEMA_VERSION,
    SUBJECT_BYTES_MAX, TITLE_BYTES_MAX, WINDOW_DAYS_MAX,
};

/// No control character; what JSON Schema calls a pattern is one of ECMA-262.
const NO_CONTROLS: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

/// Milliseconds and `Z`, as the server writes every time.
const MILLISECONDS_UTC: &str = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$";

/// `America/Argentina/ComodRivadavia` is the longest of the names.
const TIMEZONE_CHARACTERS_MAX: usize = 32;

fn text(description: &str, bytes_max: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(format!("{description} At most {bytes_max} bytes as JSON writes it.")))
        .max_length(Some(bytes_max))
        .pattern(Some(NO_CONTROLS))
}

fn required_text(description: &str, bytes_max: usize) -> ObjectBuilder {
    text(description, bytes_max).min_length(Some(1))
}

fn integer(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).description(Some(description))
}

pub(super) fn title() -> Object {
    required_text("What is to be done; not blank.", TITLE_BYTES_MAX).build()
}

pub(super) fn customer() -> Object {
    text("For whom.", CUSTOMER_BYTES_MAX).build()
}

pub(super) fn address() -> Object {
    text("Where.", ADDRESS_BYTES_MAX).build()
}

pub(super) fn reason_or_default() -> Object {
    text(&format!("Why; `{NO_REASON}` where nobody said."), REASON_BYTES_MAX).build()
}

pub(super) fn reason_or_null() -> Object {
    text("Why; null where nobody said.", REASON_BYTES_MAX)
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .build()
}

pub(super) fn contractor_name() -> Object {
    required_text("The name that dispatchers see; not blank.", CONTRACTOR_NAME_BYTES_MAX).build()
}

pub(super) fn subject() -> Object {
    text("The subject of the caller's token.", SUBJECT_BYTES_MAX).build()
}

pub(super) fn actor_name() -> Object {
    text("The name in the caller's token, if it has one.", ACTOR_NAME_BYTES_MAX).build()
}

pub(super) fn correlation_id() -> Object {
    text("The `X-Request-Id` of the call that asked for it.", CORRELATION_ID_BYTES_MAX)
        .min_length(Some(1))
        .build()
}

pub(super) fn timezone() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("A zone of the IANA time zone database."))
        .max_length(Some(TIMEZONE_CHARACTERS_MAX))
        .pattern(Some("^[A-Za-z0-9_+/-]+$"))
        .examples(["Europe/Berlin"])
        .build()
}

pub(super) fn contractor_ids() -> Array {
    contractor_list("Who carries it out, in the order given; none twice.")
}

pub(super) fn previous_contractor_ids() -> Array {
    contractor_list("Who was assigned before; they are told as well.")
}

fn contractor_list(description: &str) -> Array {
    ArrayBuilder::new()
        .items(RefOr::<Schema>::Ref(Ref::from_schema_name("ContractorId")))
        .description(Some(description))
        .max_items(Some(CONTRACTORS_PER_JOB_MAX))
        .unique_items(true)
        .build()
}

fn time(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// As the server writes it.
pub(super) fn timestamp() -> Object {
    time("RFC 3339 in UTC, with milliseconds.")
        .pattern(Some(MILLISECONDS_UTC))
        .examples(["2026-03-01T09:00:00.000Z"])
        .build()
}

pub(super) fn start() -> Object {
    time("When the service window begins: RFC 3339, of the years 1970 to 9999.")
        .examples(["2026-03-01T09:00:00Z"])
        .build()
}

pub(super) fn end() -> Object {
    let text = format!(
        "When the service window ends: RFC 3339, after it begins, and at most {WINDOW_DAYS_MAX} days after."
    );
    time(&text).examples(["2026-03-01T11:00:00Z"]).build()
}

pub(super) fn version() -> Object {
    integer("The job's version: 1 when it is created, one more with every change.")
        .minimum(Some(1))
        .build()
}

pub(super) fn sequence() -> Object {
    integer("The event's place in the order of all events: 1, 2, 3 … without gaps.")
        .minimum(Some(1))
        .build()
}

pub(super) fn schema_version() -> Object {
    integer("The version of this shape.").enum_values(Some([SCHEMA_VERSION])).build()
}
