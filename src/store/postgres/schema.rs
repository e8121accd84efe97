//! The tables, as the migrations leave them; a test compares the two. Columns of JSON are
//! read as texts, which is how they come over the wire.

diesel::table! {
    /// Who carries out jobs.
    contractors (id) {
        id -> Uuid,
        name -> Text,
        region -> Text,
        timezone -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Jobs as they stand.
    jobs (id) {
        id -> Uuid,
        title -> Text,
        customer -> Text,
        address -> Text,
        region -> Text,
        timezone -> Text,
        start_utc -> Timestamptz,
        end_utc -> Timestamptz,
        status -> Text,
        cancellation_reason -> Nullable<Text>,
        version -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// Whose time a job takes up, and when.
    job_assignments (job_id, contractor_id) {
        job_id -> Uuid,
        contractor_id -> Uuid,
        position -> Integer,
        start_utc -> Timestamptz,
        end_utc -> Timestamptz,
        is_live -> Bool,
    }
}

diesel::table! {
    /// Events that are not in the log yet.
    outbox (sequence) {
        sequence -> BigInt,
        event_id -> Uuid,
        event_type -> Text,
        schema_version -> BigInt,
        job_id -> Uuid,
        region -> Text,
        payload -> Text,
        published_to -> Text,
        actor_id -> Text,
        correlation_id -> Text,
        occurred_at -> Timestamptz,
        created_at -> Timestamptz,
        traceparent -> Nullable<Text>,
    }
}

diesel::table! {
    /// Answers that are given again.
    idempotency_keys (subject, key) {
        subject -> Text,
        key -> Text,
        digest -> Binary,
        receipt -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// The last sequence, in one row.
    event_sequence (id) {
        id -> BigInt,
        last -> BigInt,
        database_id -> Uuid,
    }
}

diesel::table! {
    /// Every event, by sequence.
    event_log (sequence) {
        sequence -> BigInt,
        event_id -> Uuid,
        event_type -> Text,
        schema_version -> BigInt,
        job_id -> Uuid,
        region -> Text,
        payload -> Text,
        published_to -> Text,
        actor_id -> Text,
        correlation_id -> Text,
        occurred_at -> Timestamptz,
        published_at -> Nullable<Timestamptz>,
        logged_at -> Timestamptz,
        node_id -> Text,
        traceparent -> Nullable<Text>,
    }
}

diesel::table! {
    /// The groups that each event was announced to.
    event_log_groups (group_name, sequence) {
        group_name -> Text,
        sequence -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(jobs, job_assignments);
diesel::allow_tables_to_appear_in_same_query!(event_log, event_log_groups);

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
