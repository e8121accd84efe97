//! The columns that `outbox` and `event_log` have in common, on every database.

/// The columns of an event, of either table.
macro_rules! event_columns {
    ($table:ident) => {
        (
            $table::sequence,
            $table::event_id,
            $table::event_type,
            $table::schema_version,
            $table::job_id,
            $table::region,
            $table::payload,
            $table::published_to,
            $table::actor_id,
            $table::correlation_id,
            $table::occurred_at,
            $table::traceparent,
        )
    };
}
pub(super) use event_columns;
